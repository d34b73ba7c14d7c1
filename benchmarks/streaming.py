"""Claim: a streamed answer begins and goes on about as fast as one from a usual server.

InvokeEndpointWithResponseStream of a model whose generator yields 200 tokens as fast as it can, against FastAPI's
`StreamingResponse` of the same generator and a bare ASGI function on uvicorn that sends the same pieces (the floor).
The answers are compared once, token by token.
"""

from botocore.eventstream import EventStreamBuffer

from benchmarks import peers
from benchmarks.clary_server import clary, deploy, gateways, port_of, processes, request
from benchmarks.compare import Result, Subject, load_generator, side_by_side, tree
from benchmarks.load import ask
from benchmarks.signing import plain

_TOKENS = 200
_BODY = str(_TOKENS).encode()
_EXPECTED = b"".join(b"token %d\n" % number for number in range(_TOKENS))
_SCRIPT = b"""
def model_fn(model_dir):
    return None

def input_fn(body, content_type):
    return int(body)

def predict_fn(tokens, model):
    return (b"token %d\\n" % number for number in range(tokens))

def output_fn(prediction, accept):
    return prediction, "text/plain"
"""


def run(seconds: float) -> None:
    with (
        clary() as server,
        peers.asgi("bare:stream") as (bare_port, bare_pid),
        peers.asgi("fastapi_stream:app") as (fast_port, fast_pid),
    ):
        deploy(server, "stream", {"code/inference.py": _SCRIPT}, "sagemaker-scikit-learn:1.2-1")
        path = "/endpoints/stream/invocations-response-stream"
        signed = request(server, "POST", path, "sagemaker", body=_BODY, headers={"Content-Type": "text/plain"})
        bare, fast = (
            plain("POST", port, "/stream", body=_BODY, content_type="text/plain") for port in (bare_port, fast_port)
        )
        _check(_joined(ask(port_of(server), signed)[1]))
        _check(ask(bare_port, bare)[1])
        _check(ask(fast_port, fast)[1])
        subjects = [
            Subject(
                "Clary",
                port_of(server),
                [signed],
                processes(server),
                part=("the gateway", gateways(server)),
            ),
            Subject("uvicorn, bare ASGI", bare_port, [bare], tree(bare_pid)),
            Subject("FastAPI", fast_port, [fast], tree(fast_pid)),
        ]
        for connections in (1, 16):
            _show(connections, side_by_side(subjects, connections=connections, seconds=seconds))


def _joined(body: bytes) -> bytes:
    """The payload parts of an event stream, put together."""
    buffer = EventStreamBuffer()
    buffer.add_data(body)
    return b"".join(event.payload for event in buffer)


def _check(answer: bytes) -> None:
    if answer != _EXPECTED:
        raise RuntimeError(f"the stream is not what the generator yields: {answer[:200]!r}")


def _show(connections: int, results: list[Result]) -> None:
    print(f"\nInvokeEndpointWithResponseStream: {_TOKENS} tokens, {connections} stream(s) at a time")
    print(f"  {'':28}{'CPU us/token':>13}{'tokens/s':>11}{'first ms':>10}{'first p99':>11}{'failed':>8}")
    for result in results:
        first, slowest = (
            result.median(lambda one, at=at: one.first_percentile(at)) * 1e3  # type: ignore[misc]
            for at in (50, 99)
        )
        rate = result.median(lambda one: one.rate) * _TOKENS
        failed = sum(one.failed for one in result.rounds)
        cpu = result.cpu_microseconds / _TOKENS
        print(f"  {result.subject:28}{cpu:>13,.1f}{rate:>11,.0f}{first:>10,.2f}{slowest:>11,.2f}{failed:>8}")
        if result.part:
            print(f"  {'  of these, ' + result.part:28}{result.part_cpu_microseconds / _TOKENS:>13,.1f}")
    print(f"  {load_generator(results)}", flush=True)

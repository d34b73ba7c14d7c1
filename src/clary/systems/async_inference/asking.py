"""One try to get a request answered: through all containers of an instance, whose answers are kept until they are
stored."""

import asyncio
from collections.abc import AsyncGenerator
from typing import NamedTuple

from clary.kernel.serving.connections import Answer, ModelServer, ServerError, TimedOut, Unreachable
from clary.kernel.serving.requests import Heading, heading
from clary.kernel.serving.routes import Target
from clary.systems.async_inference.outcomes import Outcome
from clary.systems.async_inference.places import LARGEST_BYTES, Payload
from clary.systems.async_inference.records import Request
from clary.systems.async_inference.spool import Spool, TooLarge


class NotAnswered(Exception):
    """No model answered, which is not the request's fault. It was not sent at all where it is `untouched`."""

    def __init__(self, reason: str, *, untouched: bool) -> None:
        super().__init__(reason)
        self.untouched = untouched


class _Stop(NamedTuple):
    container: str
    address: str


async def ask(request: Request, target: Target, instance: str, body: Payload, spool: Spool) -> Outcome:
    """What the instance's containers make of a request, within its time. Raises NotAnswered."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + request.timeout_seconds
    said = heading_of(request)
    content_type = request.content_type
    outcome = Outcome()
    stops = [_Stop(*pair) for pair in zip(target.containers, target.servers[instance], strict=True)]
    for number, stop in enumerate(stops):
        try:
            answer, chunks = await _send(stop, said, body, content_type, deadline)
            body = await spool.take(chunks)
        except TimedOut:
            return Outcome(
                f"ClientError: Your invocation timed out while waiting for a response from container {stop.container}. "
                f"It took more than {request.timeout_seconds:g} s (InvocationTimeoutSeconds)."
            )
        except TooLarge as error:
            return Outcome(f"ClientError: The answer of container {stop.container} cannot be taken: {error}.")
        except ServerError as error:
            untouched = number == 0 and isinstance(error, Unreachable)
            raise NotAnswered(f"container {stop.container} gave no answer: {error}", untouched=untouched) from None
        content_type = answer.header(b"content-type")
        outcome = Outcome(
            _refusal(stop.container, answer.status), answer=body, content_type=content_type, status=answer.status
        )
        if not outcome.succeeded:
            break
    return outcome


def heading_of(request: Request) -> Heading:
    """What a request says to the model besides its body."""
    headers = {
        "Accept": request.accept,
        "X-Amzn-SageMaker-Custom-Attributes": request.custom_attributes,
        "X-Amzn-SageMaker-Inference-Id": request.inference_id,
    }
    return heading(request.content_type, headers)


async def _send(
    stop: _Stop, said: Heading, body: Payload, content_type: str | None, deadline: float
) -> tuple[Answer, AsyncGenerator[bytes, None]]:
    loop = asyncio.get_running_loop()
    server = ModelServer(stop.address, loop, LARGEST_BYTES)
    head = said.head(body.size, content_type=content_type)
    return await server.ask_uploading(head, body.pieces(), max(deadline - loop.time(), 0.0))


def _refusal(container: str, status: int) -> str:
    if 200 <= status < 300:
        return ""
    kind = "client error" if 400 <= status < 500 else "server error"
    return (
        f"ClientError: Received {kind} ({status}) from {container}. "
        "See the SageMaker Endpoint logs in your account for more information."
    )

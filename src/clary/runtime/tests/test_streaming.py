"""Answers piece by piece: as they are made, no faster than they are taken, and visibly broken where they break."""

import http.client
import threading
from pathlib import Path

import pytest

from clary.runtime.tests.conftest import Job
from clary.runtime.tests.servers import Server, gate, serving, wait_until

# The generator of `kind` passes on the lines of a FIFO; it notes that it was closed, and in which thread it ran.
SCRIPT = """
import json, os, threading

def model_fn(model_dir):
    return model_dir

def input_fn(body, content_type):
    return body

def lines(path):
    threads = {threading.get_ident()}
    try:
        yield "first,"
        threads.add(threading.get_ident())
        with open(path) as gate:
            for line in gate:
                threads.add(threading.get_ident())
                if line == "break\\n":
                    raise ValueError("broken")
                yield line
        if os.path.exists(path + ".endless"):
            while True:
                yield b"x" * 65536
    finally:
        threads.add(threading.get_ident())
        with open(path + ".closed", "w") as file:
            file.write(str(len(threads)))

async def awaited(path):
    for line in lines(path):
        yield line

FUNCTION
"""

KINDS = {
    "predict_fn": "def predict_fn(data, model): return lines(data)",
    "output_fn": (
        "def predict_fn(data, model): return data\n"
        "def output_fn(prediction, accept): return lines(prediction), accept"
    ),
    "transform_fn": "del input_fn\ndef transform_fn(model, data, content_type, accept): return lines(data), 'text/csv'",
    "asynchronous": "def predict_fn(data, model): return awaited(data)",
}  # fmt: skip


def begin(server: Server, opened: Path) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    connection = server.connection()
    connection.request("POST", "/invocations", str(opened), {"content-type": "text/plain", "accept": "text/csv"})
    return connection, connection.getresponse()


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_arrive_as_they_are_made(job: Job, kind: str) -> None:
    job.put("model/code/inference.py", SCRIPT.replace("FUNCTION", KINDS[kind]))
    opened = gate(job.root / "gate")
    closed = Path(f"{opened}.closed")
    with serving(job) as server:
        connection, response = begin(server, opened)
        assert (response.status, response.getheader("content-type")) == (200, "text/csv")
        assert response.read1() == b"first,"
        with opened.open("w", buffering=1) as file:
            for token in ("one\n", "two\n", "three\n"):
                file.write(token)
                assert response.read1() == token.encode()
        assert response.read() == b""
        assert closed.read_text() == "1"

        # The connection is good for the next request.
        connection.request("POST", "/invocations", str(opened), {"content-type": "text/plain"})
        response = connection.getresponse()
        assert response.read1() == b"first,"
        with opened.open("w", buffering=1) as file:
            file.write("break\n")
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            response.read()
        connection.close()
        assert server.ask("GET", "/ping")[0] == 200
    log = server.process.log  # type: ignore[attr-defined]
    assert "ValueError: broken" in log


@pytest.mark.parametrize("leaves", [True, False])
def test_a_caller_who_leaves_or_takes_nothing_stops_the_generator(job: Job, leaves: bool) -> None:
    job.put("model/code/inference.py", SCRIPT.replace("FUNCTION", KINDS["predict_fn"]))
    opened = gate(job.root / "gate")
    closed = job.put("gate.endless", "").with_name("gate.closed")
    with serving(job, SAGEMAKER_MODEL_SERVER_TIMEOUT="1" if not leaves else "60") as server:
        connection, response = begin(server, opened)
        assert response.read1() == b"first,"
        opened.write_text("one\n")
        if leaves:
            assert len(response.read(1 << 20)) == 1 << 20
            response.close()
            connection.close()
        wait_until(closed.exists)
        connection.close()
        assert server.ask("GET", "/ping")[0] == 200
        assert closed.read_text() == "1"


def test_streams_to_callers_of_http_1_0_end_with_the_connection(job: Job) -> None:
    job.put("model/code/inference.py", SCRIPT.replace("FUNCTION", KINDS["predict_fn"]))
    opened = gate(job.root / "gate")
    with serving(job) as server, server.connect() as caller:
        body = str(opened).encode()
        caller.sendall(b"POST /invocations HTTP/1.0\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        writing = threading.Thread(target=opened.write_text, args=("one\n",))
        writing.start()
        answer = b""
        while part := caller.recv(65536):
            answer += part
        writing.join()
    head, _, text = answer.partition(b"\r\n\r\n")
    assert text == b"first,one\n"
    assert b"chunked" not in head

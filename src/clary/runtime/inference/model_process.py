"""The process of one model of a multi-model server: load it, then answer one request at a time.

Forked from the nursery, or, when the model's requirements need a fresh interpreter, started as
`python -m clary.runtime serve-model FD DIRECTORY`.
"""

import os
import select
import socket
import sys
import traceback
from pathlib import Path

from clary.runtime import threads
from clary.runtime.errors import CustomerError
from clary.runtime.inference import frames
from clary.runtime.inference.app import refusal
from clary.runtime.inference.calls import pass_on, survived
from clary.runtime.inference.contract import Model, Reply, Request
from clary.runtime.inference.models import load_model, prepare
from clary.runtime.inference.settings import Settings


def serve_model(descriptor: int, directory: str) -> int:
    """Serve the model in `directory` to the other side of the socket until that closes; return the exit code."""
    threads.pin()
    connection = socket.socket(fileno=descriptor)
    connection.setblocking(True)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # a fork would draw its siblings' random numbers
    try:
        frames.send(connection, frames.HELLO, {"pid": os.getpid()})
        model = _load(connection, Path(directory))
        if model is None:
            return 1
        frames.send(connection, frames.LOADED)
        settings = Settings.from_environment()
        while True:
            frame = frames.receive(connection)
            if frame.kind == frames.REQUEST:
                _answer(connection, model, frame, settings.timeout_seconds)
                sys.stdout.flush()
    except frames.Closed:
        return 0


def _load(connection: socket.socket, directory: Path) -> Model | None:
    again = ("serve-model", str(connection.fileno()), str(directory))
    os.set_inheritable(connection.fileno(), True)
    try:
        source = prepare(directory, directory.parent / "code", *again)
        os.set_inheritable(connection.fileno(), False)
        return load_model(directory, source)
    except BaseException as error:
        reply = refusal(survived(error), 0)
        print(f"cannot load the model in {directory}: {error}", file=sys.stderr, flush=True)
        status = 507 if isinstance(error, MemoryError) else 400 if isinstance(error, CustomerError) else 500
        frames.send(connection, frames.FAILED, {"status": status}, _whole(reply))
        return None


def _whole(reply: Reply) -> bytes:
    return reply.body if isinstance(reply.body, bytes) else b""


def _answer(connection: socket.socket, model: Model, frame: frames.Frame, timeout_seconds: float) -> None:
    content_type, accept = frame.facts["content_type"], frame.facts["accept"]
    try:
        reply = model.quick(frame.body, content_type.encode("latin-1"), accept.encode("latin-1"))
        if reply is None:
            reply = model.invoke(Request(frame.body, content_type, accept, frame.facts["headers"]))
    except BaseException as error:
        reply = refusal(survived(error), timeout_seconds)
    facts = {"status": reply.status, "content_type": reply.content_type}
    if isinstance(reply.body, bytes):
        frames.send(connection, frames.ANSWER, facts, reply.body)
        return
    frames.send(connection, frames.BEGIN, facts)

    def piece(data: bytes) -> bool:
        frames.send(connection, frames.PIECE, None, data)
        stopped, _, _ = select.select([connection], [], [], 0)
        return not stopped

    try:
        pass_on(reply.body, piece)
    except frames.Closed:
        raise
    except BaseException as error:
        traceback.print_exception(error)
        sys.stderr.flush()
        frames.send(connection, frames.BROKEN)
    else:
        frames.send(connection, frames.END)

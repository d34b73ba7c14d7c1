"""What passes between the multi-model server and the process of a model: frames on a stream socket.

A frame is a kind, a small JSON document and a body:

    to the model      REQUEST {content_type, accept, headers} body      STOP (end the stream under way)
    from the model    HELLO {pid}     then     LOADED, or FAILED {status} message
                      ANSWER {status, content_type} body
                      BEGIN {status, content_type}, PIECE body ..., then END, or BROKEN
"""

import json
import socket
import struct
from typing import Any, NamedTuple

REQUEST, STOP = 1, 2
HELLO, LOADED, FAILED, ANSWER, BEGIN, PIECE, END, BROKEN = range(10, 18)

_HEAD = struct.Struct(">BIQ")


class Frame(NamedTuple):
    kind: int
    facts: dict[str, Any]
    body: bytes


class Closed(Exception):
    """The other side has gone."""


def pack(kind: int, facts: dict[str, Any] | None = None, body: bytes = b"") -> bytes:
    text = json.dumps(facts).encode() if facts else b""
    return b"".join((_HEAD.pack(kind, len(text), len(body)), text, body))


class Unpacker:
    """Frames from the bytes of a stream, in whatever portions they come."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        held = self._held
        held += data
        found = []
        while len(held) >= _HEAD.size:
            kind, text, body = _HEAD.unpack_from(held)
            start = _HEAD.size + text
            if len(held) < start + body:
                break
            facts = json.loads(bytes(held[_HEAD.size : start])) if text else {}
            found.append(Frame(kind, facts, bytes(held[start : start + body])))
            del held[: start + body]
        return found


def receive(connection: socket.socket) -> Frame:
    """The next frame, waited for. Raises Closed."""
    kind, text, body = _HEAD.unpack(_exactly(connection, _HEAD.size))
    facts = json.loads(_exactly(connection, text)) if text else {}
    return Frame(kind, facts, _exactly(connection, body) if body else b"")


def send(connection: socket.socket, kind: int, facts: dict[str, Any] | None = None, body: bytes = b"") -> None:
    """Raises Closed."""
    try:
        connection.sendall(pack(kind, facts, body))
    except OSError as error:
        raise Closed from error


def _exactly(connection: socket.socket, size: int) -> bytes:
    parts = []
    while size:
        try:
            part = connection.recv(min(size, 1 << 20))
        except OSError as error:
            raise Closed from error
        if not part:
            raise Closed
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)

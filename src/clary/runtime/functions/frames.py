"""Frames between the server of an instance and its worker: a kind, a length, a payload."""

import socket
import struct

CALL = b"C"  # to the worker: a JSON line about the invocation, then the event
READY = b"R"  # the module is imported
BROKEN = b"B"  # it is not, and the payload says why
ANSWER = b"A"  # what the handler returned
ERROR = b"E"  # what it raised

_HEAD = struct.Struct(">cI")
_CHUNK = 1 << 18


def send(link: socket.socket, kind: bytes, payload: bytes = b"") -> None:
    if len(payload) < _CHUNK:
        link.sendall(_HEAD.pack(kind, len(payload)) + payload)
    else:
        link.sendall(_HEAD.pack(kind, len(payload)))
        link.sendall(payload)


def receive(link: socket.socket) -> tuple[bytes, bytes] | None:
    """The next frame; None when the other end is gone. Blocks."""
    head = _exactly(link, _HEAD.size)
    if head is None:
        return None
    kind, size = _HEAD.unpack(head)
    payload = _exactly(link, size)
    return None if payload is None else (kind, payload)


def _exactly(link: socket.socket, size: int) -> bytes | None:
    chunk = link.recv(min(size, _CHUNK)) if size else b""
    if len(chunk) == size:
        return chunk
    found = bytearray(chunk)
    while chunk and len(found) < size:
        chunk = link.recv(min(size - len(found), _CHUNK))
        found += chunk
    return bytes(found) if len(found) == size else None


class Reader:
    """Frames as they come, for the end that must not block."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> list[tuple[bytes, bytes]]:
        self._buffer += chunk
        found = []
        while len(self._buffer) >= _HEAD.size:
            kind, size = _HEAD.unpack_from(self._buffer)
            end = _HEAD.size + size
            if len(self._buffer) < end:
                break
            found.append((kind, bytes(self._buffer[_HEAD.size : end])))
            del self._buffer[:end]
        return found

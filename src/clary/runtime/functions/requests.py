"""HTTP/1.1 on the instance's socket, as far as the platform speaks it: requests with a length, kept connections."""

import socket
from collections.abc import Mapping
from typing import NamedTuple

_CHUNK = 1 << 18
_LARGEST_HEAD = 64 * 1024
_SEND_SECONDS = 10.0
_PHRASES = {200: "OK", 400: "Bad Request", 404: "Not Found", 409: "Conflict"}


class BadRequest(Exception):
    """What came is no request."""


class Request(NamedTuple):
    """Header names are lower-case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Connection:
    """One client, which sends a request and waits for its answer."""

    def __init__(self, link: socket.socket) -> None:
        self.link = link
        self.open = True
        link.setblocking(False)
        self._buffer = bytearray()
        self._head: tuple[str, str, dict[str, str], int, int] | None = None

    def take(self) -> Request | None:
        """What has come, once it is a whole request. Raises BadRequest; EOFError when the client has left."""
        try:
            chunk = self.link.recv(_CHUNK)
        except BlockingIOError:
            return None
        except OSError as error:
            raise EOFError from error
        if not chunk:
            raise EOFError
        self._buffer += chunk
        if self._head is None:
            self._head = self._parse()
        if self._head is None or len(self._buffer) < self._head[4]:
            return None
        method, path, headers, start, end = self._head
        body = bytes(self._buffer[start:end])
        del self._buffer[:end]
        self._head = None
        return Request(method, path, headers, body)

    def answer(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """Send an answer whole. That the client has left meanwhile does not matter."""
        extra = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        head = f"HTTP/1.1 {status} {_PHRASES[status]}\r\nContent-Length: {len(body)}\r\n{extra}\r\n".encode("latin-1")
        try:
            self.link.settimeout(_SEND_SECONDS)
            self.link.sendall(head + body)
            self.link.setblocking(False)
        except OSError:
            self.open = False

    def _parse(self) -> tuple[str, str, dict[str, str], int, int] | None:
        at = self._buffer.find(b"\r\n\r\n")
        if at < 0:
            if len(self._buffer) > _LARGEST_HEAD:
                raise BadRequest("the head of the request is too large")
            return None
        first, *lines = self._buffer[:at].decode("latin-1").split("\r\n")
        try:
            method, path, _ = first.split(" ")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            size = int(headers.get("content-length", "0"))
        except ValueError:
            raise BadRequest("it is not HTTP/1.1 as the platform speaks it") from None
        return method, path, headers, at + 4, at + 4 + size

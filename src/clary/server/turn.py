"""One request and its answer: ASGI's `receive` and `send`, and the short way of `clary.whole` beside them."""

import asyncio
import logging
from collections.abc import MutableMapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clary.server.protocol import Connection

_log = logging.getLogger("clary.server")

_MOST_UNREAD_BYTES = 64 * 1024
_JOINED_BYTES = 64 * 1024  # what is larger is not copied behind its head

Message = MutableMapping[str, Any]
Headers = list[tuple[bytes, bytes]]

_STATUS_LINES = {each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n".encode() for each in HTTPStatus}
_CONTROLS = bytes((*range(9), *range(10, 32), 127))  # all but the tab
_NEVER_IN_NAMES = frozenset(b'()<>@,;:[]={} \t\\"') | frozenset(_CONTROLS)
_MOST_NAMES = 1024
_ORDINARY, _LENGTH, _CONNECTION = range(3)
_names = {b"content-length": _LENGTH, b"connection": _CONNECTION}
_DISCONNECT: Message = {"type": "http.disconnect"}
_FAILED = b'{"message":"Clary met a fault of its own. Its log has the details."}'


class Turn:
    """The request is in `scope` until the application has it.

    `done` once the whole answer was written; what is left of the body is then dropped.
    """

    __slots__ = (
        "_chunked",
        "_chunks",
        "_connection",
        "_delivered",
        "_gone",
        "_head",
        "_left",
        "_method",
        "_more",
        "_news",
        "_started",
        "_unread",
        "_version",
        "done",
        "expects_continue",
        "keep_alive",
        "scope",
    )

    def __init__(self, connection: "Connection", method: str, version: str) -> None:
        self.scope: Message = {}
        self.keep_alive = True
        self.expects_continue = False
        self.done = False
        self._connection = connection
        self._method = method
        self._version = version
        self._chunks: list[bytes] = []
        self._unread = 0
        self._more = True  # of the body is to come
        self._delivered = False  # the end of the body was received
        self._gone = False
        self._news: asyncio.Event | None = None
        self._started = False
        self._head = b""
        self._chunked = False
        self._left = -1  # bytes of the body still to be sent; -1 when nobody said

    # what the connection tells

    def feed(self, chunk: bytes) -> None:
        if self.done:
            return
        self._chunks.append(chunk)
        self._unread += len(chunk)
        if self._unread > _MOST_UNREAD_BYTES:
            self._connection.pause_reading()
        self._tell()

    def complete(self) -> None:
        self._more = False
        self._tell()

    def lose(self) -> None:
        """There is nobody left to answer."""
        self._gone = True
        self._tell()

    def half_closed(self) -> None:
        """The client sends no more. In the middle of a stream it is most likely gone: who makes it need not go on."""
        if self._chunked:
            self.lose()

    def over(self, task: "asyncio.Task[None]") -> None:
        """The application has returned. A fault in it ends the connection, so that no client takes a part for all."""
        connection = self._connection
        connection.state.tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.error("the answer to a %s failed", self._method, exc_info=error)
        if self.done:
            return
        if self._started or self._gone:
            self.done = True
            connection.transport.abort()
            return
        self.keep_alive = False
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_FAILED))]
        self._write(self._begin(500, headers), b"" if self._method == "HEAD" else _FAILED)
        self._finish()

    def _tell(self) -> None:
        if self._news is not None:
            self._news.set()

    # gateway.bodies.Whole

    def take_body(self) -> bytes | None:
        """The body, if all of it is here and none of it was received yet."""
        if self._more or self._delivered or self._gone:
            return None
        self._delivered = True
        return self._take()

    def answer(self, status: int, headers: Headers, body: bytes) -> bool:
        """Send the whole answer; False, and nothing sent, when it has to wait for the client to take others first."""
        writable = self._connection.writable
        if self._started or (writable is not None and not writable.is_set()):
            return False
        if not self._gone:
            self._write(self._begin(status, headers), body)
        self._finish()
        return True

    # ASGI

    async def receive(self) -> Message:
        """More of the body as soon as there is some; `http.disconnect` when the client is gone or has its answer."""
        connection = self._connection
        if self.expects_continue and not self._started and not self._gone:
            self.expects_continue = False
            connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        while not (self._gone or self.done):
            if self._chunks or not (self._more or self._delivered):
                self._delivered = not self._more
                return {"type": "http.request", "body": self._take(), "more_body": self._more}
            connection.resume_reading()
            if self._news is None:
                self._news = asyncio.Event()
            self._news.clear()
            await self._news.wait()
        return _DISCONNECT

    def _take(self) -> bytes:
        chunks, self._chunks, self._unread = self._chunks, [], 0
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def send(self, message: Message) -> None:
        """Write a part of the answer, once the client has taken most of what it was sent before.

        Raises RuntimeError for an answer that is not what its head says. Does nothing when the client is gone.
        """
        writable = self._connection.writable
        if writable is not None and not self._gone:
            await writable.wait()
        if self._gone:
            return
        if message["type"] == "http.response.start":
            if self._started:
                raise RuntimeError("an answer has begun already")
            head = self._begin(message["status"], message.get("headers", []))
            if self._left < 0:
                self._connection.write(head)  # what a stream sends first may take its time
            else:
                self._head = head
            return
        if not self._started or self.done:
            raise RuntimeError("a part of an answer must come between its head and its end")
        self._send_part(message.get("body", b""), more=message.get("more_body", False))

    def _send_part(self, body: bytes, *, more: bool) -> None:
        head, self._head = self._head, b""
        if self._method == "HEAD":
            self._left, body = 0, b""
        if self._left >= 0:
            self._left -= len(body)
            if self._left < 0 or (self._left > 0 and not more):
                raise RuntimeError("an answer must be as long as its content-length")
            self._write(head, body)
        elif not self._chunked:
            self._write(head, body)
        elif body:
            self._write(b"%x\r\n" % len(body), body + (b"\r\n" if more else b"\r\n0\r\n\r\n"))
        elif not more:
            self._connection.write(b"0\r\n\r\n")
        if not more:
            self._finish()

    def _write(self, head: bytes, body: bytes) -> None:
        if len(body) > _JOINED_BYTES and head:
            self._connection.write(head, body)
        elif head or body:
            self._connection.write(head + body if head else body)

    def _finish(self) -> None:
        self.done = True
        self._chunks.clear()
        self._tell()
        self._connection.answered(self)

    def _begin(self, status: int, headers: Headers) -> bytes:
        """The head of the answer. Raises RuntimeError for a header that would not stay one line."""
        says_close = False
        for name, value in headers:
            kind = _names.get(name)
            if kind is None:
                _check_name(name)
            elif kind == _LENGTH:
                self._left = int(value)
            elif kind == _CONNECTION and b"close" in value.lower():
                says_close = True
                self.keep_alive = False
        lines = [*self._connection.state.default_headers, *headers]
        if self._left < 0 and self._method != "HEAD" and status not in (204, 304):
            self._chunked = self._version == "1.1"
            if self._chunked:
                lines.append((b"transfer-encoding", b"chunked"))
            else:
                self.keep_alive = False
        elif self._left < 0:
            self._left = 0
        if not self.keep_alive and not says_close:
            lines.append((b"connection", b"close"))
        text = b"\r\n".join([b": ".join(line) for line in lines])
        if len(text) - len(text.translate(None, _CONTROLS)) != 2 * (len(lines) - 1):
            raise RuntimeError("a header holds a control character")
        self._started = True
        return b"%b%b\r\n\r\n" % (_STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status, text)


def _check_name(name: bytes) -> None:
    if not name or name != name.lower() or not _NEVER_IN_NAMES.isdisjoint(name):
        raise RuntimeError(f"{name!r} cannot name a header")
    if len(_names) < _MOST_NAMES:
        _names[name] = _ORDINARY

"""HTTP/1.1 for one application: connections on a listening socket, and exchanges of one request and its answer.

A request whose head has been seen before, byte for byte, is not parsed again: callers that ask a model over and over
differ in the body alone. Everything else goes through the parser, and both ways end in the same Exchange.
"""

import asyncio
import email.utils
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Protocol, cast

import httptools

from clary.runtime.inference.contract import TEXT, Reply

HEAD_BYTES = 64 * 1024
KEEP_ALIVE_SECONDS = 75.0
# For a head, and for each further part of a body, to arrive.
ARRIVAL_SECONDS = 30.0
# For a caller to take the rest of an answer to a request that was refused before it was read.
LINGER_SECONDS = 5.0
SWEEP_SECONDS = 1.0
HEADS_KEPT = 512
NEVER = float("inf")

STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus if status >= 200
}
TOO_LONG = Reply(f"the head is over {HEAD_BYTES} bytes".encode(), TEXT, 431)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

Headers = list[tuple[bytes, bytes]]


class Head:
    """What comes before a request's body. `path` is as sent, with what follows `?` in `query`; names are lower case."""

    __slots__ = ("accept", "content_type", "headers", "keep_alive", "length", "method", "old", "path", "query")

    def __init__(self, method: str, url: bytes, headers: Headers, *, keep_alive: bool, old: bool, length: int) -> None:
        path, _, query = url.partition(b"?")
        self.method = method
        self.path = path.decode("latin-1")
        self.query = query.decode("latin-1")
        self.headers = headers
        self.keep_alive = keep_alive
        self.old = old  # HTTP/1.0, which knows no chunks
        self.length = length
        self.content_type = self.accept = b""
        for name, value in headers:
            if name == b"content-type":
                self.content_type = value
            elif name == b"accept":
                self.accept = value


class Watcher(Protocol):
    """Who wants to know how a streamed answer is taken."""

    def writable(self, able: bool) -> None:
        """The caller takes more, or has enough for now."""

    def gone(self) -> None:
        """The caller has left; what is sent from now on goes nowhere."""


class Exchange:
    """One request and its answer: `answer`, or `begin`, any number of `piece`, and `end` or `abort`. On the loop."""

    __slots__ = ("_connection", "body", "head", "over", "watcher")

    def __init__(self, connection: "Connection", head: Head, body: bytes) -> None:
        self._connection = connection
        self.head = head
        self.body = body
        self.over = False
        self.watcher: Watcher | None = None

    def answer(self, reply: Reply) -> None:
        """Send the whole answer. Does nothing when there has been one, as when a request ran out of time."""
        if not self.over:
            self.over = True
            self._connection.write_answer(self.head, reply)
            self._connection.next()

    def begin(self, reply: Reply) -> None:
        self._connection.write_beginning(self.head, reply)

    def piece(self, data: bytes) -> None:
        if not self.over:
            self._connection.write_piece(self.head, data)

    def end(self) -> None:
        if not self.over:
            self.over = True
            self._connection.write_end(self.head)
            self._connection.next()

    def abort(self) -> None:
        """Break the connection, so that the caller notices that the answer is not whole."""
        if not self.over:
            self.over = True
            self._connection.abort()

    def lost(self) -> None:
        self.over = True
        if self.watcher is not None:
            self.watcher.gone()


class Face:
    """What all connections of a server share. `handler` is called on the loop with each request and must not block."""

    def __init__(self, handler: Callable[[Exchange], None], *, max_body: int, stall_seconds: float) -> None:
        self.handler = handler
        self.max_body = max_body
        self.stall_seconds = stall_seconds
        self.connections: set[Connection] = set()
        self.heads: dict[bytes, Head] = {}
        self.draining = False
        self.changed = asyncio.Event()
        self._tick()

    async def sweep(self) -> None:
        """Keep the date, and close connections on which nothing has happened for too long. Runs until cancelled."""
        while True:
            self._tick()
            for connection in [one for one in self.connections if one.deadline < self.now]:
                connection.expire()
            await asyncio.sleep(SWEEP_SECONDS)

    async def drain(self, seconds: float) -> None:
        """Close connections as soon as their exchanges are over; those that last longer than `seconds` are broken."""
        self.draining = True
        for connection in list(self.connections):
            connection.close_when_idle()
        try:
            async with asyncio.timeout(seconds):
                while self.connections:
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            for connection in list(self.connections):
                connection.abort()

    def _tick(self) -> None:
        self.now = asyncio.get_running_loop().time()
        self.date = f"date: {email.utils.formatdate(time.time(), usegmt=True)}\r\n".encode()

    def keep_head(self, text: bytes, head: Head) -> None:
        if len(self.heads) >= HEADS_KEPT:
            self.heads.clear()
        self.heads[text] = head


class Connection(asyncio.Protocol):
    """One caller. Requests that come while one is answered wait their turn, and the caller is held back meanwhile."""

    def __init__(self, face: Face) -> None:
        self._face = face
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._parser: Any = None
        self._current: Exchange | None = None
        self._pending: deque[Exchange] = deque()
        self._between = True  # whether the parser is between two requests
        self._in_head = False
        self._clogged = False  # whether the caller has not yet taken what was sent
        self._pumping = self._paused = self._ended = False
        self._refusal: Reply | None = None
        self._discarding = False
        self._headers: Headers = []
        self._url = b""
        self._chunks: list[bytes] = []
        self._size = self._head_size = self._length = 0
        self._continue = False
        self.deadline = NEVER

    # What the transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpRequestParser(self)
        self._face.connections.add(self)
        self.deadline = self._face.now + KEEP_ALIVE_SECONDS
        if self._face.draining:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self._between and self._current is None and not self._clogged:
            end = data.find(b"\r\n\r\n") + 4
            head = self._face.heads.get(data[:end])
            if head is not None and len(data) == end + head.length:
                self.deadline = NEVER
                exchange = self._current = Exchange(self, head, data[end:])
                self._face.handler(exchange)
                return
        if not self._discarding:
            self._feed(data)

    def eof_received(self) -> bool:
        """A caller may close its side and wait for the answer to what it has sent."""
        self._ended = True
        return (self._current is not None or bool(self._pending)) and not self._hung_up()

    def connection_lost(self, error: Exception | None) -> None:
        self._face.connections.discard(self)
        self._face.changed.set()
        self.deadline = NEVER
        waiting = [*self._pending] if self._current is None else [self._current, *self._pending]
        self._pending.clear()
        self._current = None
        for exchange in waiting:
            exchange.lost()

    def pause_writing(self) -> None:
        self._clogged = True
        self.deadline = self._face.now + self._face.stall_seconds
        if self._current is not None and self._current.watcher is not None:
            self._current.watcher.writable(False)

    def resume_writing(self) -> None:
        self._clogged = False
        self.deadline = NEVER if self._current is not None else self._face.now + KEEP_ALIVE_SECONDS
        if self._current is not None and self._current.watcher is not None:
            self._current.watcher.writable(True)
        self._pump()

    # What the parser says

    def on_message_begin(self) -> None:
        self._between = False
        self._in_head = True
        self._url, self._headers, self._chunks = b"", [], []
        self._size = self._head_size = 0
        self._length = 0

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        for name, value in self._headers:
            if name == b"content-length" and value.isdigit():
                self._length = int(value)
            elif name == b"expect" and value.lower() == b"100-continue":
                self._continue = True
        if len(self._url) + sum(len(name) + len(value) for name, value in self._headers) > HEAD_BYTES:
            self._refusal = TOO_LONG
        elif self._length > self._face.max_body:
            self._refuse_body()

    def on_body(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > self._face.max_body:
            self._refuse_body()
        if self._refusal is None:
            self._chunks.append(chunk)

    def on_message_complete(self) -> None:
        self._between = True
        self._continue = False
        if self._refusal is None:
            body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
            self._chunks = []
            self._pending.append(Exchange(self, self._make_head(), body))

    # How an answer is written

    def write_answer(self, head: Head, reply: Reply) -> None:
        body = cast(bytes, reply.body)
        close = b"" if head.keep_alive and not self._face.draining else b"connection: close\r\n"
        if reply.status == 204:
            self._transport.write(b"%b%b%b\r\n" % (STATUS_LINES[204], self._face.date, close))
            return
        text = b"%b%bcontent-type: %b\r\ncontent-length: %d\r\n%b\r\n" % (
            STATUS_LINES[reply.status], self._face.date, _header_value(reply.content_type), len(body), close,
        )  # fmt: skip
        if head.method == "HEAD":
            body = b""
        if len(body) < 65536:
            self._transport.write(text + body)
        else:
            self._transport.write(text)
            self._transport.write(body)

    def write_beginning(self, head: Head, reply: Reply) -> None:
        framing = b"connection: close\r\n" if head.old else b"transfer-encoding: chunked\r\n"
        if not head.old and (not head.keep_alive or self._face.draining):
            framing += b"connection: close\r\n"
        self._transport.write(
            b"%b%bcontent-type: %b\r\n%b\r\n"
            % (STATUS_LINES[reply.status], self._face.date, _header_value(reply.content_type), framing)
        )

    def write_piece(self, head: Head, data: bytes) -> None:
        self._transport.write(data if head.old else b"%x\r\n%b\r\n" % (len(data), data))

    def write_end(self, head: Head) -> None:
        if head.old:
            head.keep_alive = False
        else:
            self._transport.write(b"0\r\n\r\n")

    def next(self) -> None:
        """The exchange under way is over: go on to the next request, or wait for one, or close."""
        exchange, self._current = self._current, None
        if exchange is not None and (not exchange.head.keep_alive or self._face.draining):
            self._pending.clear()
            self._transport.close()
            return
        if not self._pumping and (self._pending or not self._between or self._refusal or self._paused or self._ended):
            self._pump()
        elif self.deadline == NEVER:
            self.deadline = self._face.now + KEEP_ALIVE_SECONDS

    def close_when_idle(self) -> None:
        if self._current is None and not self._pending and self._between:
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def expire(self) -> None:
        """Nothing has happened for too long: say so to a caller who is halfway through a request, and leave."""
        self.deadline = NEVER
        if self._current is None and not self._between and not self._discarding and not self._ended:
            self._close_with(Reply(b"the request did not arrive in time", TEXT, 408))
        else:
            self._transport.abort()

    # Inside

    def _feed(self, data: bytes) -> None:
        fresh = self._between and self._current is None and not self._pending
        if self._current is None:
            self.deadline = self._face.now + ARRIVAL_SECONDS
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Other protocols are not spoken; the request has been taken as one of HTTP/1.1, and is the last.
            if self._pending:
                self._pending[-1].head.keep_alive = False
        except httptools.HttpParserError as error:
            if self._refusal is None:
                self._refusal = Reply(f"the request is not HTTP/1.1: {error}".encode(), TEXT, 400)
        if self._in_head:
            self._head_size += len(data)
            if self._head_size > HEAD_BYTES and self._refusal is None:
                self._refusal = TOO_LONG
        if fresh and len(self._pending) == 1 and self._between:
            self._remember(data, self._pending[0])
        self._pump()

    def _make_head(self) -> Head:
        return Head(
            self._parser.get_method().decode("latin-1"),
            self._url,
            self._headers,
            keep_alive=self._parser.should_keep_alive(),
            old=self._parser.get_http_version() == "1.0",
            length=self._length,
        )

    def _remember(self, data: bytes, exchange: Exchange) -> None:
        """Keep a head that says no more than how long its body is, so that its like need not be parsed."""
        end = data.find(b"\r\n\r\n") + 4
        head = exchange.head
        plain = head.keep_alive and not head.old and head.length == len(exchange.body) == len(data) - end
        if plain and end <= 2048 and not any(
            name in (b"transfer-encoding", b"expect", b"upgrade", b"connection") for name, _ in head.headers
        ):  # fmt: skip
            self._face.keep_head(data[:end], head)

    def _pump(self) -> None:
        """Answer what waits, one after the other; hold the caller back while something does."""
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._pending and self._current is None and not self._clogged:
                self.deadline = NEVER
                self._current = self._pending.popleft()
                self._face.handler(self._current)
        finally:
            self._pumping = False
        if self._transport.is_closing():
            return
        if self._current is None and not self._pending:
            self._when_idle()
        elif self._pending and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _when_idle(self) -> None:
        if self._refusal is not None:
            self._close_with(self._refusal)
        elif self._ended:
            self._transport.close()
        else:
            if self._paused:
                self._paused = False
                self._transport.resume_reading()
            if self._continue:
                self._continue = False
                self._transport.write(CONTINUE)
            if not self._clogged:
                self.deadline = self._face.now + (KEEP_ALIVE_SECONDS if self._between else ARRIVAL_SECONDS)

    def _close_with(self, reply: Reply) -> None:
        """Answer a request that is not read to its end. To close at once could keep the answer from arriving."""
        head = Head("POST", b"", [], keep_alive=False, old=False, length=0)
        self.write_answer(head, reply)
        if self._ended:
            self._transport.close()
            return
        self._discarding = True
        self._between = False
        self.deadline = self._face.now + LINGER_SECONDS
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _refuse_body(self) -> None:
        if self._refusal is None:
            text = f"the request body is over {self._face.max_body} bytes (MAX_CONTENT_LENGTH)"
            self._refusal = Reply(text.encode(), TEXT, 413)
            self._chunks = []

    def _hung_up(self) -> bool:
        """Whether the caller has closed both sides. On TCP that shows only when something is sent to it."""
        found: socket.socket | None = self._transport.get_extra_info("socket")
        if found is None or not hasattr(select, "poll"):
            return False
        poll = select.poll()
        poll.register(found.fileno(), 0)
        return any(events & (select.POLLHUP | select.POLLERR) for _, events in poll.poll(0))


_VALUES: dict[str, bytes] = {}


def _header_value(text: str) -> bytes:
    """The type may come from a user's script; a line break in it would begin another header."""
    value = _VALUES.get(text)
    if value is None:
        value = "".join(character for character in text if character.isprintable()).encode("latin-1", "replace")
        if len(_VALUES) < HEADS_KEPT:
            _VALUES[text] = value
    return value

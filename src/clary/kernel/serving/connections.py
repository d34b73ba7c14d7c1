"""Keep-alive HTTP/1.1 connections to one model server, for the event loop they are used on.

Made for the path of every invocation: one write per request, one parser per connection, large bodies never copied on
the way out and joined at most once on the way in.

    ServerError
    ├── Unreachable   no connection could be made, or the server left without taking the request: another may be asked
    ├── TimedOut      the answer was not whole in time
    └── Broken        the server closed the connection before its answer was whole, or what it answered is none
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from typing import Any, cast

import httptools

MOST_CONNECTIONS = 512
LONGEST_IDLE_SECONDS = 1.5  # below the keep-alive times of common servers, so that they rarely close one in use
_CONNECT_SECONDS = 5.0
_BUSY_PAUSE_SECONDS = 0.005
_HIGH_WATER_BYTES = 1 << 20
_MOST_BESIDE_BYTES = 64 * 1024  # of an answer's head, or of what frames its body, without a byte of the body

Headers = list[tuple[bytes, bytes]]


class ServerError(Exception):
    """A model server gave no answer."""


class Unreachable(ServerError):
    pass


class TimedOut(ServerError):
    pass


class Broken(ServerError):
    pass


class Answer:
    """A model server's answer. Header names are lower-case. `body` is whole; a streamed answer has `stream` instead."""

    __slots__ = ("body", "headers", "status", "stream")

    def __init__(self, status: int, headers: Headers, body: bytes, stream: "_Stream | None") -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.stream = stream

    def header(self, name: bytes) -> str | None:
        for key, value in self.headers:
            if key == name:
                return value.decode("latin-1")
        return None


class _Connection(asyncio.Protocol):
    """One connection: one request at a time, each answered by completing `waiter`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, largest_body: int) -> None:
        self._loop = loop
        self._largest_body = largest_body
        self._parser: Any = None
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self._headers: Headers = []
        self._chunks: list[bytes] = []
        self._size = 0
        self._beside = 0
        self._stream: _Stream | None = None
        self._over: Callable[[_Connection], None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._in_body = False
        self._active = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._for_one = False
        self.reusable = False
        self.touched = False  # whether a byte of the answer has come
        self.unread = False  # whether the server left without taking all of the request: a Unix socket knows, TCP not
        self.idle_since = 0.0

    @property
    def closed(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def send(
        self, head: bytes, body: bytes, over: "Callable[[_Connection], None] | None" = None
    ) -> "asyncio.Future[Answer]":
        """Write a request; the future holds the answer.

        With `over`, the answer comes without its body, which its stream gives; `over` is called once that has ended.
        """
        assert self._transport is not None
        waiter = self._waiter = self._loop.create_future()
        self._headers, self._chunks, self._size, self._beside = [], [], 0, 0
        self._stream = _Stream(self._transport) if over else None
        self._over = over
        self.touched = self.reusable = self._in_body = False
        self._active = True
        if len(body) < 16384:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)
        return waiter

    async def upload(self, chunks: AsyncIterable[bytes], answer: "asyncio.Future[Answer]") -> None:
        """Send the body of the request whose head was sent, as fast as the server takes it.

        Stops when the server answers or breaks off before it has all; so the connection is not used again.
        """
        self._for_one = True
        async for chunk in chunks:
            if answer.done() or self._transport is None:
                return
            self._transport.write(chunk)
            await self._writable.wait()

    def expire_at(self, deadline: float) -> None:
        """Give up what is awaited at this time of the loop."""
        self._timer = self._loop.call_at(deadline, self._fail, TimedOut("no answer in time"))

    def stay(self) -> None:
        """Take back `expire_at`."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        if not self._active:  # nobody asked
            self.close()
            return
        self.touched = True
        self._beside += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(Broken(f"it answered no HTTP: {error}"))
            self.close()
            return
        if self._beside > _MOST_BESIDE_BYTES:
            self._fail(Broken(f"its answer has {self._beside} bytes of headers or framing in a row"))
            self.close()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self.reusable = False
        self._writable.set()
        self.unread = error is not None  # a clean end says that all has been taken: see `_exchange`
        if self._in_body and error is None and not self._parser.should_keep_alive() and not self._framed():
            self._complete()  # a body without a length ends with its connection
        else:
            self._fail(Broken("it closed the connection before its answer was whole"))

    # httptools

    def on_message_begin(self) -> None:
        if not self._active:  # more than one answer: nobody can tell what the next request would be answered
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._active and not self._in_body:  # else they follow the body, and nobody is to see them
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self._parser.get_status_code() < 200 or not self._active:
            return
        self._in_body = True
        if self._stream is not None:
            self._resolve(b"")

    def on_body(self, chunk: bytes) -> None:
        if not self._active:
            return
        self._beside = 0
        if self._stream is not None:
            self._stream.feed(chunk)
            return
        self._size += len(chunk)
        if self._size > self._largest_body:
            self._fail(Broken(f"its answer is larger than {self._largest_body} bytes"))
            self.close()
            return
        self._chunks.append(chunk)

    def on_message_complete(self) -> None:
        if not self._active:
            return
        if self._parser.get_status_code() < 200:
            self._headers = []
            return
        self._beside = 0
        self.reusable = self._parser.should_keep_alive() and not self._for_one
        self._complete()

    def _framed(self) -> bool:
        return any(name in (b"content-length", b"transfer-encoding") for name, _ in self._headers)

    def _complete(self) -> None:
        self._in_body = self._active = False
        if self._stream is not None:
            self._end_stream(self._stream, None)
        else:
            chunks = self._chunks
            self._resolve(chunks[0] if len(chunks) == 1 else b"".join(chunks))

    def _resolve(self, body: bytes) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(Answer(self._parser.get_status_code(), self._headers, body, self._stream))

    def _end_stream(self, stream: "_Stream", error: ServerError | None) -> None:
        stream.end(error)
        self._stream = None
        over, self._over = self._over, None
        if over is not None:
            over(self)

    def _fail(self, error: ServerError) -> None:
        self._in_body = self._active = False
        self._writable.set()
        if self._stream is not None:
            self._end_stream(self._stream, error)
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)


class _Stream:
    """The chunks of one answer, as they come; the server is held back while nobody takes them."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self.ended = False
        self._error: ServerError | None = None
        self._over: Callable[[], None] | None = None
        self._news = asyncio.Event()

    def feed(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._size += len(chunk)
        if self._size > _HIGH_WATER_BYTES:
            self._transport.pause_reading()
        self._news.set()

    def end(self, error: ServerError | None) -> None:
        self.ended = True
        self._error = error
        self._release()  # what is left to take must not hold back the connection's next answer
        self._news.set()
        if self._over is not None:
            self._over()

    def when_ended(self, over: Callable[[], None]) -> None:
        """Have `over` called once all has come, or no more will: now, when that is so already."""
        if self.ended:
            over()
        else:
            self._over = over

    async def next(self) -> bytes | None:
        """All that has come, at least a byte; None at the end. Raises how the server broke off."""
        while not self._chunks:
            if self.ended:
                if self._error is not None:
                    raise self._error
                return None
            self._news.clear()
            await self._news.wait()
        chunk = b"".join(self._chunks)
        self._chunks.clear()
        self._release()
        return chunk

    def _release(self) -> None:
        if self._size > _HIGH_WATER_BYTES and not self._transport.is_closing():
            self._transport.resume_reading()
        self._size = 0


async def _chunks(connection: _Connection, stream: _Stream) -> AsyncGenerator[bytes, None]:
    try:
        while (chunk := await stream.next()) is not None:
            yield chunk
    finally:
        if not stream.ended:
            connection.close()


_Send = Callable[[_Connection, bytes, bytes, float], Awaitable[Answer]]


class ModelServer:
    """One model server and the connections to it. `address` is `unix:PATH` or `tcp:PORT` on the loopback."""

    def __init__(self, address: str, loop: asyncio.AbstractEventLoop, largest_body: int) -> None:
        self.address = address
        self.outstanding = 0
        self.avoid_until = 0.0  # in the loop's time: others should be asked until then, since it let a request run late
        self._loop = loop
        self._largest_body = largest_body
        self._idle: deque[_Connection] = deque()
        self._open = 0
        self._closed = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def ask(self, head: bytes, body: bytes, timeout_seconds: float) -> Answer:
        """Send a request and return the whole answer. Raises ServerError."""
        self.outstanding += 1
        try:
            connection, answer = await self._exchange(head, body, self._loop.time() + timeout_seconds, self._send)
            self._give_back(connection)
            return answer
        finally:
            self.outstanding -= 1

    async def ask_streamed(
        self, head: bytes, body: bytes, timeout_seconds: float, over: Callable[[], None] | None = None
    ) -> tuple[Answer, AsyncGenerator[bytes, None]]:
        """Send a request and return the answer without its body, and the body as it comes. Raises ServerError.

        The time is for the whole answer. Close the iterator to take no more of it. `over` is called when the answer
        has ended, in one way or another, even when nobody takes it; not when there is none.
        """
        deadline = self._loop.time() + timeout_seconds
        connection, answer = await self._exchange(head, body, deadline, self._send_streamed)
        assert answer.stream is not None
        if over is not None:
            answer.stream.when_ended(over)
        return answer, _chunks(connection, answer.stream)

    async def ask_uploading(
        self, head: bytes, chunks: AsyncIterable[bytes], timeout_seconds: float
    ) -> tuple[Answer, AsyncGenerator[bytes, None]]:
        """`ask_streamed` for a body that is sent as it comes, over a connection for this request alone.

        What `chunks` raises is passed on, and the server sees the request broken off.
        """
        deadline = self._loop.time() + timeout_seconds
        connection = await self._connect(deadline)
        connection.expire_at(deadline)
        self.outstanding += 1
        waiter = connection.send(head, b"", self._streamed)
        try:
            await connection.upload(chunks, waiter)
            answer = await waiter
        except BaseException:
            waiter.cancel()
            connection.close()
            raise
        assert answer.stream is not None
        return answer, _chunks(connection, answer.stream)

    async def _exchange(self, head: bytes, body: bytes, deadline: float, send: _Send) -> tuple[_Connection, Answer]:
        kept = self._idle_connection()
        if kept is None:
            connection = await self._another(deadline)
        else:
            try:
                return kept, await send(kept, head, body, deadline)
            except Broken:
                # A server may close a kept connection in the instant that a request is written to it. One that took
                # the request and died may have died of it: another must not be given it. A Unix socket tells these
                # apart.
                if kept.touched or not (kept.unread or self.address.startswith("tcp:")):
                    raise
            connection = await self._connect(deadline)
        try:
            return connection, await send(connection, head, body, deadline)
        except Broken:
            if connection.touched or not connection.unread or self.address.startswith("tcp:"):
                raise
            raise Unreachable("the model server left without taking the request") from None

    async def _send(self, connection: _Connection, head: bytes, body: bytes, deadline: float) -> Answer:
        connection.expire_at(deadline)
        try:
            return await connection.send(head, body)
        except BaseException:
            self._drop(connection)  # the answer to a request given up may still come: nobody else must get it
            raise

    async def _send_streamed(self, connection: _Connection, head: bytes, body: bytes, deadline: float) -> Answer:
        connection.expire_at(deadline)
        self.outstanding += 1
        try:
            return await connection.send(head, body, self._streamed)
        except BaseException:
            connection.close()
            raise

    def _streamed(self, connection: _Connection) -> None:
        """A streamed answer has ended, in one way or another."""
        self.outstanding -= 1
        self._give_back(connection)

    def _idle_connection(self) -> _Connection | None:
        oldest = self._loop.time() - LONGEST_IDLE_SECONDS
        while self._idle:
            connection = self._idle.pop()
            if connection.idle_since >= oldest and not connection.closed:
                return connection
            self._drop(connection)
        return None

    async def _another(self, deadline: float) -> _Connection:
        """A connection when none is idle: a new one, or, when there are too many, the next that is given back."""
        while self._open >= MOST_CONNECTIONS:
            turn: asyncio.Future[None] = self._loop.create_future()
            self._waiting.append(turn)
            try:
                async with asyncio.timeout_at(deadline):
                    await turn
            except TimeoutError:
                raise TimedOut(f"all {MOST_CONNECTIONS} connections to the model server were busy") from None
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._next_turn()
                raise
            connection = self._idle_connection()
            if connection is not None:
                return connection
        return await self._connect(deadline)

    async def _connect(self, deadline: float) -> _Connection:
        self._open += 1
        connection = _Connection(self._loop, self._largest_body)
        try:
            async with asyncio.timeout_at(min(deadline, self._loop.time() + _CONNECT_SECONDS)):
                await self._reach(connection)
            if connection.closed:
                raise ConnectionResetError("it was closed as soon as it was made")
        except (OSError, TimeoutError) as error:
            self._drop(connection)
            raise Unreachable(f"no connection to the model server: {error}") from None
        except BaseException:
            self._drop(connection)
            raise
        return connection

    async def _reach(self, connection: _Connection) -> None:
        kind, _, place = self.address.partition(":")
        while True:
            try:
                if kind == "unix":
                    await self._loop.create_unix_connection(lambda: connection, place)
                else:
                    await self._loop.create_connection(lambda: connection, "127.0.0.1", int(place))
                return
            except BlockingIOError:  # a Unix socket whose queue is full says so instead of letting one wait
                await asyncio.sleep(_BUSY_PAUSE_SECONDS)

    def _give_back(self, connection: _Connection) -> None:
        connection.stay()
        if not connection.reusable or connection.closed or self._closed:
            self._drop(connection)
            return
        connection.idle_since = now = self._loop.time()
        idle = self._idle
        idle.append(connection)
        if idle[0].idle_since < now - LONGEST_IDLE_SECONDS:
            self._drop(idle.popleft())
        elif self._waiting:
            self._next_turn()

    def _drop(self, connection: _Connection) -> None:
        connection.stay()
        connection.close()
        self._open -= 1
        if self._waiting:
            self._next_turn()

    def _next_turn(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def close(self) -> None:
        """Close every connection, each when the request on it is done."""
        self._closed = True
        while self._idle:
            self._drop(self._idle.pop())

"""HTTP/2 without TLS, for clients that know beforehand that a server speaks it: to Kinesis, the AWS SDKs for
JavaScript and Java do so by themselves.

A connection that begins with HTTP/2's preface comes here from `protocol`. Frames, their order and the compression of
headers are the work of h2; this file has the requests, which the same application answers side by side, and the bounds
on what a client may cost: so many streams, windows that open again when the application has read, and hardly more
resets than answers.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any
from urllib.parse import unquote

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
from uvicorn.server import ServerState

from clary.server.patience import Patience

_log = logging.getLogger("clary.server")

_MOST_STREAMS = 256
_STREAM_WINDOW_BYTES = 256 * 1024
_WINDOW_BYTES = 1024 * 1024  # of a connection
_PREFACE_BYTES = 24
_FRAME_HEAD_BYTES = 9
_MOST_FRAME_BYTES = 16 * 1024
_MOST_HEADER_BYTES = 64 * 1024
_MOST_SENT_AT_ONCE = 256 * 1024
_FIRST_SECONDS = 20.0
_RESETS_ALLOWED = 100
_OF_CONNECTIONS = frozenset((b"connection", b"keep-alive", b"transfer-encoding", b"upgrade"))
_CONTROLS = bytes((*range(9), *range(10, 32), 127))  # all but the tab

Message = MutableMapping[str, Any]
App = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Coroutine[Any, Any, None]
]
_DISCONNECT: Message = {"type": "http.disconnect"}


class Http2Connection(asyncio.Protocol):
    """One client's connection: its requests are answered side by side."""

    def __init__(
        self,
        app: App,
        state: ServerState,
        patience: Patience,
        transport: asyncio.Transport,
        base: Message,
        app_state: dict[str, Any],
        keep_alive_seconds: float,
    ) -> None:
        self.transport = transport
        self.state = state
        self.deadline: float | None = patience.now + _FIRST_SECONDS
        self.writable = asyncio.Event()
        self.writable.set()
        self.frames = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding=None, validate_inbound_headers=True)
        )
        self._app = app
        self._patience = patience
        self._base = base
        self._app_state = app_state
        self._keep_alive_seconds = keep_alive_seconds
        self._loop = asyncio.get_running_loop()
        self._streams: dict[int, Stream] = {}
        self._ending = False
        self._answered = 0
        self._resets = 0
        self._head = b""  # of a frame, if not all of it is here
        self._left = _PREFACE_BYTES  # until the next frame begins
        self._written = 0
        self._taken = 0
        self._stalled_at = 0.0
        state.connections.add(self)  # type: ignore[arg-type]  # uvicorn's type knows only its own

    def begin(self, data: bytes) -> None:
        """Say how this end wants it, and take in the preface and what came with it."""
        wanted = {
            h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: _MOST_STREAMS,
            h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: _STREAM_WINDOW_BYTES,
            h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: _MOST_HEADER_BYTES,
            h2.settings.SettingCodes.ENABLE_PUSH: 0,
        }
        self.frames.local_settings = h2.settings.Settings(client=False, initial_values=wanted)
        self.frames.initiate_connection()
        self.frames.increment_flow_control_window(_WINDOW_BYTES)
        self.data_received(data)

    # asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        try:
            self._check_frames(data)
            events = self.frames.receive_data(data)
        except h2.exceptions.ProtocolError:
            self._close()
            return
        for event in events:
            if isinstance(event, h2.events.RequestReceived):
                self._request(event)
            elif isinstance(event, h2.events.DataReceived):
                self._data(event)
            elif isinstance(event, h2.events.StreamEnded):
                self._tell(event.stream_id, Stream.complete)
            elif isinstance(event, h2.events.StreamReset):
                self._tell(event.stream_id, Stream.lose)
                self._resets += 1
            elif isinstance(event, h2.events.WindowUpdated | h2.events.RemoteSettingsChanged):
                for stream in self._streams.values():
                    stream.window.set()
            elif isinstance(event, h2.events.ConnectionTerminated):
                self._say_last()
        if self._resets > _RESETS_ALLOWED + self._answered:
            self.frames.close_connection(h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
            self._close()
            return
        self.flush()
        self._end_if_idle()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.state.connections.discard(self)
        for stream in self._streams.values():
            stream.lose()
        self.writable.set()

    def pause_writing(self) -> None:
        """Nothing more is read until the client has taken what it was sent: what it asks for would be answered, too."""
        self.writable.clear()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.writable.set()
        self.transport.resume_reading()

    # what streams, `patience` and the server ask for

    def flush(self) -> None:
        data = self.frames.data_to_send()
        if data and not self.transport.is_closing():
            self._written += len(data)
            self.transport.write(data)

    def stalled(self, unsent: int, now: float) -> float:
        """For how many seconds the client has taken nothing, `unsent` bytes being left."""
        taken = self._written - unsent
        if taken != self._taken or not self._stalled_at:
            self._taken, self._stalled_at = taken, now
        return now - self._stalled_at

    def answered(self, stream: "Stream", *, whole: bool = True) -> None:
        """A stream has its answer, the whole of it or as much as anybody waited for."""
        self.state.total_requests += 1
        self._answered += whole
        self._streams.pop(stream.id, None)
        self._stalled_at = 0.0
        self._end_if_idle()

    def shutdown(self) -> None:
        """Take no new requests; close as soon as those that are being answered are."""
        try:
            self.frames.close_connection()
        except h2.exceptions.ProtocolError:
            self.transport.close()
        self._say_last()
        self.flush()
        self._end_if_idle()

    def _say_last(self) -> None:
        """There will be no more requests. h2 takes the connection for closed then, but answers are still waited for."""
        self._ending = True
        self.frames.state_machine.state = h2.connection.ConnectionState.SERVER_OPEN

    def _end_if_idle(self) -> None:
        if self._streams:
            self.deadline = None
        elif self._ending:
            self.transport.close()
        else:
            self.deadline = self._patience.now + self._keep_alive_seconds

    def _close(self) -> None:
        self.flush()
        self.transport.close()

    def _check_frames(self, data: bytes) -> None:
        """Raise ProtocolError for a frame that is longer than was agreed. h2 says so too, but when it has all of it."""
        data = self._head + data
        place = self._left
        while place + _FRAME_HEAD_BYTES <= len(data):
            length = int.from_bytes(data[place : place + 3], "big")
            if length > _MOST_FRAME_BYTES:
                raise h2.exceptions.FrameTooLargeError(f"a frame has {length} bytes")
            place += _FRAME_HEAD_BYTES + length
        self._head = data[place:]
        self._left = max(place - len(data), 0)

    def _tell(self, stream_id: int, what: "Callable[[Stream], None]") -> None:
        stream = self._streams.get(stream_id)
        if stream is not None:
            what(stream)

    def _data(self, event: h2.events.DataReceived) -> None:
        length = event.flow_controlled_length or 0
        stream = self._streams.get(event.stream_id or 0)
        if stream is not None and not stream.done:
            stream.feed(event.data or b"", length)
        elif length:
            self.frames.acknowledge_received_data(length, event.stream_id or 0)

    def _request(self, event: h2.events.RequestReceived) -> None:
        stream_id = event.stream_id or 0
        named: dict[bytes, bytes] = {}
        headers: list[tuple[bytes, bytes]] = []
        for name, value in event.headers or ():
            if name.startswith(b":"):
                named[bytes(name)] = bytes(value)
            else:
                headers.append((bytes(name), bytes(value)))
        target = named.get(b":path", b"")
        if self._ending or not target.startswith(b"/"):
            self.frames.reset_stream(stream_id, h2.errors.ErrorCodes.REFUSED_STREAM)
            return
        authority = named.get(b":authority")
        if authority is not None:  # under both names, since clients sign either
            rest = (each for each in headers if each[0] != b"host")
            headers = [(b"host", authority), (b":authority", authority), *rest]
        path, _, query = target.partition(b"?")
        text = path.decode("latin-1")
        method = named[b":method"].decode("latin-1")
        scope = {
            **self._base,
            "http_version": "2",
            "method": method,
            "path": unquote(text) if "%" in text else text,
            "raw_path": path,
            "query_string": query,
            "headers": headers,
            "state": self._app_state,
            "extensions": {},
        }
        stream = self._streams[stream_id] = Stream(self, stream_id, method)
        task = self._loop.create_task(self._app(scope, stream.receive, stream.send))
        self.state.tasks.add(task)
        task.add_done_callback(stream.over)


class Stream:
    """One request and its answer: ASGI's `receive` and `send`. `done` once the whole answer was written."""

    __slots__ = (
        "_chunks",
        "_connection",
        "_gone",
        "_is_whole",
        "_method",
        "_more",
        "_news",
        "_started",
        "done",
        "id",
        "window",
    )

    def __init__(self, connection: Http2Connection, stream_id: int, method: str) -> None:
        self.id = stream_id
        self.done = False
        self.window = asyncio.Event()
        self._connection = connection
        self._method = method
        self._chunks: deque[tuple[bytes, int]] = deque()
        self._more = True  # of the body is to come
        self._is_whole = False  # all of the request was received
        self._gone = False
        self._started = False
        self._news = asyncio.Event()

    # what the connection tells

    def feed(self, chunk: bytes, length: int) -> None:
        self._chunks.append((chunk, length))
        self._news.set()

    def complete(self) -> None:
        self._more = False
        self._is_whole = True
        self._news.set()

    def lose(self) -> None:
        """There is nobody left to answer."""
        self._gone = True
        self._news.set()
        self.window.set()

    def over(self, task: "asyncio.Task[None]") -> None:
        """The application has returned. A fault in it resets the stream, so that no client takes a part for all."""
        connection = self._connection
        connection.state.tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.error("the answer to a %s failed", self._method, exc_info=error)
        if not self.done:
            self.done = True
            if not self._gone:
                self._reset(h2.errors.ErrorCodes.INTERNAL_ERROR)
            connection.answered(self, whole=False)

    # ASGI

    async def receive(self) -> Message:
        """More of the body as soon as there is some; `http.disconnect` when the client is gone or has its answer."""
        while not (self._gone or self.done):
            if self._chunks or not self._more:
                return self._take()
            self._news.clear()
            await self._news.wait()
        return _DISCONNECT

    def _take(self) -> Message:
        """What of the body is here; at its end, the next that is received is the client's leaving."""
        body = b"".join([chunk for chunk, _ in self._chunks])
        length = sum([length for _, length in self._chunks])
        self._chunks.clear()
        if length:
            self._acknowledge(length)
        ended, self._more = not self._more, True
        return {"type": "http.request", "body": body, "more_body": not ended}

    async def send(self, message: Message) -> None:
        """Write a part of the answer, as the client's windows and the socket allow. Does nothing when it is gone.

        Raises RuntimeError for an answer that is not one.
        """
        if self._gone:
            return
        starts = message["type"] == "http.response.start"
        if starts == self._started or self.done:
            raise RuntimeError("an answer is a head, and then its parts until the last")
        try:
            if starts:
                self._begin(message["status"], message.get("headers", []))
            else:
                body = b"" if self._method == "HEAD" else message.get("body", b"")
                await self._write(body, ends=not message.get("more_body", False))
        except h2.exceptions.ProtocolError:
            self.lose()  # the client reset the stream, or was found not to speak HTTP/2

    def _begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        lines = [(name, value) for name, value in headers if name not in _OF_CONNECTIONS]
        if any(len(value) != len(value.translate(None, _CONTROLS)) for _, value in lines):
            raise RuntimeError("a header holds a control character")
        self._started = True
        every = [(b":status", b"%d" % status), *self._connection.state.default_headers, *lines]
        self._connection.frames.send_headers(self.id, every)  # goes with the first part of the body

    async def _write(self, body: bytes, *, ends: bool) -> None:
        connection, frames, left = self._connection, self._connection.frames, memoryview(body)
        while left and not self._gone:
            at_once = 0
            while left and at_once < _MOST_SENT_AT_ONCE:
                room = min(frames.local_flow_control_window(self.id), frames.max_outbound_frame_size, len(left))
                if room <= 0:
                    break
                frames.send_data(self.id, bytes(left[:room]), end_stream=ends and room == len(left))
                left = left[room:]
                at_once += room
            connection.flush()
            if left and not at_once:
                self.window.clear()
                await self.window.wait()
            await connection.writable.wait()
        if self._gone:
            return
        if ends and not body:
            frames.end_stream(self.id)
        connection.flush()
        if ends:
            self._finish()

    def _finish(self) -> None:
        self.done = True
        self._news.set()
        for _, length in self._chunks:
            self._acknowledge(length)
        self._chunks.clear()
        if not self._is_whole:
            self._reset(h2.errors.ErrorCodes.NO_ERROR)  # nobody wants the rest of the request
        self._connection.answered(self)

    def _acknowledge(self, length: int) -> None:
        """Let the client send as much again."""
        try:
            self._connection.frames.acknowledge_received_data(length, self.id)
        except h2.exceptions.ProtocolError:
            return  # the stream or the connection is closed
        self._connection.flush()

    def _reset(self, why: h2.errors.ErrorCodes) -> None:
        try:
            self._connection.frames.reset_stream(self.id, why)
        except h2.exceptions.ProtocolError:
            return  # it is closed by now
        self._connection.flush()

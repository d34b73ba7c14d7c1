"""HTTP/1.1 between sockets and the ASGI application, for uvicorn's server: connections, parsed by httptools.

This file keeps requests in order, holds back who sends too much, and bounds what a client may cost before its request
is known. It is made for many small requests: no timer for each (`patience` looks at all connections once a second) and
one write for each answer (`turn`). A client that half-closes still gets its answer.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, cast
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.server import ServerState

from clary.server.patience import patience_of
from clary.server.turn import Headers, Turn

_log = logging.getLogger("clary.server")

_MAX_HEAD_BYTES = 64 * 1024
_HEAD_SECONDS = 20.0
_LINGER_SECONDS = 10.0
_MOST_NAMES = 1024

Message = MutableMapping[str, Any]
App = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Coroutine[Any, Any, None]
]

_NOT_UNDERSTOOD = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%b"
)
_TOO_MANY = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\nretry-after: 1\r\n\r\n"
_HTTP2 = b"PRI * HTTP/2.0\r\n"
_names: dict[bytes, bytes] = {}


def _lower(name: bytes) -> bytes:
    """A header's name in lower case, remembered: clients send the same ones again and again."""
    lower = name.lower()
    if len(_names) < _MOST_NAMES:
        _names[name] = lower
    return lower


class Connection(asyncio.Protocol):
    """One client's connection: its requests are answered one after the other, in the order they came."""

    transport: asyncio.Transport

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.loop = _loop or asyncio.get_running_loop()
        self.state = server_state
        self.patience = patience_of(server_state, self.loop)
        self.deadline: float | None = None  # when `patience` ends with a client that keeps us waiting
        self.writable: asyncio.Event | None = None  # cleared while the client must take what it was sent
        self._app = cast(App, config.loaded_app)
        self._app_state = app_state
        self._keep_alive_seconds = float(config.timeout_keep_alive)
        self._parser: Any = None
        self._base: Message = {}
        self._current: Turn | None = None  # being answered
        self._arriving: Turn | None = None  # being received; most often the same
        self._waiting: deque[Turn] = deque()
        self._url = b""
        self._headers: Headers = []
        self._head_bytes = 0
        self._in_head = True
        self._is_new = True
        self._reads = True
        self._ended = False  # the client sends no more
        self._written = 0
        self._taken = 0
        self._stalled_at = 0.0

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if len(self.state.connections) >= self.patience.most_connections:
            self.transport.write(_TOO_MANY)
            self.transport.close()
            return
        self.state.connections.add(self)  # type: ignore[arg-type]  # uvicorn's type knows only its own
        self.patience.begin()
        self.deadline = self.patience.now + _HEAD_SECONDS
        self._parser = httptools.HttpRequestParser(self)
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)  # it is not read, so it is no error
        self._base = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "server": _address(transport.get_extra_info("sockname")),
            "client": _address(transport.get_extra_info("peername")),
            "scheme": "http",
            "root_path": "",
        }

    def connection_lost(self, exc: Exception | None) -> None:
        self.state.connections.discard(self)
        self._waiting.clear()
        for turn in (self._current, self._arriving):
            if turn is not None:
                turn.lose()
        self.resume_writing()
        self._parser = None

    def data_received(self, data: bytes) -> None:
        if self._parser is None:
            return
        if self._is_new:
            self._is_new = False
            if data.startswith(_HTTP2):
                self._speak_http2(data)
                return
        if self._in_head:
            if not self._head_bytes and self._current is None:
                self.deadline = self.patience.now + _HEAD_SECONDS
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._parser = None  # answered as if no other protocol had been offered, and closed then
        except httptools.HttpParserError as error:
            if isinstance(error, httptools.HttpParserCallbackError) and not isinstance(error.__context__, _NoTarget):
                _log.error("a request could not be taken in", exc_info=error)
            self._refuse("This is not an HTTP request.")
        if self._in_head and self._head_bytes > _MAX_HEAD_BYTES:
            self._refuse("The request line and headers are larger than 64 KiB.")

    def eof_received(self) -> bool:
        """The client sends no more: it still gets the answers to what it has sent whole."""
        self._ended = True
        if self._current is None or self._arriving is not None:
            return False
        self._current.half_closed()
        return True

    def pause_writing(self) -> None:
        if self.writable is None:
            self.writable = asyncio.Event()
        self.writable.clear()

    def resume_writing(self) -> None:
        if self.writable is not None:
            self.writable.set()

    # httptools

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers = []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # a trailer must not add to what the request began with
            self._headers.append((_names.get(name) or _lower(name), value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        self.deadline = None
        parser = self._parser
        version: str = parser.get_http_version()
        path, query = _target(self._url)
        text = path.decode("latin-1")
        method = parser.get_method().decode("latin-1")
        turn = Turn(self, method, version)
        turn.keep_alive = version == "1.1" and parser.should_keep_alive() and not parser.should_upgrade()
        scope = {
            **self._base,
            "http_version": version,
            "method": method,
            "path": unquote(text) if "%" in text else text,
            "raw_path": path,
            "query_string": query,
            "headers": self._headers,
            "state": self._app_state,
            "extensions": {"clary.whole": turn},
        }
        for name, value in self._headers:
            if name == b"expect":
                turn.expects_continue = value.lower() == b"100-continue"
        turn.scope = scope
        self._arriving = turn
        if self._current is None:
            self._start(turn)
        else:
            self._waiting.append(turn)
            self.pause_reading()

    def on_body(self, body: bytes) -> None:
        if self._arriving is not None:
            self._arriving.feed(body)

    def on_message_complete(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        turn, self._arriving = self._arriving, None
        if turn is None:
            return
        turn.complete()
        if turn.done and not turn.keep_alive:
            self.transport.close()  # that was what we lingered for

    # what turns, `patience` and the server ask for

    def pause_reading(self) -> None:
        if self._reads and not self._ended:
            self._reads = False
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._reads and not self._ended:
            self._reads = True
            self.transport.resume_reading()

    def write(self, *data: bytes) -> None:
        if self.transport.is_closing():
            return  # the client is gone, and with it who would read this
        for each in data:
            self._written += len(each)
        if len(data) == 1:
            self.transport.write(data[0])
        else:
            self.transport.writelines(data)

    def stalled(self, unsent: int, now: float) -> float:
        """For how many seconds the client has taken nothing, `unsent` bytes being left."""
        taken = self._written - unsent
        if taken != self._taken or not self._stalled_at:
            self._taken, self._stalled_at = taken, now
        return now - self._stalled_at

    def answered(self, turn: Turn) -> None:
        """Go on with the next request, or wait for it."""
        self.state.total_requests += 1
        self._current = None
        self._stalled_at = 0.0
        if self._waiting and turn.keep_alive:
            self._start(self._waiting.popleft())
        elif turn.keep_alive and not self._ended:
            patience_seconds = _HEAD_SECONDS if self._head_bytes else self._keep_alive_seconds
            self.deadline = self.patience.now + patience_seconds
            self.resume_reading()
        elif self._arriving is turn and not self._ended and not self.transport.is_closing():
            # A socket closed on a client that is still sending is reset, and the answer may be lost with it.
            self.deadline = self.patience.now + _LINGER_SECONDS
            self.resume_reading()
            self.transport.write_eof()
        else:
            self.transport.close()

    def shutdown(self) -> None:
        """Close as soon as the request that is being answered is."""
        if self._current is None:
            self.transport.close()
        else:
            self._current.keep_alive = False

    def _speak_http2(self, data: bytes) -> None:
        """Hand the connection over to who speaks the newer version that it begins with."""
        from clary.server.http2 import Http2Connection  # few clients need it, and it takes its time to load

        self.state.connections.discard(self)
        self._parser = None
        successor = Http2Connection(
            self._app,
            self.state,
            self.patience,
            self.transport,
            self._base,
            self._app_state,
            self._keep_alive_seconds,
        )
        self.transport.set_protocol(successor)
        successor.begin(data)

    def _start(self, turn: Turn) -> None:
        self._current = turn
        scope, turn.scope = turn.scope, {}  # which refers to the turn
        task = self.loop.create_task(self._app(scope, turn.receive, turn.send))
        self.state.tasks.add(task)
        task.add_done_callback(turn.over)

    def _refuse(self, why: str) -> None:
        """Answer what cannot be understood, and close; but finish an answer that is under way."""
        self._parser = None
        self._waiting.clear()
        if self._current is not None and self._current is not self._arriving:
            self._current.keep_alive = False
            return
        if self._current is None:
            self.write(_NOT_UNDERSTOOD % (len(why), why.encode()))
        self.transport.close()


class _NoTarget(ValueError):
    """The request line names nothing that could be asked for."""


def _target(url: bytes) -> tuple[bytes, bytes]:
    """Path and query of a request line. Raises _NoTarget."""
    if url.startswith(b"/") and b"#" not in url:
        path, _, query = url.partition(b"?")
        return path, query
    try:
        parsed = httptools.parse_url(url)
    except httptools.HttpParserError as error:
        raise _NoTarget(url) from error
    if parsed.path is None:
        raise _NoTarget(url)
    return parsed.path, parsed.query or b""


def _address(name: Any) -> tuple[str, int] | None:
    return (str(name[0]), int(name[1])) if isinstance(name, tuple | list) else None

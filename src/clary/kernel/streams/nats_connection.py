"""A connection to NATS on an event loop in a thread of its own, for callers on any thread or loop.

Made when first used, again in a forked child, and kept through restarts of the server: while there is none, calls
raise StreamError soon instead of waiting, and those that wait for an answer when it is lost, at once.
"""

import asyncio
import contextlib
import itertools
import logging
import os
import re
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

import orjson

from clary.kernel.streams.contract import NoSuchStream, StreamError

T = TypeVar("T")

CONNECT_SECONDS = 5.0  # for a server that refuses, since it may be about to start
_NEXT_SERVER_SECONDS = 2  # for one of several that says nothing
ANSWER_SECONDS = 30.0  # a server that has everything on disk before it answers has much to do when many ask at once
# The first whose JetStream answers a request with many messages, or with those since a time.
_OLDEST_VERSION = (2, 11)
_STREAM_NOT_FOUND = 10059
_LARGEST_BACKLOG_BYTES = 1 << 30
_NO_RESPONDERS = "503"

_log = logging.getLogger("clary.streams")
_all: weakref.WeakSet["NatsConnection"] = weakref.WeakSet()


class Refused(StreamError):
    """The server answered with an error."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"NATS refused: {text}")
        self.code = code


class NoResponders(StreamError):
    """Nobody takes what was sent to that subject."""


class NatsConnection:
    """Safe to share between threads and event loops."""

    def __init__(self, url: str) -> None:
        try:
            import nats
        except ImportError:
            raise StreamError("streams in NATS need the library nats-py: pip install 'clary[nats]'") from None
        self._connect: Callable[..., Any] = nats.connect
        self._url = url
        # What errors and the log say of it: without a user and password.
        self._place = re.sub(r"//[^/@,]*@", "//", url)
        self._closed = False
        self._start_afresh()
        _all.add(self)

    def _start_afresh(self) -> None:
        """Begin with no thread and no connection, as a forked child must: both stayed with its parent."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._nats: Any = None
        self._inbox = ""
        self._last_error = ""
        self._tokens = itertools.count(1)
        self._replies: dict[str, Callable[[Any], None]] = {}
        self._awaited: set[asyncio.Future[Any]] = set()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns on the connection's loop. Blocks."""
        return self.submit(work).result()

    async def run_async(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(self.submit(work))

    def submit(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Start `work` on the connection's loop, after what was submitted before."""
        with self._starting:
            if self._closed:
                work.close()
                raise StreamError("the streams were closed")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._ready = asyncio.Lock()
                self._thread = threading.Thread(target=self._loop.run_forever, name="streams-nats", daemon=True)
                self._thread.start()
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        """Finish what was submitted; later calls raise StreamError."""
        with self._starting:
            if self._closed:
                return
            self._closed = True
            loop, thread = self._loop, self._thread
        if loop is not None and thread is not None:
            asyncio.run_coroutine_threadsafe(self._finish(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    async def _finish(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        ours = [task for task in others if task.get_name() == "streams"]
        if ours:
            await asyncio.wait(ours)
        if self._nats is not None:
            # Closing while the server is away waits for what closing itself has cancelled.
            with contextlib.suppress(Exception, asyncio.CancelledError):
                await self._nats.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)

    # What follows runs on the connection's loop.

    async def connected(self) -> Any:
        """The connection, when there is one. Raises StreamError."""
        task = asyncio.current_task()
        assert task is not None
        task.set_name("streams")
        if self._nats is None:
            async with self._ready:
                if self._nats is None:
                    self._nats = await self._first_connection()
        if not self._nats.is_connected:
            raise StreamError(
                f"the connection to NATS at {self._place} is lost: {self._last_error or 'it will be tried again'}"
            )
        return self._nats

    async def _first_connection(self) -> Any:
        servers, refused = self._url.split(","), asyncio.Event()

        async def note(error: Exception) -> None:
            refused.set()
            self._last_error = str(error) or type(error).__name__
            _log.warning("NATS at %s: %s", self._place, self._last_error)

        async def lose() -> None:
            for answer in list(self._awaited):
                if not answer.done():
                    answer.set_exception(StreamError(f"the connection to NATS at {self._place} was lost meanwhile"))

        connecting = asyncio.ensure_future(
            self._connect(
                servers=servers,
                name="clary",
                error_cb=note,
                disconnected_cb=lose,
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.2,
                connect_timeout=_NEXT_SERVER_SECONDS if len(servers) > 1 else ANSWER_SECONDS,
            )
        )
        try:
            await asyncio.wait({connecting}, timeout=CONNECT_SECONDS)
            # One that has neither refused nor answered is slow.
            patience_seconds = 0.0 if connecting.done() or refused.is_set() else ANSWER_SECONDS - CONNECT_SECONDS
            connection = await asyncio.wait_for(connecting, patience_seconds)
            version = connection.connected_server_version
            if (version.major, version.minor) < _OLDEST_VERSION:
                await connection.close()
                raise StreamError(f"it is version {version}, and streams need 2.11 or newer")
            self._inbox = connection.new_inbox() + "."
            await connection.subscribe(
                self._inbox + "*", cb=self._hear, pending_msgs_limit=-1, pending_bytes_limit=_LARGEST_BACKLOG_BYTES
            )
        except Exception as error:
            told = self._last_error or str(error) or type(error).__name__
            raise StreamError(f"cannot connect to NATS at {self._place}: {told}") from error
        finally:
            connecting.cancel()
        return connection

    async def _hear(self, message: Any) -> None:
        take = self._replies.get(message.subject[len(self._inbox) :])
        if take is not None:
            take(message)

    async def send(self, subject: str, payload: bytes, headers: Mapping[str, str]) -> "asyncio.Future[Any]":
        """Send a message whose answer the future will hold; messages keep the order in which they were sent."""
        connection = await self.connected()
        answer: asyncio.Future[Any] = self._awaiting()
        token = self._expect(lambda message: None if answer.done() else answer.set_result(message))
        answer.add_done_callback(lambda _: self._replies.pop(token, None))
        await self._publish(connection, subject, payload, token, headers)
        return answer

    async def tell(self, subject: str) -> None:
        """Send a message without data that nobody answers."""
        await self._publish(await self.connected(), subject, b"", None, None)

    async def ask(self, subject: str, question: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of JetStream's API. Raises Refused, NoSuchStream and StreamError."""
        answer = await self.send(f"$JS.API.{subject}", orjson.dumps(question), {})
        return answered(await in_time(answer, subject))

    async def collect(self, subject: str, question: Mapping[str, Any], take: Callable[[Any], bool]) -> None:
        """Ask, and give each message that answers to `take` until that says it was the last."""
        connection = await self.connected()
        done: asyncio.Future[None] = self._awaiting()

        def hear(message: Any) -> None:
            if done.done():
                return
            try:
                if take(message):
                    done.set_result(None)
            except StreamError as error:
                done.set_exception(error)

        token = self._expect(hear)
        try:
            await self._publish(connection, f"$JS.API.{subject}", orjson.dumps(question), token, None)
            await in_time(done, subject)
        finally:
            self._replies.pop(token, None)

    @contextlib.asynccontextmanager
    async def subscribed(self, subject: str, hear: Callable[[], None]) -> AsyncIterator[None]:
        """Call `hear` for whatever is sent to `subject` meanwhile."""

        async def take(_: Any) -> None:
            hear()

        connection = await self.connected()
        with as_stream_errors():
            subscription = await connection.subscribe(subject, cb=take)
            await connection.flush()
        try:
            yield
        finally:
            with contextlib.suppress(Exception):
                await subscription.unsubscribe()

    def _awaiting(self) -> "asyncio.Future[Any]":
        """A future for what the server is to answer; StreamError is its exception when the connection is lost first."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._awaited.add(answer)
        answer.add_done_callback(self._answered)
        return answer

    def _answered(self, answer: "asyncio.Future[Any]") -> None:
        self._awaited.discard(answer)
        if not answer.cancelled():
            answer.exception()  # whoever asked may have left: then nobody else looks at it

    def _expect(self, take: Callable[[Any], None]) -> str:
        token = str(next(self._tokens))
        self._replies[token] = take
        return token

    async def _publish(
        self, connection: Any, subject: str, payload: bytes, token: str | None, headers: Mapping[str, str] | None
    ) -> None:
        size = len(payload) + sum(len(name) + len(value) + 4 for name, value in (headers or {}).items()) + 16
        if size > connection.max_payload:
            raise StreamError(
                f"a record of {len(payload)} bytes is more than max_payload of the NATS server allows"
                f" ({connection.max_payload} bytes with its headers): raise that in the server's configuration"
            )
        with as_stream_errors():
            reply = "" if token is None else self._inbox + token
            await connection.publish(subject, payload, reply=reply, headers=headers or None)


async def in_time(answer: "asyncio.Future[T]", what: str) -> T:
    """Wait for an answer. Raises StreamError when it does not come."""
    try:
        return await asyncio.wait_for(answer, ANSWER_SECONDS)
    except TimeoutError:
        raise StreamError(f"NATS did not answer within {ANSWER_SECONDS:.0f} s: {what}") from None


def answered(message: Any) -> dict[str, Any]:
    """What JetStream answered. Raises NoResponders, NoSuchStream and Refused."""
    if status(message) == _NO_RESPONDERS:
        raise NoResponders("nobody at NATS takes this: has the server JetStream, and enough of its cluster?")
    answer: dict[str, Any] = orjson.loads(message.data)
    error = answer.get("error")
    if error is not None:
        if error.get("err_code") == _STREAM_NOT_FOUND:
            raise NoSuchStream("there is no such stream in NATS")
        raise Refused(error.get("err_code", 0), error.get("description", "it did not say why"))
    return answer


def status(message: Any) -> str:
    """The status line of a message that is no record; empty for others."""
    return str(message.headers.get("Status", "")) if message.headers else ""


@contextlib.contextmanager
def as_stream_errors() -> Iterator[None]:
    try:
        yield
    except StreamError:
        raise
    except Exception as error:
        raise StreamError(f"NATS: {error or type(error).__name__}") from error


def _after_fork_in_child() -> None:
    for connection in list(_all):
        connection._start_afresh()


os.register_at_fork(after_in_child=_after_fork_in_child)

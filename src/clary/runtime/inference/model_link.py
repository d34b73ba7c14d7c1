"""The server's end of a model's process: start it, ask it, pass on what it answers, end it."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable
from typing import Any, Protocol, cast

from clary.runtime.inference import frames
from clary.runtime.inference.contract import TEXT, Reply
from clary.runtime.inference.http import Exchange
from clary.runtime.inference.nursery import fork_model, kill_model

# For the nursery to say how a process ended whose socket has closed.
_END_SECONDS = 2.0


class LoadFailed(Exception):
    """The model cannot be loaded; `status` is the answer's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Owner(Protocol):
    """Who is told what becomes of a process."""

    timeout_seconds: float

    def free(self, link: "ModelLink") -> None:
        """It can be asked again."""

    def lost(self, link: "ModelLink") -> None:
        """It has ended, or is about to."""


class ModelLink(asyncio.Protocol):
    """One process, which answers one request at a time."""

    def __init__(self, nursery: socket.socket, owner: Owner, known: "Callable[[ModelLink], None]") -> None:
        self._known = known  # called when the process is
        self._loop = asyncio.get_running_loop()
        self._nursery = nursery
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._unpacker = frames.Unpacker()
        self._asked: Asked | None = None
        self.process = 0
        self.loaded: asyncio.Future[None] = self._loop.create_future()
        self.ended: asyncio.Future[int] = self._loop.create_future()
        self.reason = ""
        self._lost = False

    async def start(self, directory: str) -> None:
        """Have the process forked. `loaded` is done when its model is, with LoadFailed when it cannot be."""
        ours, theirs = socket.socketpair()
        try:
            fork_model(self._nursery, directory, theirs.fileno())
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        await self._loop.create_unix_connection(lambda: self, sock=ours)

    def ask(self, exchange: Exchange, accept: bytes) -> None:
        """Send a request on; the exchange is answered, one way or another."""
        head = exchange.head
        asked = self._asked = Asked(self, exchange, self._owner.timeout_seconds)
        exchange.watcher = asked
        asked.arm()
        facts = {
            "content_type": head.content_type.decode("latin-1"),
            "accept": accept.decode("latin-1"),
            "headers": {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers},
        }
        self.tell(frames.REQUEST, facts, exchange.body)

    def tell(self, kind: int, facts: dict[str, Any] | None = None, body: bytes = b"") -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frames.pack(kind, facts, body))

    def hold(self, held: bool) -> None:
        """Take no more of a stream for now, so that the model waits."""
        if self._transport is None or self._transport.is_closing():
            return
        if held:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def end(self, reason: str) -> None:
        """Kill the process; `reason` is what the call under way is told."""
        if not self._lost:
            self.reason = self.reason or reason
        if self.process:
            kill_model(self._nursery, self.process)
        if self._transport is not None:
            self._transport.abort()

    async def gone(self) -> None:
        """Wait until the process has ended, and its memory is free."""
        if self.process:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self.ended), _END_SECONDS)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        for frame in self._unpacker.feed(data):
            self._take(frame)

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = True
        self._owner.lost(self)
        self._loop.create_task(self._tell_end())

    def _take(self, frame: frames.Frame) -> None:
        if frame.kind == frames.HELLO:
            self.process = frame.facts["pid"]
            self._known(self)
        elif frame.kind == frames.LOADED:
            if not self.loaded.done():
                self.loaded.set_result(None)
        elif frame.kind == frames.FAILED:
            if not self.loaded.done():
                self.loaded.set_exception(LoadFailed(frame.facts["status"], frame.body.decode(errors="replace")))
                self.loaded.exception()  # nobody may be waiting any more
        elif self._asked is not None:
            asked = self._asked
            if frame.kind in (frames.ANSWER, frames.END, frames.BROKEN):
                self._asked = None
                asked.take(frame)
                self._owner.free(self)
            else:
                asked.take(frame)

    async def _tell_end(self) -> None:
        """Say what became of the process to those who wait for something from it."""
        asked, self._asked = self._asked, None
        await self.gone()
        text = self.reason or f"the model's process ended {_how(self.ended.result() if self.ended.done() else None)}"
        if not self.loaded.done():
            self.loaded.set_exception(LoadFailed(500, text))
            self.loaded.exception()  # nobody may be waiting any more
        if asked is not None:
            asked.broken(text)


class Asked:
    """The request that a process is answering."""

    def __init__(self, link: ModelLink, exchange: Exchange, timeout_seconds: float) -> None:
        self._link = link
        self._exchange = exchange
        self._timeout_seconds = timeout_seconds
        self._timer: asyncio.TimerHandle | None = None
        self._streaming = self._gone = False

    def arm(self) -> None:
        self.disarm()
        self._timer = asyncio.get_running_loop().call_later(self._timeout_seconds, self._expire)

    def disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def take(self, frame: frames.Frame) -> None:
        exchange = self._exchange
        if frame.kind == frames.ANSWER:
            self.disarm()
            exchange.answer(Reply(frame.body, frame.facts["content_type"], frame.facts["status"]))
        elif frame.kind == frames.BEGIN:
            self.arm()
            self._streaming = True
            if self._gone:
                self._link.tell(frames.STOP)
            else:
                exchange.begin(Reply(b"", frame.facts["content_type"], frame.facts["status"]))
        elif frame.kind == frames.PIECE:
            self.arm()
            exchange.piece(frame.body)
        elif frame.kind == frames.END:
            self.disarm()
            exchange.end()
        else:
            self.disarm()
            exchange.abort()

    def broken(self, text: str) -> None:
        """The process ended meanwhile."""
        self.disarm()
        if self._streaming:
            self._exchange.abort()
        else:
            self._exchange.answer(Reply(text.encode(errors="replace"), TEXT, 500))

    def writable(self, able: bool) -> None:
        """A caller who takes nothing does not make the model late: the connection has its own patience."""
        self._link.hold(not able)
        if able:
            self.arm()
        else:
            self.disarm()

    def gone(self) -> None:
        """The caller has left. A model cannot be stopped but between two pieces, so wait for that, in time."""
        self._gone = True
        if self._streaming:
            self._link.hold(False)
            self._link.tell(frames.STOP)
            self.arm()

    def _expire(self) -> None:
        self._timer = None
        text = f"the model did not answer within {self._timeout_seconds:g} s"
        if self._streaming:
            self._exchange.abort()
        else:
            self._exchange.answer(Reply(text.encode(), TEXT, 504))
        self._link.end(text)


def _how(code: int | None) -> str:
    if code is None:
        return "in a way that is not known"
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"

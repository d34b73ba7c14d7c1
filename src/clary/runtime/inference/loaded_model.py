"""One model of a multi-model server: its processes, and the calls that wait for them."""

import asyncio
from collections import deque
from collections.abc import Callable

from clary.runtime.inference.calls import WAITING_LIMIT
from clary.runtime.inference.contract import TEXT, Reply
from clary.runtime.inference.http import Exchange
from clary.runtime.inference.model_link import ModelLink


class LoadedModel:
    """Loading, then ready, then ended. `dropped` is called once, when it no longer takes calls."""

    def __init__(self, name: str, url: str, timeout_seconds: float, dropped: Callable[["LoadedModel"], None]) -> None:
        self.name = name
        self.url = url
        self.timeout_seconds = timeout_seconds
        self.links: list[ModelLink] = []
        self.loaded_bytes = 0
        self.ready = False
        self.changed = asyncio.Event()  # set once it is no longer loading
        self._dropped = dropped
        self._ended = False
        self._idle: list[ModelLink] = []
        self._waiting: deque[_Waiting] = deque()
        self._quiet = asyncio.Event()

    @property
    def processes(self) -> list[int]:
        """The process ids that have not ended."""
        return [link.process for link in self.links if link.process and not link.ended.done()]

    def become_ready(self) -> None:
        self._idle = list(self.links)
        self.ready = True
        self.changed.set()

    def ask(self, exchange: Exchange, accept: bytes) -> None:
        """Have the request answered by the next process that is free."""
        if self._idle:
            self._quiet.clear()
            self._idle.pop().ask(exchange, accept)
        elif len(self._waiting) >= WAITING_LIMIT:
            text = f"{len(self._waiting)} requests are waiting for model {self.name!r} already; try again later"
            exchange.answer(Reply(text.encode(), TEXT, 503))
        else:
            self._waiting.append(_Waiting(exchange, accept, self.timeout_seconds))

    def free(self, link: ModelLink) -> None:
        while self._waiting:
            waiting = self._waiting.popleft()
            waiting.timer.cancel()
            if not waiting.exchange.over:
                link.ask(waiting.exchange, waiting.accept)
                return
        self._idle.append(link)
        if len(self._idle) == len(self.links):
            self._quiet.set()

    def lost(self, link: ModelLink) -> None:
        if link in self._idle:
            self._idle.remove(link)
        self.end("a process of the model ended")

    async def finish(self) -> None:
        """Take no more calls, and wait until those taken are over."""
        self._leave()
        while self.changed.is_set() and not self._ended and len(self._idle) < len(self.links):
            self._quiet.clear()
            await self._quiet.wait()

    def end(self, reason: str) -> None:
        """Take no more calls, and kill the processes: calls under way get a 5xx that says `reason`."""
        if self._ended:
            return
        self._ended = True
        self._leave()
        self.changed.set()
        for link in self.links:
            link.end(reason)
        while self._waiting:
            waiting = self._waiting.popleft()
            waiting.timer.cancel()
            waiting.exchange.answer(Reply(f"model {self.name!r} is not loaded: {reason}".encode(), TEXT, 404))
        self._quiet.set()

    async def gone(self) -> None:
        """Wait until no process is left of it."""
        for link in self.links:
            await link.gone()

    def _leave(self) -> None:
        self.ready = False
        self._dropped(self)


class _Waiting:
    def __init__(self, exchange: Exchange, accept: bytes, timeout_seconds: float) -> None:
        self.exchange = exchange
        self.accept = accept
        text = f"the model did not answer within {timeout_seconds:g} s".encode()
        self.timer = asyncio.get_running_loop().call_later(timeout_seconds, exchange.answer, Reply(text, TEXT, 504))

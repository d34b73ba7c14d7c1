"""The gate before instances that come on demand, in one process: who is let in, who waits, who is refused.

Each instance gets one request at a time. A request that finds none free waits while whoever runs the instances, told
of the demand, starts one. Each process counts its own requests: several together may have more under way than there
may be at once, though there are never more instances.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NamedTuple

from clary.kernel.events.bells import Bells
from clary.kernel.serving.demand import Demands

_LOOK_AGAIN_SECONDS = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """An instance that a request has for itself."""

    instance: str


class Opening(NamedTuple):
    """The instances there are now, and how many requests may be under way at once."""

    servers: Collection[str]
    most: int


class Gate:
    """The requests of this process to one kind of instance. For one event loop.

    `look` says which instances there are, and raises what the request is to be told when there can be none. `bells`
    ring `key` when that has changed. `full` makes the error for a request that finds so many under way, `late` the one
    for a request that no instance was free for within `patience_seconds`.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        look: Callable[[], Opening],
        bells: Bells,
        key: bytes,
        demands: Demands,
        full: Callable[[int, int], Exception],
        late: Callable[[], Exception],
        patience_seconds: float,
    ) -> None:
        self._loop = loop
        self._look = look
        self._bells = bells
        self._key = key
        self._demands = demands
        self._full = full
        self._late = late
        self._patience_seconds = patience_seconds
        self._busy: dict[str, Place] = {}
        self._waiting: deque[asyncio.Future[Place]] = deque()
        self._watch: asyncio.Task[None] | None = None

    @property
    def under_way(self) -> int:
        """How many requests are inside or waiting."""
        return len(self._busy) + len(self._waiting)

    async def enter(self) -> Place:
        """Wait for an instance of one's own; give it back by `leave`. Raises as the gate was told to."""
        opening = self._look()
        under_way = self.under_way
        if under_way >= opening.most:
            raise self._full(under_way, opening.most)
        self._demands.note(under_way + 1)
        free = None if self._waiting else self._free(opening)
        return self._take(free) if free is not None else await self._wait()

    def leave(self, place: Place) -> None:
        """Let the next one in. Leaving twice does no harm."""
        if self._busy.get(place.instance) is place:
            del self._busy[place.instance]
            self._let_in()

    def leave_later(self, place: Place, seconds: float) -> None:
        """Leave an instance that another process turned out to use: it is not free for as long as this."""
        self._loop.call_later(seconds, self.leave, place)

    def _take(self, instance: str) -> Place:
        place = self._busy[instance] = Place(instance)
        return place

    async def _wait(self) -> Place:
        turn: asyncio.Future[Place] = self._loop.create_future()
        self._waiting.append(turn)
        if self._watch is None or self._watch.done():
            self._watch = self._loop.create_task(self._until_nobody_waits())
        try:
            async with asyncio.timeout(self._patience_seconds):
                return await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.leave(turn.result())
            if not isinstance(error, TimeoutError):
                raise
            raise self._late() from None

    async def _until_nobody_waits(self) -> None:
        async with self._bells.listen(self._key) as ear:
            while self._waiting:
                self._demands.note(self.under_way)
                self._let_in()
                await ear.wait(_LOOK_AGAIN_SECONDS)

    def _let_in(self) -> None:
        """Give instances that are free to those who wait longest."""
        while self._waiting and self._waiting[0].done():  # it gave up
            self._waiting.popleft()
        if not self._waiting:
            return
        try:
            opening = self._look()
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait are told, each as if it had looked
            while self._waiting:
                turn = self._waiting.popleft()
                if not turn.done():
                    turn.set_exception(error)
            return
        while self._waiting and (free := self._free(opening)) is not None:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(self._take(free))

    def _free(self, opening: Opening) -> str | None:
        return next((instance for instance in opening.servers if instance not in self._busy), None)

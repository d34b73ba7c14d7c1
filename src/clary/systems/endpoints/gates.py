"""The gate of a serverless variant in one gateway: who is let in, who waits for an instance to start, who is refused.

Each instance gets one request at a time. A request that finds none free waits while the reconciler, told of the demand,
starts one. Each gateway counts its own requests: with several, a variant may get more than `MaxConcurrency` at once,
though it never has more instances.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from clary.kernel.core.errors import AwsError
from clary.kernel.core.ids import new_id
from clary.kernel.rooms import Platform
from clary.kernel.serving.routes import BELLS, DOMAIN, Target, route_key
from clary.systems.endpoints.serverless import Demand, demand_key

COLD_START_SECONDS = 60.0

_TOPIC = "endpoints"
_LONGEST_WINDOW_SECONDS = 10.0
_LOOK_AGAIN_SECONDS = 0.5

Address = tuple[str, str, str]
Look = Callable[[], Target]


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """An instance that a request has for itself."""

    instance: str


class Gate:
    """The requests to one serverless variant through this gateway. For one event loop."""

    def __init__(self, platform: Platform, loop: asyncio.AbstractEventLoop, address: Address, look: Look) -> None:
        self._loop = loop
        self._look = look
        self._key = route_key(*address)
        self._bells = platform.bells(BELLS)
        self._busy: dict[str, Place] = {}
        self._waiting: deque[asyncio.Future[Place]] = deque()
        self._watch: asyncio.Task[None] | None = None
        self._demand = _Demands(platform, loop, address)

    async def enter(self) -> Place:
        """Wait for an instance of one's own; give it back by `leave`.

        Raises ThrottlingException when as many requests as may be are under way already, and ModelNotReadyException
        when no instance came up in time. Whatever the lookup of the variant raises comes through.
        """
        target = self._look()
        under_way = len(self._busy) + len(self._waiting)
        if under_way >= target.concurrency:
            raise AwsError(
                "ThrottlingException",
                f'Serverless variant "{target.name}" has {under_way} requests under way, and its MaxConcurrency is '
                f"{target.concurrency}. Try again later, or raise MaxConcurrency.",
                status=429,
            )
        self._demand.note(target.name, under_way + 1)
        free = None if self._waiting else self._free(target)
        return self._take(free) if free is not None else await self._wait(target)

    def leave(self, place: Place) -> None:
        """Let the next one in. Leaving twice does no harm."""
        if self._busy.get(place.instance) is place:
            del self._busy[place.instance]
            self._let_in()

    def _take(self, instance: str) -> Place:
        place = self._busy[instance] = Place(instance)
        return place

    async def _wait(self, target: Target) -> Place:
        turn: asyncio.Future[Place] = self._loop.create_future()
        self._waiting.append(turn)
        if self._watch is None or self._watch.done():
            self._watch = self._loop.create_task(self._until_nobody_waits(target.name))
        try:
            async with asyncio.timeout(COLD_START_SECONDS):
                return await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.leave(turn.result())
            if not isinstance(error, TimeoutError):
                raise
            raise AwsError(
                "ModelNotReadyException",
                f'No instance of serverless variant "{target.name}" was ready within {COLD_START_SECONDS:g} s. '
                "Wait and try again; the endpoint's log group shows what its servers say.",
            ) from None

    async def _until_nobody_waits(self, variant: str) -> None:
        async with self._bells.listen(self._key) as ear:
            while self._waiting:
                self._demand.note(variant, len(self._busy) + len(self._waiting))
                self._let_in()
                await ear.wait(_LOOK_AGAIN_SECONDS)

    def _let_in(self) -> None:
        """Give instances that are free to those who wait longest."""
        while self._waiting and self._waiting[0].done():  # it gave up
            self._waiting.popleft()
        if not self._waiting:
            return
        try:
            target = self._look()
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait are told, each as if it had looked
            while self._waiting:
                turn = self._waiting.popleft()
                if not turn.done():
                    turn.set_exception(error)
            return
        while self._waiting and (free := self._free(target)) is not None:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(self._take(free))

    def _free(self, target: Target) -> str | None:
        return next((instance for instance in target.servers if instance not in self._busy), None)


class _Demands:
    """Tells the reconciler how much this gateway wanted at once lately: when it is more, and now and then."""

    def __init__(self, platform: Platform, loop: asyncio.AbstractEventLoop, address: Address) -> None:
        self._platform = platform
        self._loop = loop
        self._address = address
        self._idle_seconds = platform.settings.serverless_idle_seconds
        self._window_seconds = min(self._idle_seconds / 4, _LONGEST_WINDOW_SECONDS)
        self._peaks: deque[tuple[float, int]] = deque()
        self._told = 0
        self._told_at = float("-inf")
        self._telling: set[asyncio.Task[None]] = set()

    def note(self, variant: str, wanted: int) -> None:
        now = self._loop.time()
        peaks = self._peaks
        if peaks and now - peaks[-1][0] < self._window_seconds:
            began, before = peaks.pop()
            peaks.append((began, max(before, wanted)))
        else:
            peaks.append((now, wanted))
        while now - peaks[0][0] > self._idle_seconds + self._window_seconds:
            peaks.popleft()
        most = max(peak for _, peak in peaks)
        if most > self._told or now - self._told_at >= self._window_seconds:
            self._told, self._told_at = most, now
            task = self._loop.create_task(self._tell(variant, most))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _tell(self, variant: str, wanted: int) -> None:
        document = Demand(wanted, self._platform.clock.now()).dump()
        key = demand_key(*self._address, variant, _GATEWAY)
        await self._platform.kv(DOMAIN).write_async(lambda transaction: transaction.put(key, document))
        self._platform.wake(_TOPIC, "/".join(self._address))


_GATEWAY = new_id()

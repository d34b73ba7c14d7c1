"""How many instances are needed at once: gateways tell of their demand, whoever runs the instances meets it.

A process that sends requests writes down its demand for each kind of instance, a key-value entry; whoever starts the
instances sums the demands of all processes. An instance that nobody has needed for a while is let go.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import orjson

from clary.kernel.core.clock import Clock
from clary.kernel.core.ids import new_id
from clary.kernel.kv import KeyValue, Transaction, after_prefix

_PREFIX = b"demand/"
_LONGEST_WINDOW_SECONDS = 10.0

Tell = Callable[[int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Demand:
    """How many requests a process had under way at once lately, as of the epoch second `at`."""

    wanted: int
    at: float

    def dump(self) -> bytes:
        return orjson.dumps(self)

    @classmethod
    def load(cls, document: bytes) -> "Demand":
        return cls(**orjson.loads(document))


def demand_prefix(account: str, region: str, name: str) -> bytes:
    """Where the demands on all that has this name lie."""
    return _PREFIX + f"{account}/{region}/{name}/".encode()


def demand_key(account: str, region: str, name: str, kind: str, process: str) -> bytes:
    return demand_prefix(account, region, name) + f"{kind}/{process}".encode()


def demands_on(kv: KeyValue, account: str, region: str, name: str) -> dict[str, list[Demand]]:
    """The demands of all processes on what has this name, by kind of instance."""
    prefix = demand_prefix(account, region, name)
    found: dict[str, list[Demand]] = {}
    for key, document in kv.scan(prefix, after_prefix(prefix)):
        found.setdefault(key.split(b"/")[-2].decode(), []).append(Demand.load(document))
    return found


def forget_demands(kv: KeyValue, account: str, region: str, name: str) -> None:
    """Forget every demand on what has this name."""
    prefix = demand_prefix(account, region, name)
    old = [key for key, _ in kv.scan(prefix, after_prefix(prefix))]
    if old:
        kv.write(lambda transaction: [transaction.delete(key) for key in old])


def forget_old(kv: KeyValue, before: float) -> None:
    """Forget demands of before an epoch second; whoever told of one and still runs will tell again."""

    def change(transaction: Transaction) -> None:
        for key, document in old:
            if transaction.get(key) == document:
                transaction.delete(key)

    old = [
        (key, document)
        for key, document in kv.scan(_PREFIX, after_prefix(_PREFIX))
        if Demand.load(document).at < before
    ]
    if old:
        kv.write(change)


def instances_for(
    demands: Sequence[Demand], since: Sequence[float], idle_seconds: float, now: float, *, least: int, most: int
) -> int:
    """How many instances there should be, from `least` to `most`. `since` says when those that are there came up.

    Demands older than `idle_seconds` count no more, and an instance stays that long even when nobody needed it.
    """
    wanted = sum(one.wanted for one in demands if now - one.at < idle_seconds)
    young = sum(now - one < idle_seconds for one in since)
    return min(max(wanted, young, least), most)


def teller(kv: KeyValue, clock: Clock, address: tuple[str, str, str], kind: str, wake: Callable[[], None]) -> Tell:
    """What writes this process's demand on a kind of instance down, durably, and wakes whoever meets it."""
    key = demand_key(*address, kind, _PROCESS)

    async def tell(wanted: int) -> None:
        document = Demand(wanted, clock.now()).dump()
        await kv.write_async(lambda transaction: transaction.put(key, document))
        wake()

    return tell


class Demands:
    """Tells how much this process wanted at once lately: when it is more, and now and then. For one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, idle_seconds: float, tell: Tell) -> None:
        self._loop = loop
        self._tell = tell
        self._idle_seconds = idle_seconds
        self._window_seconds = min(idle_seconds / 4, _LONGEST_WINDOW_SECONDS)
        self._peaks: deque[tuple[float, int]] = deque()
        self._told = 0
        self._told_at = float("-inf")
        self._telling: set[asyncio.Future[None]] = set()

    def note(self, wanted: int) -> None:
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
            task = asyncio.ensure_future(self._tell(most), loop=self._loop)
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)


_PROCESS = new_id()

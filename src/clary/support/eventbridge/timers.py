"""When schedules are due, in the key-value domain `events`.

    T <name>             the timer of a rule or schedule
    t <ms> <name>        the same, in the order of its times; none once it has run out

A timer moves on in the commit that stores what it sends, so that each due time sends once, whatever is killed when.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from clary.kernel.kv import KeyValue, Transaction
from clary.kernel.rooms import Platform
from clary.support.eventbridge.book import DOMAIN
from clary.support.eventbridge.outbox import Post, put

TOPIC = "events-schedules"


@dataclass(frozen=True, slots=True)
class Timer:
    """`name` is `rule/...` or `schedule/...`; `since` tells one setting of it from the next.

    It is due at `due` and fires at `at`, later where its window is flexible; without `at` it has run out. Times are
    epoch seconds.
    """

    name: str
    since: float
    due: float
    at: float | None


class Timers:
    """The timers of a home."""

    def __init__(self, platform: Platform) -> None:
        self._kv: KeyValue = platform.kv(DOMAIN)
        self._clock = platform.clock

    def get(self, name: str) -> Timer | None:
        data = self._kv.get(_named(name))
        return None if data is None else Timer(**orjson.loads(data))

    def set(self, timer: Timer) -> None:
        """Have a timer fire, in place of the one that had its name."""
        self._kv.write(lambda tx: _set(tx, timer))

    def clear(self, name: str) -> None:
        self._kv.write(lambda tx: _clear(tx, name))

    def due(self, limit: int) -> list[Timer]:
        """Those that are to fire now, in the order of their times."""
        until = b"t" + (int(self._clock.now() * 1000) + 1).to_bytes(8, "big")
        return [Timer(**orjson.loads(data)) for _, data in self._kv.scan(b"t", until, limit=limit)]

    def next_at(self) -> float | None:
        """When the first timer fires, past or to come."""
        first = next(self._kv.scan(b"t", b"u", limit=1), None)
        return None if first is None else Timer(**orjson.loads(first[1])).at

    def fire(self, timer: Timer, posts: Sequence[Post], following: Timer) -> bool:
        """Store what a timer sends and set what follows, unless it was set anew or cleared meanwhile."""

        def write(tx: Transaction) -> bool:
            data = tx.get(_named(timer.name))
            if data is None or Timer(**orjson.loads(data)) != timer:
                return False
            put(tx, posts)
            _set(tx, following)
            return True

        return self._kv.write(write)


def _set(tx: Transaction, timer: Timer) -> None:
    _clear(tx, timer.name)
    data = orjson.dumps(timer)
    tx.put(_named(timer.name), data)
    if timer.at is not None:
        tx.put(_timed(timer.at, timer.name), data)


def _clear(tx: Transaction, name: str) -> None:
    data = tx.get(_named(name))
    if data is None:
        return
    at = Timer(**orjson.loads(data)).at
    if at is not None:
        tx.delete(_timed(at, name))
    tx.delete(_named(name))


def _named(name: str) -> bytes:
    return b"T" + name.encode()


def _timed(at: float, name: str) -> bytes:
    return b"t" + int(at * 1000).to_bytes(8, "big") + name.encode()

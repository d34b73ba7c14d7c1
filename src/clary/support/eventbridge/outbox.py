"""What waits to be delivered, in the key-value domain `events`.

    d, e, c, n      what `kernel.kv.lanes` keeps: deliveries, a lane for each target, ordered by when they are due, and
                    what they bring: an event, or what a schedule sends

`book`, `timers` and `archives` keep theirs in the same domain: r, t and T, a and A.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import orjson

from clary.kernel.kv import KeyValue, Transaction
from clary.kernel.kv.lanes import Lanes
from clary.kernel.rooms import Platform
from clary.support.eventbridge.archives import keep
from clary.support.eventbridge.book import DOMAIN
from clary.support.eventbridge.records import Delivery

_AT_ONCE = 500
_LARGEST_BATCH_BYTES = 900_000

_LANES = Lanes(b"d", payloads=b"e")


class Post(NamedTuple):
    """An event and where it is to go; the archives that keep it know it by when it happened, epoch seconds."""

    event: bytes
    deliveries: Sequence[Delivery]
    archives: Sequence[str] = ()
    moment: float = 0.0


class Outbox:
    """The deliveries of a home."""

    def __init__(self, platform: Platform) -> None:
        self._kv: KeyValue = platform.kv(DOMAIN)
        self._clock = platform.clock

    def post(self, posts: Sequence[Post]) -> None:
        """Store each event for its targets, durably and all together."""
        posts = [post for post in posts if post.deliveries or post.archives]
        if posts:
            self._kv.write(lambda tx: put(tx, posts))

    def waiting(self) -> list[str]:
        """The lanes that something waits in."""
        return _LANES.names(self._kv)

    def due(self, lane: str, limit: int) -> list[tuple[Delivery, bytes]]:
        """The deliveries of a lane whose time has come, the first first."""
        now = self._clock.now()
        found: list[tuple[Delivery, bytes]] = []
        size = 0
        for _, data in _LANES.scan(self._kv, lane, _AT_ONCE):
            delivery = Delivery(**orjson.loads(data))
            if delivery.due_at > now:
                break
            event = _LANES.payload(self._kv, delivery.number)
            if event is None:
                continue  # it is being settled just now
            size += len(event)
            if found and size > _LARGEST_BATCH_BYTES:
                break
            found.append((delivery, event))
            if len(found) == limit:
                break
        return found

    def next_at(self, lane: str) -> float | None:
        """When the next delivery of a lane is due, past or to come."""
        first = next(_LANES.scan(self._kv, lane, 1), None)
        return None if first is None else Delivery(**orjson.loads(first[1])).due_at

    def settle(self, done: Iterable[Delivery], again: Iterable[tuple[Delivery, float]]) -> None:
        """Forget the deliveries that are done, and put off the others until their times."""
        gone = [_key(delivery) for delivery in done]
        moved = []
        for delivery, at in again:
            later = replace(delivery, due_at=at, tries=delivery.tries + 1)
            moved.append((_key(delivery), _order(later), orjson.dumps(later)))
        self._kv.write(lambda tx: _LANES.settle(tx, gone, moved))

    def drop(self, lane: str) -> None:
        """Forget everything that waits for a target that is gone."""
        _LANES.drop(self._kv, lane)


def put(tx: Transaction, posts: Sequence[Post]) -> None:
    """Store events within a transaction."""
    for number, post in enumerate(posts, _LANES.take_numbers(tx, len(posts))):
        for archive in post.archives:
            keep(tx, archive, post.moment, number, post.event)
        waiting = [(each.lane, _order(each), orjson.dumps(replace(each, number=number))) for each in post.deliveries]
        _LANES.add(tx, number, waiting, post.event)


def _order(delivery: Delivery) -> int:
    return int(delivery.due_at * 1000)


def _key(delivery: Delivery) -> bytes:
    return _LANES.key(delivery.lane, _order(delivery), delivery.number)

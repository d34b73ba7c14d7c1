"""What waits to be delivered, in the key-value domain `events`.

    e <number>                        an event, or what a schedule sends, as it is to be delivered
    c <number>                        how many deliveries of it are left
    d <lane> 0 <due ms> <number>      a delivery of it
    n                                 the last number given

A delivery leaves with the commit that counts it down, so that whatever is killed when, each is made at least once and
none is forgotten. (`book`, `timers` and `archives` keep theirs in the same domain: r, t and T, a and A.)
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import orjson

from clary.kernel.kv import KeyValue, Transaction, after_prefix, names_below
from clary.kernel.rooms import Platform
from clary.support.eventbridge.archives import keep
from clary.support.eventbridge.book import DOMAIN
from clary.support.eventbridge.records import Delivery

_AT_ONCE = 500
_LARGEST_BATCH_BYTES = 900_000


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
        return names_below(self._kv, b"d")

    def due(self, lane: str, limit: int) -> list[tuple[Delivery, bytes]]:
        """The deliveries of a lane whose time has come, the first first."""
        now = self._clock.now()
        prefix = _prefix(lane)
        found: list[tuple[Delivery, bytes]] = []
        size = 0
        for _, data in self._kv.scan(prefix, after_prefix(prefix), limit=_AT_ONCE):
            delivery = Delivery(**orjson.loads(data))
            if delivery.due_at > now:
                break
            event = self._kv.get(_numbered(b"e", delivery.number))
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
        prefix = _prefix(lane)
        first = next(self._kv.scan(prefix, after_prefix(prefix), limit=1), None)
        return None if first is None else Delivery(**orjson.loads(first[1])).due_at

    def settle(self, done: Iterable[Delivery], again: Iterable[tuple[Delivery, float]]) -> None:
        """Forget the deliveries that are done, and put off the others until their times."""
        done, again = list(done), list(again)

        def write(tx: Transaction) -> None:
            for delivery in done:
                _finish(tx, delivery)
            for delivery, at in again:
                if tx.delete(_key(delivery)):
                    later = replace(delivery, due_at=at, tries=delivery.tries + 1)
                    tx.put(_key(later), orjson.dumps(later))

        self._kv.write(write)

    def drop(self, lane: str) -> None:
        """Forget everything that waits for a target that is gone."""
        prefix = _prefix(lane)
        while pairs := list(self._kv.scan(prefix, after_prefix(prefix), limit=_AT_ONCE)):
            self.settle([Delivery(**orjson.loads(data)) for _, data in pairs], ())


def put(tx: Transaction, posts: Sequence[Post]) -> None:
    """Store events within a transaction."""
    last = tx.get(b"n")
    number = int.from_bytes(last, "big") if last else 0
    for post in posts:
        number += 1
        for archive in post.archives:
            keep(tx, archive, post.moment, number, post.event)
        if not post.deliveries:
            continue
        tx.put(_numbered(b"e", number), post.event)
        tx.put(_numbered(b"c", number), len(post.deliveries).to_bytes(8, "big"))
        for each in post.deliveries:
            delivery = replace(each, number=number)
            tx.put(_key(delivery), orjson.dumps(delivery))
    tx.put(b"n", number.to_bytes(8, "big"))


def _finish(tx: Transaction, delivery: Delivery) -> None:
    if not tx.delete(_key(delivery)):
        return
    counter = _numbered(b"c", delivery.number)
    left = int.from_bytes(tx.get(counter) or b"", "big") - 1
    if left > 0:
        tx.put(counter, left.to_bytes(8, "big"))
    else:
        tx.delete(counter)
        tx.delete(_numbered(b"e", delivery.number))


def _prefix(lane: str) -> bytes:
    return b"d" + lane.encode() + b"\0"


def _key(delivery: Delivery) -> bytes:
    due = int(delivery.due_at * 1000)
    return _prefix(delivery.lane) + due.to_bytes(8, "big") + delivery.number.to_bytes(8, "big")


def _numbered(kind: bytes, number: int) -> bytes:
    return kind + number.to_bytes(8, "big")

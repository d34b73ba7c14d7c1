"""What waits to be delivered, in the key-value domain `sns`.

    d, m, c, n                                    what `kernel.kv.lanes` keeps: deliveries, a lane for each
                                                  subscription, and the notifications they bring; a standard topic's
                                                  are ordered by when they are due, a FIFO topic's by when published
    u <topic> 0 <scope> 0 <deduplication id>      FIFO: a notification of the last five minutes, behind its end
    x <ms> <key>                                  a `u` to delete when that time has come

A subscription is written `<account>/<region>/<id>`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import orjson

from clary.kernel.kv import KeyValue, Transaction
from clary.kernel.kv.lanes import Lanes
from clary.kernel.rooms import Platform
from clary.support.sns.records import Delivery, Notification, dump

REMEMBERED_SECONDS = 300.0
_AT_ONCE = 500
_LARGEST_BATCH_BYTES = 600_000

_LANES = Lanes(b"d", payloads=b"m")


class Post(NamedTuple):
    """A notification and the subscriptions it is for. `scope` is that of a FIFO topic's deduplication."""

    notification: Notification
    subscriptions: Sequence[str]
    scope: str = ""


class Outbox:
    """The deliveries of a home."""

    def __init__(self, platform: Platform) -> None:
        self._kv: KeyValue = platform.kv("sns")
        self._clock = platform.clock

    def post(self, posts: Sequence[Post]) -> list[Notification]:
        """Store each notification for its subscriptions, durably and all together; return them as they were stored.

        A FIFO topic's that was published within the last five minutes is answered with what it was then.
        """
        now = self._clock.now()

        def write(tx: Transaction) -> list[Notification]:
            return [_post(tx, post, now) for post in posts]

        return self._kv.write(write)

    def waiting(self) -> list[str]:
        """The subscriptions that something waits for."""
        return _LANES.names(self._kv)

    def due(self, subscription: str, limit: int) -> list[tuple[Delivery, Notification]]:
        """The deliveries whose time has come, in order; of a FIFO group one at a time, and no later one before it."""
        now = self._clock.now()
        found: list[tuple[Delivery, Notification]] = []
        held: set[str] = set()
        size = 0
        for _, data in _LANES.scan(self._kv, subscription):
            delivery = Delivery(**orjson.loads(data))
            if delivery.due_at > now and delivery.order:
                break  # these are in the order of their times: no other is due
            stored = _LANES.payload(self._kv, delivery.number)
            if stored is None:
                continue  # it is being settled just now
            notification = Notification(**orjson.loads(stored))
            if not delivery.order:
                if notification.group in held:
                    continue
                held.add(notification.group)
                if delivery.due_at > now:
                    continue
            size += len(stored)
            if found and size > _LARGEST_BATCH_BYTES:
                break
            found.append((delivery, notification))
            if len(found) == limit:
                break
        return found

    def next_at(self, subscription: str) -> float | None:
        """When the next delivery is due, past or to come."""
        times = (Delivery(**orjson.loads(data)).due_at for _, data in _LANES.scan(self._kv, subscription, _AT_ONCE))
        return min(times, default=None)

    def settle(self, subscription: str, done: Iterable[Delivery], again: Iterable[tuple[Delivery, float]]) -> None:
        """Forget the deliveries that are done, and put off the others until their times."""
        gone = [_key(subscription, delivery) for delivery in done]
        moved = []
        for delivery, at in again:
            order = int(at * 1000) if delivery.order else 0
            later = replace(delivery, order=order, due_at=at, tries=delivery.tries + 1)
            moved.append((_key(subscription, delivery), order, dump(later)))
        self._kv.write(lambda tx: _LANES.settle(tx, gone, moved))

    def drop(self, subscription: str) -> None:
        """Forget everything that waits for a subscription that is gone."""
        _LANES.drop(self._kv, subscription)

    def sweep(self) -> None:
        """Forget which notifications were published more than five minutes ago."""
        until = b"x" + int(self._clock.now() * 1000).to_bytes(8, "big")

        def write(tx: Transaction) -> int:
            due = [key for key, _ in tx.scan(b"x", until, limit=_AT_ONCE)]
            for key in due:
                tx.delete(key)
                remembered = tx.get(key[9:])
                if remembered is not None and remembered[:8] <= until[1:]:
                    tx.delete(key[9:])
            return len(due)

        while self._kv.write(write):
            continue


def _post(tx: Transaction, post: Post, now: float) -> Notification:
    notification, subscriptions = post.notification, post.subscriptions
    fifo = bool(notification.deduplication_id)
    if not fifo and not subscriptions:
        return notification
    known = _known(tx, post, now) if fifo else None
    if known is not None:
        return known
    number = _LANES.take_numbers(tx)
    if fifo:
        notification = replace(notification, sequence_number=f"{10_000_000_000_000_000_000 + number:020d}")
        _remember(tx, post._replace(notification=notification), now)
    order = 0 if fifo else int(now * 1000)
    delivery = dump(Delivery(order, number, now))
    _LANES.add(tx, number, [(subscription, order, delivery) for subscription in subscriptions], dump(notification))
    return notification


def _remembered_at(post: Post) -> bytes:
    notification = post.notification
    return b"u" + f"{notification.topic_arn}\0{post.scope}\0{notification.deduplication_id}".encode()


def _known(tx: Transaction, post: Post, now: float) -> Notification | None:
    data = tx.get(_remembered_at(post))
    if data is None or int.from_bytes(data[:8], "big") <= now * 1000:
        return None
    message_id, sequence_number = orjson.loads(data[8:])
    return replace(post.notification, id=message_id, sequence_number=sequence_number)


def _remember(tx: Transaction, post: Post, now: float) -> None:
    until = int((now + REMEMBERED_SECONDS) * 1000).to_bytes(8, "big")
    key = _remembered_at(post)
    tx.put(key, until + orjson.dumps([post.notification.id, post.notification.sequence_number]))
    tx.put(b"x" + until + key, b"")


def _key(subscription: str, delivery: Delivery) -> bytes:
    return _LANES.key(subscription, delivery.order, delivery.number)

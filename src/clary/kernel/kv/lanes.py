"""Durable queues: deliveries wait in the lanes of a key-value domain, each lane in the order in which they are due.

    <kind> <lane> 0 <order> <number>    a delivery, as its room writes it
    <payloads> <number>                 what all deliveries of that number bring, stored once
    c <number>                          how many of them are left
    n                                   the last number given

A room chooses the two kinds, and may keep other things under other letters. Without payloads a delivery carries all
there is to it, and nothing is counted. Lanes are named by text without NUL. An order is a number of at most 64 bits,
mostly the millisecond at which a delivery is due; deliveries of one order wait in that of their numbers, which are
given out as things come.

All that is stored in a transaction waits from its commit on, or none of it does. A delivery leaves with the commit
that counts it down, and the last of a number takes the payload along: whatever is killed when, each is found until it
has been settled, and nothing of it stays behind then. What has left already may be settled again, to no effect.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from struct import Struct

from clary.kernel.kv import KeyValue, Transaction, after_prefix, names_below

_AT_ONCE = 500
_packed = Struct(">Q").pack


class Lanes:
    """The lanes of one kind, in whatever domain is given."""

    def __init__(self, kind: bytes, payloads: bytes = b"") -> None:
        self._kind = kind
        self._payloads = payloads

    def names(self, kv: KeyValue) -> list[str]:
        """The lanes that something waits in."""
        return names_below(kv, self._kind)

    def scan(self, kv: KeyValue, lane: str, limit: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        """What waits in a lane, due or not: keys and deliveries, the first first."""
        prefix = self._prefix(lane)
        return kv.scan(prefix, after_prefix(prefix), limit=limit)

    def payload(self, kv: KeyValue, number: int) -> bytes | None:
        """What the deliveries of a number bring; None when the last of them has left since it was found."""
        return kv.get(self._payloads + _packed(number))

    def key(self, lane: str, order: int, number: int) -> bytes:
        """Where a delivery waits."""
        return self._prefix(lane) + _packed(order) + _packed(number)

    def take_numbers(self, tx: Transaction, count: int = 1) -> int:
        """Give out the next numbers; return the first of them."""
        last = int.from_bytes(tx.get(b"n") or b"", "big")
        tx.put(b"n", _packed(last + count))
        return last + 1

    def add(
        self, tx: Transaction, number: int, deliveries: Sequence[tuple[str, int, bytes]], payload: bytes = b""
    ) -> None:
        """Have deliveries of a new number wait: the lane and the order of each, and what its room writes of it."""
        packed = _packed(number)
        if self._payloads and deliveries:
            tx.put(self._payloads + packed, payload)
            tx.put(b"c" + packed, _packed(len(deliveries)))
        for lane, order, data in deliveries:
            tx.put(self._prefix(lane) + _packed(order) + packed, data)

    def settle(self, tx: Transaction, done: Iterable[bytes], again: Iterable[tuple[bytes, int, bytes]] = ()) -> None:
        """Forget the deliveries under the keys that are done; have others wait anew, by another order, as rewritten."""
        for key in done:
            if tx.delete(key) and self._payloads:
                self._count_down(tx, key[-8:])
        for key, order, data in again:
            if tx.delete(key):
                tx.put(key[:-16] + _packed(order) + key[-8:], data)

    def drop(self, kv: KeyValue, lane: str) -> None:
        """Forget everything that waits in a lane."""
        while done := [key for key, _ in self.scan(kv, lane, _AT_ONCE)]:
            kv.write(partial(self.settle, done=done))

    def _count_down(self, tx: Transaction, number: bytes) -> None:
        left = int.from_bytes(tx.get(b"c" + number) or b"", "big") - 1
        if left > 0:
            tx.put(b"c" + number, _packed(left))
        else:
            tx.delete(b"c" + number)
            tx.delete(self._payloads + number)

    def _prefix(self, lane: str) -> bytes:
        return self._kind + lane.encode() + b"\0"


def order_of(key: bytes) -> int:
    """The order by which the delivery under a key waits."""
    return int.from_bytes(key[-16:-8], "big")

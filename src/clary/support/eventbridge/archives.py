"""What archives keep, in the key-value domain `events`.

    a <archive> 0 <ms> <number>     an event, in the order of when it happened
    A <archive>                     how many there are, and their bytes

An event is kept in the commit that stores it for its targets.
"""

from collections.abc import Iterator

import orjson

from clary.kernel.kv import KeyValue, Transaction, after_prefix
from clary.kernel.rooms import Platform

DOMAIN = "events"
_AT_ONCE = 500


def keep(tx: Transaction, archive: str, moment: float, number: int, event: bytes) -> None:
    """Add an event to an archive within a transaction."""
    tx.put(_key(archive, moment) + number.to_bytes(8, "big"), event)
    _count(tx, archive, 1, len(event))


class Archives:
    """The events that a home's archives keep."""

    def __init__(self, platform: Platform) -> None:
        self._kv: KeyValue = platform.kv(DOMAIN)

    def size(self, archive: str) -> tuple[int, int]:
        """How many events there are, and their bytes."""
        count, size = orjson.loads(self._kv.get(b"A" + archive.encode()) or b"[0,0]")
        return count, size

    def read(
        self, archive: str, start: float, end: float, after: bytes, limit: int
    ) -> Iterator[tuple[bytes, float, bytes]]:
        """Key, time and content of events of start <= time <= end, behind the key `after`."""
        first = max(_key(archive, start), after + b"\0" if after else b"")
        for key, event in self._kv.scan(first, _key(archive, end + 0.001), limit=limit):
            yield key, int.from_bytes(key[-16:-8], "big") / 1000, event

    def drop(self, archive: str, before: float | None = None) -> None:
        """Forget an archive's events, or those of before a time."""
        start = _key(archive, 0.0)
        end = after_prefix(start[:-8]) if before is None else _key(archive, before)

        def delete(tx: Transaction) -> int:
            pairs = list(tx.scan(start, end, limit=_AT_ONCE))
            for key, event in pairs:
                tx.delete(key)
                _count(tx, archive, -1, -len(event))
            return len(pairs)

        while self._kv.write(delete):
            continue
        if before is None:
            self._kv.write(lambda tx: tx.delete(b"A" + archive.encode()))


def _key(archive: str, moment: float) -> bytes:
    return b"a" + archive.encode() + b"\0" + int(max(moment, 0.0) * 1000).to_bytes(8, "big")


def _count(tx: Transaction, archive: str, events: int, size: int) -> None:
    key = b"A" + archive.encode()
    count, total = orjson.loads(tx.get(key) or b"[0,0]")
    tx.put(key, orjson.dumps([count + events, total + size]))

"""Flushes: which entries of a group's log are being written, noted before the first file is.

    w <group>     the flush that is under way

The names of the files and the moment of writing follow from the note alone. So a flush that was cut off is repeated to
the same files, with the same content, and every entry is in the store once. The note lies in the domain of the log: it
goes in the commit that forgets what it covers.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import orjson

from clary.kernel.kv import KeyValue, Transaction
from clary.systems.feature_store import offline_log

_NOTES = b"w"


@dataclass(frozen=True, slots=True)
class Flush:
    """Entries from one number through another, written at a moment (epoch seconds)."""

    first: int
    through: int
    write_time: float

    def seed(self, group_uid: str, partition: str) -> str:
        """What names the file of a partition; no other flush has it."""
        return f"{group_uid}/{self.first}/{partition}"


def under_way(kv: KeyValue, group_uid: str) -> Flush | None:
    """The flush that was begun and is not finished."""
    found = kv.get(_key(group_uid))
    return None if found is None else Flush(**orjson.loads(found))


def begin(kv: KeyValue, group_uid: str, numbers: Sequence[int], write_time: float) -> Flush:
    """Note that these entries, the oldest of the log, are being written; durable once returned."""
    flush = Flush(numbers[0], numbers[-1], write_time)
    note = orjson.dumps(asdict(flush))
    kv.write(lambda tx: tx.put(_key(group_uid), note))
    return flush


def finish(kv: KeyValue, group_uid: str, flush: Flush) -> None:
    """Forget a flush, and the entries with it: they are in the store."""

    def forget(tx: Transaction) -> None:
        offline_log.forget(tx, group_uid, flush.through)
        tx.delete(_key(group_uid))

    kv.write(forget)


def drop(kv: KeyValue, group_uid: str) -> None:
    """Forget all that a group's log holds, written or not."""

    def forget(tx: Transaction) -> None:
        offline_log.forget(tx, group_uid, _LAST_NUMBER)
        tx.delete(_key(group_uid))

    kv.write(forget)


_LAST_NUMBER = (1 << 63) - 1


def _key(group_uid: str) -> bytes:
    return _NOTES + group_uid.encode()

"""Which transaction a load commits in, written down before it does: so each load is there once, whatever is killed.

PostgreSQL knows of each of its transactions for long how it ended. A batch that comes again, since nobody heard how its
commit went, need only ask; nothing of ours is kept in the user's database.
"""

from collections.abc import Sequence
from typing import NamedTuple

import orjson

from clary.kernel.kv import KeyValue
from clary.systems.firehose.destinations.contract import Failure, Record

PREFIX = b"w"


class Transaction(NamedTuple):
    """A transaction of a database. `server` tells databases apart, also one that was made anew at the same address."""

    number: int
    server: str


Place = tuple[int, int]
NOWHERE: Place = (-1, -1)


class Note(NamedTuple):
    """A load: all records up to the one at `through`, of which those up to `known` were known to be there before it.

    `failures` are those that were left out of either: a record's id, code and message.
    """

    transaction: Transaction
    through: Place
    known: Place
    failures: list[tuple[str, str, str]]

    def failures_in(self, batch: Sequence[Record]) -> list[Failure]:
        """The records of a batch that were left out."""
        indexes = {record.id: index for index, record in enumerate(batch)}
        return [Failure(indexes[name], *said) for name, *said in self.failures if name in indexes]


class Notes:
    """The note of a delivery stream's last load."""

    def __init__(self, kv: KeyValue, buffer: str) -> None:
        self._kv = kv
        self._key = PREFIX + buffer.encode()

    def last(self) -> Note | None:
        stored = self._kv.get(self._key)
        if stored is None:
            return None
        transaction, through, known, failures = orjson.loads(stored)
        return Note(Transaction(*transaction), tuple(through), tuple(known), [tuple(each) for each in failures])

    def write(self, note: Note) -> None:
        """Write it down, durably once returned."""
        data = orjson.dumps([list(note.transaction), note.through, note.known, note.failures])
        self._kv.write(lambda tx: tx.put(self._key, data))


def forget(kv: KeyValue, buffer: str) -> None:
    kv.write(lambda tx: tx.delete(PREFIX + buffer.encode()))

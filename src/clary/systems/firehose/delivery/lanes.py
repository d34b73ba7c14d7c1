"""Lanes: what waits to be delivered together, until there is enough of it or its time has come.

A delivery stream has one for its destination, or one for each partition, one for the error output of its processors and
one for the backup of source records. A lane takes whole source records: with the one at an offset come all that were
made from it, so that `through`, the offset behind its last, says what the lane has.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from clary.systems.firehose.configurations import Hints
from clary.systems.firehose.delivery.objects import Draft, Stored, Target
from clary.systems.firehose.destinations.contract import Failure, Record

MAIN, ERRORS, BACKUP = "main", "errors", "backup"


class Lane:
    """What every lane counts. `oldest_ms` is the first record's arrival.

    `due_at` is when it is to be delivered, and `latest_at` when it is although there is more for it to be read at once:
    after a pause old records come together and not in many small objects. Times are epoch seconds.
    """

    def __init__(self, key: str, hints: Hints, first: Record, due_at: float) -> None:
        self.key = key
        self.first = first.place[0]
        self.through = self.first
        self.oldest_ms = first.at_ms
        self.due_at = self.latest_at = due_at
        self.records = 0
        self.size = 0
        self.attempts = 0
        self.failing_since: float | None = None
        self.next_try_at = 0.0
        self.seconds = hints.seconds
        self._most_bytes = hints.size_bytes

    @property
    def is_full(self) -> bool:
        return self.size >= self._most_bytes

    @property
    def room(self) -> int:
        """How many bytes make it full."""
        return self._most_bytes - self.size

    def count(self, record: Record, size: int) -> None:
        self.through = record.place[0] + 1
        self.records += 1
        self.size += size

    def discard(self) -> None:
        """Let go of what it holds."""


class StoredLane(Lane):
    """Records that become one object of `target`."""

    target: Target
    is_converted = False

    def add(self, record: Record, data: bytes) -> None:
        """Add a record, as `data` where records stand one behind the other."""
        raise NotImplementedError

    def store(self) -> Stored:
        """Store the object. Raises Trouble; to be tried again then."""
        raise NotImplementedError

    @property
    def failed(self) -> Sequence[tuple[Record, Failure]]:
        """The records that are not in the object and never will be, known once it is stored."""
        return ()


class ObjectLane(StoredLane):
    """Records that become one object, one behind the other."""

    def __init__(
        self,
        key: str,
        hints: Hints,
        first: Record,
        due_at: float,
        *,
        target: Target,
        folder: Path,
        partition: Mapping[str, str],
        error_type: str = "",
    ) -> None:
        super().__init__(key, hints, first, due_at)
        self.target = target
        naming = target.naming(self.first, self.oldest_ms, key, partition, error_type)
        self._draft = Draft(target, naming, folder)

    def add(self, record: Record, data: bytes) -> None:
        self._draft.add(data)
        self.count(record, len(data))

    def add_run(self, datas: Sequence[bytes], through: int, delimiter: bytes) -> None:
        """Add source records as they came, up to the offset `through`."""
        data = b"".join(datas) if not delimiter else delimiter.join([*datas, b""])
        self._draft.add(data)
        self.through = through
        self.records += len(datas)
        self.size += len(data)

    def store(self) -> Stored:
        return self._draft.store()

    def discard(self) -> None:
        self._draft.discard()


class BatchLane(Lane):
    """Records that are handed to a destination together.

    `refused` are those that will not be delivered, known once the destination answered or `is_given_up`.
    """

    def __init__(self, key: str, hints: Hints, first: Record, due_at: float) -> None:
        super().__init__(key, hints, first, due_at)
        self.batch: list[Record] = []
        self.refused: list[Failure] | None = None
        self.is_given_up = False

    def add(self, record: Record) -> None:
        self.batch.append(record)
        self.count(record, len(record.data))

"""One stream of a home, as a process reads it: a folder of segments, numbered in the order they were made.

Appends go to the newest segment. When it is finished, the next one is made beside it under another name, then the old
one is sealed, then the new one gets its name; so a segment that has a number is whole, and whoever finds a sealed one
without a successor gives the next its name itself.
"""

import contextlib
import os
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import lmdb

from clary.kernel.streams import blocks
from clary.kernel.streams.contract import Bounds, NoSuchStream, Page, Record, StreamError
from clary.kernel.streams.environments import Environments, Gone, sync_folder
from clary.kernel.streams.segments import DELETED, NEW_SHARD, OPEN, Segment, Shard, Tail

T = TypeVar("T")

UNFINISHED = ".new"
FORGOTTEN = ".gone"


class Stream:
    """Safe to share between threads."""

    def __init__(self, name: str, folder: Path, environments: Environments) -> None:
        self.name = name
        self.folder = folder
        self.environments = environments
        self.numbers: list[int] = []
        # Where shards stand at the beginning of a segment, which never changes: (number, shard) -> offset, time.
        self._bases: dict[tuple[int, str], tuple[int, int]] = {}
        self._paths: dict[int, Path] = {}

    def path(self, number: int) -> Path:
        """The folder of a segment."""
        path = self._paths.get(number)
        if path is None:
            path = self._paths[number] = self.folder / f"{number:010}"
        return path

    def path_unfinished(self, number: int) -> Path:
        return self.folder / f"{number:010}{UNFINISHED}"

    def path_forgotten(self, number: int) -> Path:
        return self.folder / f"{number:010}{FORGOTTEN}"

    def refresh(self) -> list[int]:
        """Look which segments there are. Raises NoSuchStream."""
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError:
            raise NoSuchStream(f"there is no stream {self.name}") from None
        self.numbers = numbers = sorted(int(name) for name in names if name.isdecimal())
        if not numbers:
            raise NoSuchStream(f"there is no stream {self.name}")
        self._bases = {key: base for key, base in self._bases.items() if key[0] >= numbers[0]}
        self._paths = {}
        return numbers

    def beyond(self, number: int) -> None:
        """Find what comes after the sealed segment `number`."""
        with contextlib.suppress(OSError):
            # Its maker may have died before this, or be about to do it.
            os.rename(self.path_unfinished(number + 1), self.path(number + 1))
            sync_folder(self.folder)
        if self.refresh()[-1] <= number:
            raise StreamError(f"the stream {self.name} is damaged: nothing follows its sealed segment {number}")

    def newest(self, look: Callable[[Segment], T]) -> T:
        """What `look` makes of the segment that takes appends. Raises NoSuchStream."""
        while True:
            number = (self.numbers or self.refresh())[-1]
            try:
                with self._reading(number) as segment:
                    state, _ = segment.state()
                    if state == OPEN:
                        return look(segment)
            except Gone:
                self.refresh()
                continue
            if state == DELETED:
                raise NoSuchStream(f"the stream {self.name} was deleted")
            self.beyond(number)

    def read(self, name: str, start: int, most: int, most_bytes: int) -> Page:
        while True:
            with contextlib.suppress(Gone):
                return self._read(name, start, most, most_bytes)
            self.refresh()

    def offset_at(self, name: str, at_ms: int) -> int:
        while True:
            with contextlib.suppress(Gone):
                return self._offset_at(name, at_ms)
            self.refresh()

    def bytes_before(self, name: str, offset: int) -> int:
        """How many bytes of data a shard got before a record it still has."""
        while True:
            with contextlib.suppress(Gone), self._reading(self._holding(name, offset)) as segment:
                shard = segment.shard(name)
                return segment.bytes_before(shard, offset) if shard else 0
            self.refresh()

    def is_recent(self, name: str, offset: int) -> bool:
        """Whether a record, if there is one, is in the newest segment; as far as is known here."""
        try:
            return self.base((self.numbers or self.refresh())[-1], name)[0] <= offset
        except Gone:
            return False

    def bounds(self, name: str) -> Bounds:
        def look(segment: Segment) -> Bounds:
            shard = segment.shard(name)
            if shard is None:
                return Bounds(NEW_SHARD.base, NEW_SHARD.base, True, 0, 0)
            tail = segment.tail(shard)
            kept = tail.data_bytes - shard.first_bytes
            return Bounds(shard.first, tail.end, shard.closed, tail.end - shard.first, kept)

        return self.newest(look)

    def tails(self) -> dict[str, tuple[Shard, Tail]]:
        """Where each shard stands now."""
        return self.newest(lambda it: {name: (shard, it.tail(shard)) for name, shard in it.shards().items()})

    def bases(self, number: int) -> dict[str, int]:
        """The offset of each shard that a segment begins with. Raises Gone."""
        with self._reading(number) as segment:
            return {name: shard.base for name, shard in segment.shards().items()}

    def leavings(self) -> list[Path]:
        """What whoever removed segments left behind, since it was killed meanwhile."""
        return list(self.folder.glob(f"*{FORGOTTEN}"))

    def base(self, number: int, name: str) -> tuple[int, int]:
        """The offset of a shard that a segment begins with, and when the record before it arrived. Raises Gone."""
        found = self._bases.get((number, name))
        if found is None:
            with self._reading(number) as segment:
                shard = segment.shard(name) or NEW_SHARD
            found = self._bases[number, name] = shard.base, shard.base_at_ms
        return found

    def _reading(self, number: int) -> "_Reading":
        return _Reading(self, number)

    def _read(self, name: str, start: int, most: int, most_bytes: int) -> Page:
        records: list[Record] = []

        def look(segment: Segment) -> tuple[Shard, int, int] | None:
            shard = segment.shard(name)
            if shard is None:
                return None
            begin = max(start, shard.first)
            end = segment.tail(shard).end
            if shard.base <= begin < end:
                segment.read(shard, begin, records, most, most_bytes)
            return shard, begin, end

        found = self.newest(look)
        if found is None:
            return Page([], max(start, NEW_SHARD.first), False, True)
        shard, begin, end = found
        if begin < shard.base:
            self._read_old(name, begin, records, most, most_bytes)
            while records and records[-1].offset >= end:
                records.pop()  # it came after `end` was read, and there may be more
        following = records[-1].offset + 1 if records else begin
        return Page(records, following, following < end, shard.closed and following >= end)

    def _read_old(self, name: str, start: int, records: list[Record], most: int, room: int) -> None:
        """Add records from the segment that has `start`, and from those after it."""
        numbers = self.numbers
        for number in numbers[bisect_left(numbers, self._holding(name, start)) :]:
            with self._reading(number) as segment:
                shard = segment.shard(name)
                if shard is not None:
                    room = segment.read(shard, start, records, most, room)
            if room == blocks.NO_ROOM or len(records) >= most:
                break

    def _holding(self, name: str, offset: int) -> int:
        """The last segment in which a shard begins at `offset` or before. Raises Gone."""
        numbers = self.numbers or self.refresh()
        low, high = 0, len(numbers) - 1
        while low < high:
            middle = (low + high + 1) // 2
            if self.base(numbers[middle], name)[0] <= offset:
                low = middle
            else:
                high = middle - 1
        return numbers[low]

    def _offset_at(self, name: str, at_ms: int) -> int:
        first = self.bounds(name).first
        numbers = self.numbers
        # The first segment before whose successor something arrived as late as that.
        low, high = 0, len(numbers) - 1
        while low < high:
            middle = (low + high) // 2
            if self.base(numbers[middle + 1], name)[1] >= at_ms:
                high = middle
            else:
                low = middle + 1
        with self._reading(numbers[low]) as segment:
            shard = segment.shard(name)
            return max(first, segment.offset_at(shard, at_ms)) if shard else first


class _Reading:
    """`with`: a segment in a read transaction. Raises Gone, and StreamError for LMDB's errors."""

    __slots__ = ("_borrowed", "_txn")

    def __init__(self, stream: Stream, number: int) -> None:
        self._borrowed = stream.environments.borrow(stream.path(number))

    def __enter__(self) -> Segment:
        env = self._borrowed.__enter__()
        try:
            self._txn = env.begin(buffers=True)
        except lmdb.Error as error:
            self._borrowed.__exit__(None, None, None)
            raise StreamError(f"cannot read: {error}") from error
        return Segment(self._txn)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._txn.abort()
        self._borrowed.__exit__(None, None, None)
        if isinstance(error, lmdb.Error):
            raise StreamError(f"cannot read: {error}") from error

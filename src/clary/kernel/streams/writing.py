"""One stream of a home, as a process writes it. Only one thread of the process uses a `Writer`."""

import logging
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import lmdb

from clary.kernel.core.clock import Clock
from clary.kernel.streams import blocks
from clary.kernel.streams.contract import Entry, NoSuchStream, Placed, StreamError
from clary.kernel.streams.environments import Gone, sync_folder
from clary.kernel.streams.segments import DELETED, NEW_SHARD, OPEN, SEALED, Segment, Shard
from clary.kernel.streams.stream import Stream

T = TypeVar("T")

SEGMENT_BYTES = 1 << 30
SEGMENT_MS = 3600 * 1000
# A segment is finished for its age, or because half of it is forgotten, only when that gives back so much.
WORTH_BYTES = 16 << 20
# One in which everything is forgotten goes sooner.
EMPTY_WORTH_BYTES = 4 << 20
# What a small record takes besides its data, about.
_RECORD_BYTES = 32

_log = logging.getLogger("clary.streams")


class _OpenShard:
    """A shard while its stream is written: what its segment says, where it goes on, what is not yet in a block."""

    __slots__ = ("at_ms", "data_bytes", "end", "pieces", "pieces_bytes", "shard", "start")

    def __init__(self, segment: Segment, shard: Shard) -> None:
        self.shard = shard
        self.end, self.at_ms, self.data_bytes = segment.tail(shard)
        self.start = self.end
        self.pieces: list[bytes] = []
        self.pieces_bytes = 0

    def flush(self, segment: Segment) -> None:
        """Write what was placed as a block."""
        segment.put_block(self.shard, self.start, blocks.pack(self.at_ms, self.data_bytes, self.pieces))
        self.data_bytes += self.pieces_bytes
        self.start = self.end
        self.pieces.clear()
        self.pieces_bytes = 0


class Writer:
    def __init__(self, stream: Stream, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock
        self._forget()

    def _forget(self) -> None:
        """Read everything anew: another process wrote, or a transaction failed."""
        self._number = self._seen = -1
        self._made_ms = self._used_bytes = 0
        # None stands for a shard that is closed or unknown.
        self._shards: dict[str, _OpenShard | None] = {}

    def append(self, batch: Sequence[Sequence[Entry]]) -> list[list[Placed | None]]:
        """Place the entries of several appends at once. Raises NoSuchStream and StreamError."""
        try:
            results = self._transact(lambda segment: self._place_all(segment, batch))
        except lmdb.MapFullError:
            # A segment has room for gigabytes when it takes appends: these are huge.
            if len(batch) == 1:
                raise StreamError("these records are too large to be placed at once") from None
            middle = len(batch) // 2
            return self.append(batch[:middle]) + self.append(batch[middle:])
        old = self._used_bytes >= WORTH_BYTES and self._now_ms() - self._made_ms >= SEGMENT_MS
        if old or self._used_bytes >= SEGMENT_BYTES:
            try:
                self._roll()
            except StreamError as error:
                # What was appended is there all the same; the next append tries again.
                _log.warning("%s: no new segment could be begun: %s", self._stream.name, error)
        return results

    def reshard(self, close: Sequence[str], opening: Sequence[str]) -> None:
        def change(segment: Segment) -> None:
            shards = segment.shards()
            for name in close:
                shard = shards.get(name)
                if shard is not None and not shard.closed:
                    segment.put_shard(name, shard._replace(closed=True))
            unused = 1 + max((shard.ordinal for shard in shards.values()), default=-1)
            for ordinal, name in enumerate((name for name in opening if name not in shards), unused):
                segment.put_shard(name, NEW_SHARD._replace(ordinal=ordinal))

        self._transact(change)
        self._forget()

    def forget(self, firsts: Mapping[str, tuple[int, int]]) -> list[Path]:
        """Forget what lies before the given offset of each shard, which had so many bytes of data before it; return
        the folders that can be removed."""

        def change(segment: Segment) -> None:
            for name, (first, first_bytes) in firsts.items():
                shard = segment.shard(name)
                if shard is not None and shard.first < first:
                    segment.put_shard(name, shard._replace(first=first, first_bytes=first_bytes))

        if firsts:
            self._transact(change)
            self._forget()
        if self._is_wasteful():
            self._roll()
        return self._abandon()

    def mark_deleted(self) -> None:
        """From now on no process appends to the stream or reads it."""
        self._transact(lambda segment: segment.set_state(DELETED, 0))
        self._forget()

    def _transact(self, change: Callable[[Segment], T]) -> T:
        """Apply `change` to the segment that takes appends, atomically and durably."""
        while True:
            number = (self._stream.numbers or self._stream.refresh())[-1]
            try:
                with self._stream.environments.borrow(self._stream.path(number)) as env:
                    with env.begin(write=True, buffers=True) as txn:
                        segment = Segment(txn)
                        if self._begin(segment, number, txn.id()):
                            result = change(segment)
                            self._seen = txn.id()
                    if self._number == number:
                        self._used_bytes = env.info()["last_pgno"] * env.stat()["psize"]
                        return result
                self._stream.beyond(number)
            except Gone:
                self._stream.refresh()
            except BaseException as error:
                self._forget()
                if isinstance(error, lmdb.Error | OSError) and not isinstance(error, lmdb.MapFullError):
                    # After some failures LMDB wants to be opened anew.
                    self._stream.environments.drop(self._stream.path(number))
                    raise StreamError(f"cannot write to the stream {self._stream.name}: {error}") from error
                raise

    def _begin(self, segment: Segment, number: int, transaction: int) -> bool:
        """Be up to date with the segment; say whether it takes appends. Raises NoSuchStream."""
        if number == self._number and transaction == self._seen + 1:
            return True
        self._forget()
        state, self._made_ms = segment.state()
        if state == DELETED:
            raise NoSuchStream(f"the stream {self._stream.name} was deleted")
        if state == OPEN:
            self._number = number
        return state == OPEN

    def _place_all(self, segment: Segment, batch: Sequence[Sequence[Entry]]) -> list[list[Placed | None]]:
        now_ms = self._now_ms()
        touched: list[_OpenShard] = []
        results = [self._place(segment, entries, now_ms, touched) for entries in batch]
        for shard in touched:
            if shard.pieces:
                shard.flush(segment)
        return results

    def _place(
        self, segment: Segment, entries: Sequence[Entry], now_ms: int, touched: list[_OpenShard]
    ) -> list[Placed | None]:
        placed: list[Placed | None] = []
        for name, key, data in entries:
            try:
                shard = self._shards[name]
            except KeyError:
                shard = self._load(segment, name)
            if shard is None:
                placed.append(None)
                continue
            if not shard.pieces:
                touched.append(shard)
                shard.at_ms = max(shard.at_ms, now_ms)
            placed.append(Placed(shard.end, shard.at_ms))
            shard.end += 1
            shard.pieces += (key.encode(), data)
            shard.pieces_bytes += len(data)
            if shard.pieces_bytes >= blocks.LARGEST_BLOCK_BYTES or len(shard.pieces) >= 2 * blocks.MOST_IN_BLOCK:
                shard.flush(segment)
        return placed

    def _load(self, segment: Segment, name: str) -> _OpenShard | None:
        shard = segment.shard(name)
        found = None if shard is None or shard.closed else _OpenShard(segment, shard)
        self._shards[name] = found
        return found

    def _roll(self) -> None:
        """Finish the segment that takes appends, and begin the next."""
        stream = self._stream

        def change(segment: Segment) -> int:
            number = self._number
            unfinished = stream.path_unfinished(number + 1)
            shutil.rmtree(unfinished, ignore_errors=True)
            shards = {name: (shard, segment.tail(shard)) for name, shard in segment.shards().items()}
            with stream.environments.making(unfinished) as successor:
                successor.set_state(OPEN, self._now_ms())
                for name, (shard, tail) in shards.items():
                    end, at_ms, data_bytes = tail
                    successor.put_shard(name, shard._replace(base=end, base_at_ms=at_ms, base_bytes=data_bytes))
            sync_folder(stream.folder)
            segment.set_state(SEALED, self._made_ms)
            return number

        number = self._transact(change)
        self._forget()
        stream.beyond(number)

    def _is_wasteful(self) -> bool:
        """Whether so much of the newest segment is forgotten that it should be finished."""
        forgotten = kept = 0
        for shard, tail in self._stream.tails().values():
            kept += tail.data_bytes - max(shard.first_bytes, shard.base_bytes)
            kept += _RECORD_BYTES * (tail.end - max(shard.first, shard.base))
            if shard.first > shard.base:
                forgotten += shard.first_bytes - shard.base_bytes + _RECORD_BYTES * (shard.first - shard.base)
        if not kept:
            return forgotten >= EMPTY_WORTH_BYTES
        return forgotten >= WORTH_BYTES and forgotten >= kept

    def _abandon(self) -> list[Path]:
        """Take the segments in which all is forgotten, from the oldest on, out of the stream; return what is left of
        them, to be removed."""
        stream = self._stream
        firsts = {name: shard.first for name, (shard, _) in stream.tails().items()}
        abandoned = []
        for number, following in pairwise(stream.refresh()):
            try:
                if any(offset > firsts[name] for name, offset in stream.bases(following).items()):
                    break
                os.rename(stream.path(number), stream.path_forgotten(number))
            except (Gone, FileNotFoundError):
                continue  # another process does the same
            abandoned.append(stream.path_forgotten(number))
            stream.environments.drop(stream.path(number))
        if abandoned:
            stream.refresh()
        return abandoned

    def _now_ms(self) -> int:
        return int(self._clock.now() * 1000)

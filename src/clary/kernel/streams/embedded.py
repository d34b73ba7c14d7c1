"""Streams in the folders of a home, for any number of processes: LMDB keeps the records, this the promises.

embedded        what callers see, the threads that write, the one opening that a process shares
├── writing     placing records, changing shards, giving space back
├── stream      finding and reading records over segments
│   ├── environments    which LMDB environments are open
│   └── segments        what is in one
│       └── blocks      records as bytes
└── ears        hearing of appends
"""

import asyncio
import contextlib
import os
import secrets
import shutil
import threading
import zlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, NamedTuple

import lmdb

from clary.kernel.core.clock import Clock
from clary.kernel.core.ears import Ear
from clary.kernel.kv import KeyValueError
from clary.kernel.kv.group_commit import GroupCommit, Outcome
from clary.kernel.streams.contract import (
    MOST_RECORDS,
    Bounds,
    Entry,
    NoSuchStream,
    Page,
    Placed,
    StreamError,
    checked_name,
    is_name,
)
from clary.kernel.streams.ears import Ears
from clary.kernel.streams.environments import Environments, sync_folder
from clary.kernel.streams.segments import NEW_SHARD, OPEN
from clary.kernel.streams.stream import Stream
from clary.kernel.streams.writing import Writer

# Threads that write: streams are spread over them, so that a commit of one rarely waits for another's.
_LANES = 4
_DEFAULT_BYTES = 10 * 1024**2
_MOST_REMEMBERED = 10_000
_MAKING = ".new-"
_LONGEST_MAKING_SECONDS = 3600
_DELETED = ".gone-"


class _Item(NamedTuple):
    """Entries to append to a stream, or something else to be done by the thread that writes it."""

    stream: str
    work: Sequence[Entry] | Callable[[Writer], object]


class EmbeddedStreams:
    """The streams in a folder. One per process and folder; see `open_embedded`."""

    def __init__(self, folder: Path, clock: Clock, *, durable: bool) -> None:
        self.users = 0
        self._folder = folder
        self._clock = clock
        self._closed = False
        folder.mkdir(parents=True, exist_ok=True)
        sync_folder(folder.parent)
        _sweep(folder, clock.now())
        self._environments = Environments(durable=durable)
        self._ears = Ears(folder / ".board")
        self._lanes = [GroupCommit(f"streams-{lane}", self._commit, gather=True) for lane in range(_LANES)]
        self._streams: dict[str, tuple[Stream, Writer]] = {}

    def create(self, stream: str, shards: Sequence[str]) -> None:
        self._check_open()
        folder = self._folder / checked_name(stream)
        if folder.exists():
            sync_folder(self._folder)  # whoever made it may not have come to that
            return
        shards = [checked_name(shard) for shard in dict.fromkeys(shards)]
        unfinished = self._folder / f"{_MAKING}{secrets.token_hex(8)}"
        try:
            self._make(stream, shards, unfinished)
            os.rename(unfinished, folder)
        except (OSError, lmdb.Error) as error:
            shutil.rmtree(unfinished, ignore_errors=True)
            if not folder.exists():  # another was not faster
                raise StreamError(f"cannot make the stream {stream}: {error}") from error
        sync_folder(self._folder)

    def _make(self, stream: str, shards: Sequence[str], folder: Path) -> None:
        with self._environments.making(Stream(stream, folder, self._environments).path(1)) as segment:
            segment.set_state(OPEN, int(self._clock.now() * 1000))
            for ordinal, name in enumerate(shards):
                segment.put_shard(name, NEW_SHARD._replace(ordinal=ordinal))
        sync_folder(folder)

    def reshard(self, stream: str, close: Sequence[str], opening: Sequence[str]) -> None:
        opening = list(dict.fromkeys(map(checked_name, opening)))
        self._do(stream, lambda writer: writer.reshard(close, opening))
        self._ears.ring([stream])

    def append(self, stream: str, entries: Sequence[Entry]) -> list[Placed | None]:
        return self._do(stream, entries)  # type: ignore[no-any-return]

    async def append_async(self, stream: str, entries: Sequence[Entry]) -> list[Placed | None]:
        try:
            return await self._lane(stream).run_async(_Item(stream, entries))  # type: ignore[no-any-return]
        except KeyValueError as error:
            raise StreamError(str(error)) from error

    def read(
        self, stream: str, shard: str, start: int, *, most: int = MOST_RECORDS, most_bytes: int = _DEFAULT_BYTES
    ) -> Page:
        return self._stream(stream).read(shard, start, most, most_bytes)

    async def read_async(
        self, stream: str, shard: str, start: int, *, most: int = MOST_RECORDS, most_bytes: int = _DEFAULT_BYTES
    ) -> Page:
        reading = self._stream(stream)
        if reading.is_recent(shard, start):
            return reading.read(shard, start, most, most_bytes)
        # It may have to come from the disk.
        return await asyncio.to_thread(reading.read, shard, start, most, most_bytes)

    def offset_at(self, stream: str, shard: str, at_ms: int) -> int:
        return self._stream(stream).offset_at(shard, at_ms)

    def bounds(self, stream: str, shard: str) -> Bounds:
        return self._stream(stream).bounds(shard)

    def expire(self, stream: str, before_ms: int) -> None:
        reading = self._stream(stream)
        firsts = {}
        for name, (shard, tail) in reading.tails().items():
            if shard.first < tail.end:
                first = reading.offset_at(name, before_ms)
                if first > shard.first:
                    firsts[name] = first, reading.bytes_before(name, first)
        self._forget(reading, firsts)

    def trim(self, stream: str, shard: str, before: int) -> None:
        reading = self._stream(stream)
        first, end, *_ = reading.bounds(shard)
        before = min(before, end)
        if before > first:
            self._forget(reading, {shard: (before, reading.bytes_before(shard, before))})

    def delete(self, stream: str) -> None:
        self._check_open()
        if not is_name(stream):
            return
        folder = self._folder / stream
        with contextlib.suppress(NoSuchStream):
            self._do(stream, Writer.mark_deleted)
        gone = self._folder / f"{_DELETED}{secrets.token_hex(8)}"
        with contextlib.suppress(FileNotFoundError):
            os.rename(folder, gone)
            self._environments.drop(folder)
            sync_folder(self._folder)
        shutil.rmtree(gone, ignore_errors=True)
        self._streams.pop(stream, None)
        self._ears.ring([stream])

    def listen(self, stream: str) -> AbstractAsyncContextManager[Ear]:
        self._check_open()
        return self._ears.listen(stream)

    def clear(self) -> None:
        for folder in list(self._folder.iterdir()):
            if not folder.name.startswith("."):
                self.delete(folder.name)

    def close(self) -> None:
        with _shared_lock:
            self.users -= 1
            if self.users > 0:
                return
            _shared.pop(self._folder, None)
        self._closed = True
        for lane in self._lanes:
            lane.close()
        self._environments.close()
        self._ears.close()

    def after_fork(self) -> None:
        """In the child: nobody listens here, and no ring may be like one of the parent's."""
        self._ears = Ears(self._folder / ".board")

    def _check_open(self) -> None:
        if self._closed:
            raise StreamError("the streams were closed")

    def _lane(self, stream: str) -> GroupCommit[_Item]:
        return self._lanes[zlib.crc32(stream.encode()) % _LANES]

    def _do(self, stream: str, work: Sequence[Entry] | Callable[[Writer], Any]) -> Any:
        try:
            return self._lane(stream).run(_Item(stream, work))
        except KeyValueError as error:
            raise StreamError(str(error)) from error

    def _forget(self, stream: Stream, firsts: dict[str, tuple[int, int]]) -> None:
        removable = self._do(stream.name, lambda writer: writer.forget(firsts))
        for folder in {*removable, *stream.leavings()}:
            shutil.rmtree(folder, ignore_errors=True)

    def _stream(self, name: str) -> Stream:
        self._check_open()
        return self._pair(name)[0]

    def _pair(self, name: str) -> tuple[Stream, Writer]:
        """Raises NoSuchStream."""
        pair = self._streams.get(name)
        if pair is None:
            if len(self._streams) >= _MOST_REMEMBERED:
                self._streams.clear()  # other processes may have deleted most of them
            if not is_name(name):
                raise NoSuchStream(f"there is no stream {name}")
            stream = Stream(name, self._folder / name, self._environments)
            stream.refresh()
            pair = self._streams.setdefault(name, (stream, Writer(stream, self._clock)))
        return pair

    def _commit(self, items: Sequence[_Item]) -> list[Outcome]:
        """What a lane does: append what belongs to the same stream at once."""
        outcomes: dict[int, Outcome] = {}
        by_stream: defaultdict[str, list[int]] = defaultdict(list)
        for index, item in enumerate(items):
            by_stream[item.stream].append(index)
        for stream, indexes in by_stream.items():
            appends: list[int] = []
            for index in indexes:
                work = items[index].work
                if callable(work):
                    self._append(stream, items, appends, outcomes)
                    appends = []
                    outcomes[index] = self._outcome(stream, work)
                else:
                    appends.append(index)
            self._append(stream, items, appends, outcomes)
        self._ears.ring(by_stream)
        return [outcomes[index] for index in range(len(items))]

    def _append(self, stream: str, items: Sequence[_Item], indexes: list[int], outcomes: dict[int, Outcome]) -> None:
        if not indexes:
            return
        batch: Any = [items[index].work for index in indexes]
        all_of_them = self._outcome(stream, lambda writer: writer.append(batch))
        if isinstance(all_of_them.error, TypeError | ValueError) and len(indexes) > 1:
            # One of them is not what it should be, and the others must not suffer for it.
            for index in indexes:
                self._append(stream, items, [index], outcomes)
            return
        for index, result in zip(indexes, all_of_them.result or [None] * len(indexes), strict=True):
            outcomes[index] = Outcome(result, all_of_them.error)

    def _outcome(self, stream: str, work: Callable[[Writer], object]) -> Outcome:
        try:
            return Outcome(work(self._pair(stream)[1]), None)
        except Exception as error:  # noqa: BLE001 - it belongs to those who wait for this stream
            if isinstance(error, NoSuchStream):
                self._streams.pop(stream, None)
            return Outcome(None, error)


def _sweep(folder: Path, now: float) -> None:
    """Remove what was left by processes that were killed while they made or deleted a stream."""
    for left in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            forgotten = left.name.startswith(_MAKING) and left.stat().st_mtime < now - _LONGEST_MAKING_SECONDS
            if forgotten or left.name.startswith(_DELETED):
                shutil.rmtree(left, ignore_errors=True)


# LMDB forbids a process to open an environment twice, so those who ask for the same folder share one.
_shared: dict[Path, EmbeddedStreams] = {}
_shared_lock = threading.Lock()


def open_embedded(folder: Path, clock: Clock, *, durable: bool = True) -> EmbeddedStreams:
    """Open the streams in `folder`, which is made when there is none. They stay open until closed as often."""
    path = folder.absolute()
    with _shared_lock:
        streams = _shared.get(path)
        if streams is None:
            streams = _shared[path] = EmbeddedStreams(path, clock, durable=durable)
        streams.users += 1
        return streams


def _after_fork_in_child() -> None:
    global _shared_lock
    _shared_lock = threading.Lock()
    for streams in _shared.values():
        streams.after_fork()


os.register_at_fork(after_in_child=_after_fork_in_child)

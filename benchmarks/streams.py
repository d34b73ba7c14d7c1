"""Claim: a durable append to a stream costs a few times what the disk's own costs, and reading costs the same anywhere.

Appends of 1 KiB from 1, 16 and 64 callers at once and of 100 records each, beside a plain file that the same number of
records are written to and synced (the limit); then pages of 1,000 records from the start, the middle and the end of
the stream that was made.
"""

import asyncio
import os
import random
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import uvloop

from clary.kernel.core.clock import SystemClock
from clary.kernel.streams import Entry, Streams, open_streams

_DATA = os.urandom(1024)
_SHARDS = [f"shard-{number}" for number in range(4)]
_ROUNDS = 3
_READS = 60
# Callers, and how many records each appends at once.
_CASES = ((1, 1), (16, 1), (64, 1), (16, 100))


class _Round(NamedTuple):
    records: int
    seconds: float
    cpu_seconds: float


def run(seconds: float) -> None:
    home = Path(tempfile.mkdtemp(prefix="clary-streams-"))
    streams = open_streams(home, SystemClock())
    try:
        streams.create("bench", _SHARDS)
        for callers, batch in _CASES:
            rounds: dict[str, list[_Round]] = {}
            for _ in range(_ROUNDS):
                limit = _measured(lambda: _plain(home / "plain", callers * batch, seconds))  # noqa: B023 - called at once
                rounds.setdefault("a file, write and fdatasync", []).append(limit)
                ours = _measured(lambda: _appended(streams, callers, batch, seconds))  # noqa: B023 - called at once
                rounds.setdefault("streams", []).append(ours)
            _show(f"Streams: appends of 1 KiB, {callers} caller(s), {batch} record(s) each", rounds)
        _show_reads(streams)
    finally:
        streams.close()
        shutil.rmtree(home, ignore_errors=True)


def _measured(work: Callable[[], int]) -> _Round:
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.perf_counter()
    records = work()
    taken = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    return _Round(records, taken, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def _plain(path: Path, group: int, seconds: float) -> int:
    """What the disk allows: so many records in one write, then one sync, over and over."""
    payload = _DATA * group
    groups = 0
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_TRUNC)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        os.write(descriptor, payload)
        os.fdatasync(descriptor)
        groups += 1
    os.close(descriptor)
    path.unlink()
    return groups * group


def _appended(streams: Streams, callers: int, batch: int, seconds: float) -> int:
    end = time.perf_counter() + seconds

    async def call(number: int) -> int:
        done = 0
        while time.perf_counter() < end:
            entries = [Entry(_SHARDS[(number + n) % 4], f"key-{number}-{n}", _DATA) for n in range(batch)]
            await streams.append_async("bench", entries)
            done += batch
            number += 1
        return done

    async def all_of_them() -> int:
        return sum(await asyncio.gather(*map(call, range(callers))))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(all_of_them())


def _show(title: str, rounds: dict[str, list[_Round]]) -> None:
    print(f"\n{title}")
    print(f"{'':34}{'CPU us/record':>15}{'records/s':>12}")
    for name, found in rounds.items():
        cpu = statistics.median(one.cpu_seconds / one.records for one in found) * 1e6
        rate = statistics.median(one.records / one.seconds for one in found)
        print(f"  {name:32}{cpu:>15,.1f}{rate:>12,.0f}")


def _show_reads(streams: Streams) -> None:
    first, end, *_ = streams.bounds("bench", _SHARDS[0])
    print(f"\nStreams: a page of 1,000 records of 1 KiB, of a shard with {end - first:,}")
    print(f"{'':34}{'p50 ms':>15}{'worst ms':>12}")
    places: dict[str, Callable[[], int]] = {
        "from the start": lambda: first,
        "from the middle": lambda: (first + end) // 2,
        "from near the end": lambda: end - 1000,
        "from random places": lambda: random.randrange(first, end - 1000),
    }
    for name, place in places.items():
        taken = []
        for _ in range(_READS):
            started = time.perf_counter()
            page = streams.read("bench", _SHARDS[0], place(), most=1000)
            taken.append((time.perf_counter() - started) * 1e3)
            assert len(page.records) == min(1000, end - first)
        print(f"  {name:32}{statistics.median(taken):>15.2f}{max(taken):>12.2f}")

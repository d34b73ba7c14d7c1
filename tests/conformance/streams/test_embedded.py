"""What only the embedded backend has: segments, files that must go, processes that are killed or fork."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
from tests.conformance.streams.test_streams import read_all

from clary.kernel.core.clock import VirtualClock
from clary.kernel.streams import Entry, NoSuchStream, Record, StreamError, environments, writing
from clary.kernel.streams.embedded import EmbeddedStreams, open_embedded


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def streams(tmp_path: Path, clock: VirtualClock) -> Iterator[EmbeddedStreams]:
    with closing(open_embedded(tmp_path, clock, durable=False)) as opened:
        yield opened


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "SEGMENT_BYTES", 200_000)
    monkeypatch.setattr(writing, "WORTH_BYTES", 60_000)
    monkeypatch.setattr(writing, "EMPTY_WORTH_BYTES", 30_000)


def fill(streams: EmbeddedStreams, shard: str, numbers: range, clock: VirtualClock | None = None) -> list[int]:
    """Append records of 1,000 bytes, ten at a time, a second apart; return their offsets."""
    offsets = []
    for first in numbers[::10]:
        places = streams.append("s", [Entry(shard, str(first + n), b"%d" % (first + n) * 250) for n in range(10)])
        offsets += [place.offset for place in places if place is not None]
        if clock is not None:
            clock.advance(1)
    return offsets


def keys(records: list[Record]) -> list[int]:
    return [int(record.key) for record in records]


def segments(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "s").iterdir())


def disk_bytes(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*.mdb"))


def test_reading_finding_and_counting_go_over_segments(
    streams: EmbeddedStreams, tmp_path: Path, clock: VirtualClock
) -> None:
    streams.create("s", ["a", "b"])
    began_ms = int(clock.now() * 1000)
    fill(streams, "a", range(1000, 1500), clock)
    streams.reshard("s", ["b"], ["c"])
    fill(streams, "c", range(1500, 2000), clock)
    fill(streams, "a", range(2000, 2500), clock)
    assert len(segments(tmp_path)) > 5
    expected = [*range(1000, 1500), *range(2000, 2500)]
    assert keys(streams.read("s", "a", 1).records) == expected
    assert keys(streams.read("s", "c", 1).records) == [*range(1500, 2000)]
    for offset in (1, 2, 77, 450, 499, 500, 501, 502, 900, 1000):
        page = streams.read("s", "a", offset, most=120)
        assert keys(page.records) == expected[offset - 1 : offset + 119]
        assert page.more == (offset + 120 <= 1000)
        assert keys(streams.read("s", "a", offset, most_bytes=50_000).records) == expected[offset - 1 :][:49]
        batch = (offset - 1) // 10
        second = batch if batch < 50 else batch + 50
        assert streams.offset_at("s", "a", began_ms + second * 1000) == batch * 10 + 1
    assert streams.offset_at("s", "c", 0) == 1
    assert streams.offset_at("s", "a", began_ms + 1000 * 1000) == 1001
    bounds = streams.bounds("s", "a")
    assert (bounds.records, bounds.data_bytes) == (1000, 1_000_000)


def test_what_is_trimmed_gives_its_space_back(streams: EmbeddedStreams, tmp_path: Path) -> None:
    streams.create("s", ["a"])
    for round_number in range(20):
        offsets = fill(streams, "a", range(1000, 1100))
        streams.trim("s", "a", offsets[-20])
        assert keys(streams.read("s", "a", 1).records) == [*range(1080, 1100)]
        bounds = streams.bounds("s", "a")
        assert (bounds.records, bounds.data_bytes) == (20, 20_000)
        assert bounds.end == 100 * (round_number + 1) + 1
    assert disk_bytes(tmp_path) < 500_000
    streams.trim("s", "a", bounds.end)
    assert disk_bytes(tmp_path) < 70_000
    assert segments(tmp_path)[0] > "0000000010"


def test_what_expires_gives_its_space_back_when_no_shard_needs_it(
    streams: EmbeddedStreams, tmp_path: Path, clock: VirtualClock
) -> None:
    streams.create("s", ["a", "b"])
    streams.append("s", [Entry("b", "0", b"")])
    clock.advance(1)
    fill(streams, "a", range(1000, 2000), clock)
    full = disk_bytes(tmp_path)
    streams.trim("s", "a", 501)
    assert disk_bytes(tmp_path) >= full, "the oldest record of another shard is in the oldest segment"
    streams.expire("s", int(clock.now() * 1000) - 20_000)
    assert keys(streams.read("s", "a", 1).records) == [*range(1800, 2000)]
    assert streams.read("s", "b", 1).records == []
    assert disk_bytes(tmp_path) < full / 2
    streams.expire("s", int(clock.now() * 1000))
    assert disk_bytes(tmp_path) < 70_000
    assert fill(streams, "a", range(2000, 2010))[0] == 1001


def test_an_old_segment_is_finished_when_that_is_worth_it(
    streams: EmbeddedStreams, tmp_path: Path, clock: VirtualClock
) -> None:
    streams.create("s", ["a"])
    clock.advance(100_000)
    fill(streams, "a", range(1000, 1010))
    assert len(segments(tmp_path)) == 1
    fill(streams, "a", range(1010, 1090))
    assert len(segments(tmp_path)) == 2


def test_arrival_never_goes_back_even_if_the_clock_does(streams: EmbeddedStreams, clock: VirtualClock) -> None:
    streams.create("s", ["a"])
    fill(streams, "a", range(1000, 1300))
    clock.advance(-50)
    fill(streams, "a", range(1300, 1400))
    times = [record.at_ms for record in streams.read("s", "a", 1).records]
    assert times == sorted(times)


def test_one_that_is_killed_while_it_begins_a_segment_spoils_nothing(
    streams: EmbeddedStreams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams.create("s", ["a"])
    unfinished = tmp_path / "s" / "0000000002.new"
    unfinished.mkdir()
    (unfinished / "data.mdb").write_bytes(b"half a segment")
    fill(streams, "a", range(1000, 1200))
    assert segments(tmp_path) == ["0000000001", "0000000002"]
    rename = os.rename
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", lambda *_: (_ for _ in ()).throw(PermissionError("killed here")))
        offset = 0
        for first in count(1200, 10):
            try:
                [offset, *_] = fill(streams, "a", range(first, first + 10))
            except StreamError:
                break
        assert offset
        assert segments(tmp_path)[-1].endswith(".new")
    assert os.rename is rename
    fill(streams, "a", range(first, first + 10))
    assert keys(streams.read("s", "a", 1).records) == [*range(1000, first + 10)]


def test_leftovers_of_killed_processes_are_removed(tmp_path: Path, clock: VirtualClock) -> None:
    with closing(open_embedded(tmp_path, clock)) as streams:
        streams.create("s", ["a"])
        fill(streams, "a", range(1000, 1300))
        (tmp_path / "s" / "0000000000.gone").mkdir()
        streams.trim("s", "a", 200)
        assert not any(name.endswith(".gone") for name in segments(tmp_path))
        streams.create("half-deleted", ["a"])
        streams._do("half-deleted", writing.Writer.mark_deleted)
        streams.delete("half-deleted")
        assert not (tmp_path / "half-deleted").exists()
    for left in (".gone-1", ".new-1"):
        (tmp_path / left / "0000000001").mkdir(parents=True)
    os.utime(tmp_path / ".new-1", (clock.now() - 7200, clock.now() - 7200))
    with closing(open_embedded(tmp_path, clock)) as streams:
        assert sorted(path.name for path in tmp_path.iterdir()) == [".board", "s"]
        assert len(streams.read("s", "a", 1).records) == 101


def test_few_files_are_open_however_many_streams_there_are(
    streams: EmbeddedStreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "_MOST_OPEN", 10)
    before = len(os.listdir("/proc/self/fd"))
    names = [f"s{n}" for n in range(60)]

    async def run() -> None:
        for _ in range(2):
            placed = await asyncio.gather(*(streams.append_async(name, [Entry("a", "", b"1")]) for name in names))
            assert None not in [result for [result] in placed]

    for name in names:
        streams.create(name, ["a"])
    asyncio.run(run())
    assert all(len(streams.read(name, "a", 1).records) == 2 for name in names)
    assert len(os.listdir("/proc/self/fd")) < before + 10 * 4 + 10


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_reads_and_appends_on_its_own(streams: EmbeddedStreams) -> None:
    streams.create("s", ["a"])
    fill(streams, "a", range(1000, 1010))
    pid = os.fork()
    if pid == 0:
        try:
            good = keys(streams.read("s", "a", 1).records)[:10] == [*range(1000, 1010)]
            fill(streams, "a", range(1010, 1200))
            os._exit(0 if good else 1)
        finally:
            os._exit(2)
    for first in range(2000, 2200, 10):
        fill(streams, "a", range(first, first + 10))
    assert os.waitpid(pid, 0)[1] == 0
    found = keys(streams.read("s", "a", 1).records)
    assert [key for key in found if key < 2000] == [*range(1000, 1200)]
    assert [key for key in found if key >= 2000] == [*range(2000, 2200)]


def test_a_full_disk_refuses_appends_and_takes_them_again_when_there_is_room(tmp_path: Path) -> None:
    """The system lets files of the child grow no further, as a full disk would."""
    program = """
        import resource
        from clary.kernel.streams import StreamError
        writing.SEGMENT_BYTES = 1 << 30
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
        kept = 0
        for refused in range(2):
            try:
                while True:
                    streams.append("s", [Entry("a", str(kept), bytes(9000))])
                    kept += 1
            except StreamError as error:
                assert "cannot write" in str(error), error
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        streams.append("s", [Entry("a", str(kept), bytes(9000))])
        print(kept + 1)
    """
    with closing(open_embedded(tmp_path, VirtualClock())) as streams:
        streams.create("s", ["a"])
        kept = int(child(program, tmp_path, "p").communicate()[0])
        assert kept > 50
        assert keys(streams.read("s", "a", 1).records) == [*range(kept)]


PROLOGUE = """
    import sys
    from pathlib import Path
    from clary.kernel.core.clock import SystemClock
    from clary.kernel.streams import Entry, NoSuchStream, writing
    from clary.kernel.streams.embedded import open_embedded
    writing.SEGMENT_BYTES = 150_000
    writing.WORTH_BYTES = 50_000
    streams = open_embedded(Path(sys.argv[1]), SystemClock())
    name = sys.argv[2]
"""

APPENDING = """
    n = int(sys.argv[3])
    while True:
        n += 1
        shard = "ab"[n % 2]
        places = streams.append("s", [Entry(shard, f"{name}/{n}/{i}", b"x" * 700) for i in range(n % 4 + 1)])
        for i, place in enumerate(places):
            print(n, i, place.offset)
        sys.stdout.flush()
"""


def child(program: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a process that runs `program` over the streams in the first argument."""
    text = textwrap.dedent(PROLOGUE) + textwrap.dedent(program)
    return subprocess.Popen([sys.executable, "-c", text, *map(str, arguments)], stdout=subprocess.PIPE, text=True)


def test_kill_9_at_random_moments_loses_nothing_and_doubles_nothing(tmp_path: Path, clock: VirtualClock) -> None:
    """Several processes append while each is killed and started again, also in the middle of beginning a segment."""
    moments = random.Random(11)
    with closing(open_embedded(tmp_path, clock)) as streams:
        streams.create("s", ["a", "b"])
        acknowledged: dict[str, int] = {}
        began = dict.fromkeys("pqr", 0)
        running = {name: child(APPENDING, tmp_path, name, 0) for name in began}
        for _ in range(9):
            name = moments.choice("pqr")
            process = running[name]
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(moments.randrange(20, 400))]
            process.send_signal(signal.SIGKILL)
            lines += process.communicate()[0].splitlines(keepends=True)
            acknowledged |= acknowledgements(name, lines)
            began[name] = 1 + max(int(key.split("/")[1]) for key in acknowledged if key.startswith(name))
            running[name] = child(APPENDING, tmp_path, name, began[name])
        for name, process in running.items():
            process.send_signal(signal.SIGKILL)
            acknowledged |= acknowledgements(name, process.communicate()[0].splitlines(keepends=True))
        assert len(segments(tmp_path)) > 3
        placed = streams.append("s", [Entry("a", "works/0/0", b"still")])
        assert placed[0] is not None
        found = {shard: read_all(streams, "s", shard) for shard in "ab"}
    offsets = {record.key: record.offset for records in found.values() for record in records}
    assert len(offsets) == sum(map(len, found.values())), "each is there once"
    assert {key: offsets[key] for key in acknowledged} == acknowledged
    for records in found.values():
        assert [record.offset for record in records] == [*range(1, len(records) + 1)]
        for name in began:
            order = [tuple(map(int, record.key.split("/")[1:])) for record in records if record.key.startswith(name)]
            assert order == sorted(order)


def acknowledgements(name: str, lines: list[str]) -> dict[str, int]:
    whole = [line.split() for line in lines if line.endswith("\n")]
    return {f"{name}/{n}/{i}": int(offset) for n, i, offset in whole}


def test_processes_share_a_stream_that_is_resharded_trimmed_and_deleted(tmp_path: Path, clock: VirtualClock) -> None:
    writer = """
        generation = n = 0
        print("ready", flush=True)
        try:
            while True:
                n += 1
                [place] = streams.append("s", [Entry(f"g{generation}", f"{name}/{n}", bytes(1000))])
                if place is None:
                    generation += 1
                else:
                    print(generation, n, flush=True)
        except NoSuchStream:
            print("deleted")
    """
    with closing(open_embedded(tmp_path, clock)) as streams, ThreadPoolExecutor() as pool:
        streams.create("s", ["g0"])
        writers = {name: child(writer, tmp_path, name) for name in "pq"}
        for process in writers.values():
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        # What they print is read meanwhile: one whose pipe is full would write no more, and the reader wait for ever.
        printed = {name: pool.submit(process.communicate) for name, process in writers.items()}
        found: list[Record] = []

        async def follow() -> None:
            """Read as a consumer does: all of a shard, then its successor, trimming what was read."""
            for generation in range(3):
                start, ended = 1, False
                async with streams.listen("s") as ear:
                    while not ended:
                        page = await streams.read_async("s", f"g{generation}", start, most=50)
                        found.extend(page.records)
                        start, ended = page.next, page.ended
                        if page.records:
                            await asyncio.to_thread(streams.trim, "s", f"g{generation}", start)
                        if start > 150 and not streams.bounds("s", f"g{generation}").closed:
                            opening = [f"g{generation + 1}"]
                            await asyncio.to_thread(streams.reshard, "s", [f"g{generation}"], opening)
                        if not page.more and not ended:
                            await ear.wait(60)

        try:
            asyncio.run(follow())
            streams.delete("s")
        except BaseException:
            for process in writers.values():
                process.kill()
            raise
        expected = set()
        for name, output in printed.items():
            *lines, last = output.result()[0].splitlines()
            assert last == "deleted"
            expected |= {f"{name}/{n}" for generation, n in map(str.split, lines) if int(generation) < 3}
        assert len(found) == len(expected)
        assert {record.key for record in found} == expected
        with pytest.raises(NoSuchStream):
            streams.read("s", "g0", 1)
        assert [path.name for path in tmp_path.iterdir()] == [".board"]


def test_listeners_hear_of_other_processes(streams: EmbeddedStreams, tmp_path: Path) -> None:
    streams.create("s", ["a"])
    program = """
        streams.append("s", [Entry("a", "1", b"")])
    """

    async def run() -> bool:
        async with streams.listen("s") as ear:
            process = child(program, tmp_path, "p")
            heard = await ear.wait(60)
            await asyncio.to_thread(process.communicate)
            return heard

    assert asyncio.run(run())
    assert keys(streams.read("s", "a", 1).records) == [1]

"""Every backend of streams keeps the promises of `clary.kernel.streams.contract`."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import pairwise

import pytest

from clary.kernel.streams import Bounds, Entry, NoSuchStream, Page, Placed, Record, StreamError, Streams
from clary.testing import eventually


def entries(shard: str, *data: str) -> list[Entry]:
    return [Entry(shard, f"key of {one}", one.encode()) for one in data]


def placed(results: list[Placed | None]) -> list[Placed]:
    assert all(result is not None for result in results)
    return [result for result in results if result is not None]


def data(page: Page) -> list[str]:
    return [record.data.decode() for record in page.records]


def read_all(streams: Streams, stream: str, shard: str, **limits: int) -> list[Record]:
    """Every record of a shard, page by page."""
    found: list[Record] = []
    start = 1
    while True:
        page = streams.read(stream, shard, start, **limits)
        found += page.records
        if not page.more:
            return found
        assert page.records
        start = page.next


def test_reads_what_was_appended_in_its_order(streams: Streams) -> None:
    streams.create("s", ["a", "b"])
    first = placed(streams.append("s", [*entries("a", "1", "2"), *entries("b", "x"), *entries("a", "3")]))
    second = placed(streams.append("s", [Entry("a", "", b""), Entry("a", " ключ\n%20", b"\0\xff" * 3)]))
    places = [first[0], first[1], first[3], *second]
    assert [place.offset for place in places] == sorted({place.offset for place in places})
    assert places[0].offset >= 1
    expected = [("key of 1", b"1"), ("key of 2", b"2"), ("key of 3", b"3"), ("", b""), (" ключ\n%20", b"\0\xff" * 3)]
    page = streams.read("s", "a", 1)
    assert [(record.key, record.data) for record in page.records] == expected
    assert [record.offset for record in page.records] == [place.offset for place in places]
    assert all(0 <= place.at_ms - record.at_ms < 60_000 for place, record in zip(places, page.records, strict=True))
    assert (page.more, page.ended) == (False, False)
    assert page.next > places[-1].offset
    assert data(streams.read("s", "b", 1)) == ["x"]


def test_reading_goes_on_where_the_last_page_said(streams: Streams) -> None:
    streams.create("s", ["a"])
    empty = streams.read("s", "a", 1)
    assert empty == Page([], 1, False, False)
    places = placed(streams.append("s", entries("a", *map(str, range(25)))))
    page = streams.read("s", "a", empty.next, most=10)
    assert (data(page), page.more) == ([str(n) for n in range(10)], True)
    page = streams.read("s", "a", page.next, most=15)
    assert (data(page), page.more) == ([str(n) for n in range(10, 25)], False)
    nothing = streams.read("s", "a", page.next)
    assert nothing == Page([], page.next, False, False)
    streams.append("s", entries("a", "next"))
    assert data(streams.read("s", "a", nothing.next)) == ["next"]
    assert data(streams.read("s", "a", places[-1].offset)) == ["24", "next"]
    assert data(streams.read("s", "a", places[-1].offset + 1)) == ["next"]


def test_a_page_holds_as_many_bytes_as_asked_for_but_one_record_at_least(streams: Streams) -> None:
    streams.create("s", ["a"])
    streams.append("s", [Entry("a", "k" * 10, bytes(90)) for _ in range(10)])
    assert len(streams.read("s", "a", 1, most_bytes=300).records) == 3
    assert len(streams.read("s", "a", 1, most_bytes=299).records) == 2
    page = streams.read("s", "a", 1, most_bytes=1)
    assert (len(page.records), page.more) == (1, True)
    assert len(read_all(streams, "s", "a", most_bytes=250)) == 10


def test_many_appends_make_one_sequence(streams: Streams) -> None:
    streams.create("s", ["a"])
    for n in range(40):
        streams.append("s", entries("a", *(f"{n}.{i}" for i in range(n % 7 + 1))))
    expected = [f"{n}.{i}" for n in range(40) for i in range(n % 7 + 1)]
    for limits in ({}, {"most": 1}, {"most": 7}, {"most_bytes": 100}):
        records = read_all(streams, "s", "a", **limits)
        assert [record.data.decode() for record in records] == expected
        assert all(one.offset < two.offset and one.at_ms <= two.at_ms for one, two in pairwise(records))
    middle = records[len(records) // 2]
    assert streams.read("s", "a", middle.offset).records == records[len(records) // 2 :]


def test_unknown_shards_take_nothing_and_have_nothing(streams: Streams) -> None:
    streams.create("s", ["a"])
    results = streams.append("s", [*entries("a", "1"), *entries("x", "2"), *entries("a", "3")])
    assert [result is None for result in results] == [False, True, False]
    assert streams.read("s", "x", 7) == Page([], 7, False, True)
    bounds = streams.bounds("s", "x")
    assert (bounds.closed, bounds.records, bounds.data_bytes) == (True, 0, 0)
    assert bounds.first == bounds.end == streams.offset_at("s", "x", 0)


def test_streams_are_made_once_and_unknown_ones_raise(streams: Streams) -> None:
    streams.create("s", ["a"])
    streams.append("s", entries("a", "kept"))
    streams.create("s", ["b"])
    assert data(streams.read("s", "a", 1)) == ["kept"]
    assert streams.append("s", entries("b", "1")) == [None]
    for call in (
        lambda: streams.append("t", entries("a", "1")),
        lambda: asyncio.run(streams.append_async("t", entries("a", "1"))),
        lambda: streams.read("t", "a", 1),
        lambda: asyncio.run(streams.read_async("t", "a", 1)),
        lambda: streams.bounds("t", "a"),
        lambda: streams.offset_at("t", "a", 0),
        lambda: streams.reshard("t", ["a"], ["b"]),
        lambda: streams.expire("t", 1),
        lambda: streams.trim("t", "a", 1),
    ):
        with pytest.raises(NoSuchStream):
            call()
    streams.delete("t")


@pytest.mark.parametrize("name", ["", "a/b", "..", "x" * 65, "é", ".gone"])
def test_names_that_nobody_could_have_are_refused(streams: Streams, name: str) -> None:
    with pytest.raises(ValueError, match="cannot name"):
        streams.create(name, ["a"])
    with pytest.raises(ValueError, match="cannot name"):
        streams.create("s", [name])
    streams.create("t", ["a"])
    with pytest.raises(ValueError, match="cannot name"):
        streams.reshard("t", [], [name])
    assert streams.append("t", entries(name, "1")) == [None]
    assert streams.read("t", name, 1).ended
    assert streams.bounds("t", name).closed
    assert streams.offset_at("t", name, 0) == 1
    streams.trim("t", name, 5)
    with pytest.raises(NoSuchStream):
        streams.append(name, entries("a", "1"))
    with pytest.raises(NoSuchStream):
        streams.read(name, "a", 1)
    streams.delete(name)


def test_resharding_closes_for_good_and_may_be_repeated(streams: Streams) -> None:
    streams.create("s", ["a", "b"])
    streams.append("s", [*entries("a", "1", "2"), *entries("b", "3")])
    for _ in range(2):
        streams.reshard("s", ["a"], ["a1", "a2"])
        assert streams.append("s", entries("a", "late")) == [None]
    placed(streams.append("s", [*entries("a1", "4"), *entries("a2", "5"), *entries("b", "6")]))
    page = streams.read("s", "a", 1, most=1)
    assert (data(page), page.more, page.ended) == (["1"], True, False)
    page = streams.read("s", "a", page.next)
    assert (data(page), page.more, page.ended) == (["2"], False, True)
    assert streams.read("s", "a", page.next) == Page([], page.next, False, True)
    assert streams.bounds("s", "a").closed
    assert not streams.bounds("s", "a1").closed
    assert [data(streams.read("s", shard, 1)) for shard in ("b", "a1", "a2")] == [["3", "6"], ["4"], ["5"]]
    streams.reshard("s", ["a1", "a2"], ["a3"])
    streams.reshard("s", ["a"], ["a1", "a2"])
    assert streams.append("s", [*entries("a1", "late"), *entries("a2", "late")]) == [None, None]


def test_bounds_say_what_is_kept(streams: Streams) -> None:
    streams.create("s", ["a"])
    assert streams.bounds("s", "a") == Bounds(1, 1, False, 0, 0)
    places = placed(streams.append("s", [Entry("a", "", bytes(100)) for _ in range(20)]))
    bounds = streams.bounds("s", "a")
    assert (bounds.first, bounds.closed, bounds.records) == (places[0].offset, False, 20)
    assert 2000 <= bounds.data_bytes <= 20 * 300, "a backend may count what goes with a record"
    assert bounds.end == streams.read("s", "a", 1).next
    streams.trim("s", "a", places[15].offset)
    bounds = streams.bounds("s", "a")
    assert (bounds.first, bounds.records) == (places[15].offset, 5)
    assert 500 <= bounds.data_bytes <= 5 * 300


def test_trimmed_records_are_gone_and_the_others_stay(streams: Streams) -> None:
    streams.create("s", ["a", "b"])
    places = placed(streams.append("s", [*entries("a", "1", "2", "3", "4"), *entries("b", "5")]))
    streams.trim("s", "a", places[2].offset)
    streams.trim("s", "a", places[1].offset)
    assert data(streams.read("s", "a", 1)) == ["3", "4"]
    assert streams.offset_at("s", "a", 0) == places[2].offset
    assert data(streams.read("s", "b", 1)) == ["5"]
    end = streams.bounds("s", "a").end
    streams.trim("s", "a", end + 1000)
    page = streams.read("s", "a", 1)
    assert (data(page), page.more, page.ended) == ([], False, False)
    bounds = streams.bounds("s", "a")
    assert (bounds.records, bounds.data_bytes) == (0, 0)
    assert bounds.first == bounds.end >= end
    [place] = placed(streams.append("s", entries("a", "6")))
    assert place.offset >= end
    assert data(streams.read("s", "a", page.next)) == ["6"]
    streams.trim("s", "unknown", 5)


def wait_a_moment() -> None:
    """Until the next record arrives at a later time than the last one."""
    now = int(time.time() * 1000)
    eventually(lambda: int(time.time() * 1000) >= now + 3)


def test_finds_records_by_time_and_forgets_old_ones(streams: Streams) -> None:
    streams.create("s", ["a", "b"])
    groups: list[list[Record]] = []
    for n in range(6):
        places = placed(streams.append("s", [*entries("a", f"{n}x", f"{n}y"), *entries("b", f"{n}z")]))
        groups.append(streams.read("s", "a", places[0].offset).records)
        wait_a_moment()
    for first, last in groups:
        assert streams.offset_at("s", "a", first.at_ms) == first.offset
        assert streams.offset_at("s", "a", first.at_ms - 1) == first.offset
        assert streams.offset_at("s", "a", last.at_ms + 1) > last.offset
    assert streams.offset_at("s", "a", groups[-1][-1].at_ms + 1) == streams.bounds("s", "a").end
    assert streams.offset_at("s", "a", 0) == groups[0][0].offset
    streams.expire("s", groups[3][0].at_ms)
    assert data(streams.read("s", "a", 1)) == ["3x", "3y", "4x", "4y", "5x", "5y"]
    assert data(streams.read("s", "b", 1)) == ["3z", "4z", "5z"]
    assert streams.offset_at("s", "a", 0) == streams.bounds("s", "a").first == groups[3][0].offset
    streams.expire("s", groups[1][0].at_ms)
    assert streams.bounds("s", "b").records == 3
    streams.expire("s", streams.read("s", "b", 1).records[-1].at_ms + 1)
    assert data(streams.read("s", "a", 1)) == data(streams.read("s", "b", 1)) == []
    [place] = placed(streams.append("s", entries("a", "after")))
    assert place.offset > groups[-1][-1].offset
    assert data(streams.read("s", "a", 1)) == ["after"]


def test_a_deleted_stream_is_no_more(streams: Streams) -> None:
    streams.create("s", ["a"])
    streams.create("t", ["a"])
    streams.append("s", entries("a", "1"))
    streams.append("t", entries("a", "2"))
    streams.delete("s")
    streams.delete("s")
    with pytest.raises(NoSuchStream):
        streams.read("s", "a", 1)
    with pytest.raises(NoSuchStream):
        streams.append("s", entries("a", "1"))
    assert data(streams.read("t", "a", 1)) == ["2"]
    streams.clear()
    with pytest.raises(NoSuchStream):
        streams.bounds("t", "a")


def test_everything_is_there_after_reopening(opened: Callable[[], Streams]) -> None:
    with closing(opened()) as streams:
        streams.create("s", ["a", "b"])
        streams.append("s", entries("a", "1", "2", "3"))
        streams.reshard("s", ["b"], ["c"])
        streams.trim("s", "a", streams.read("s", "a", 1).records[0].offset + 1)
        before = streams.bounds("s", "a")
    with pytest.raises(StreamError):
        streams.append("s", entries("a", "4"))
    with pytest.raises(StreamError):
        streams.read("s", "a", 1)
    with closing(opened()) as streams:
        assert streams.bounds("s", "a") == before
        assert data(streams.read("s", "a", 1)) == ["2", "3"]
        assert streams.append("s", entries("b", "4")) == [None]
        placed(streams.append("s", [*entries("a", "5"), *entries("c", "6")]))
        assert data(streams.read("s", "a", 1)) == ["2", "3", "5"]


def test_what_one_opening_does_the_other_sees(opened: Callable[[], Streams]) -> None:
    with closing(opened()) as one, closing(opened()) as two:
        one.create("s", ["a"])
        two.append("s", entries("a", "1"))
        one.append("s", entries("a", "2"))
        assert data(two.read("s", "a", 1)) == ["1", "2"]
        two.reshard("s", ["a"], ["b"])
        assert one.append("s", entries("a", "3")) == [None]
        two.delete("s")
        with pytest.raises(NoSuchStream):
            one.append("s", entries("b", "4"))


def test_concurrent_appends_are_each_there_once_and_in_their_order(streams: Streams) -> None:
    streams.create("s", ["a", "b"])

    def work(name: str) -> None:
        for n in range(20):
            placed(streams.append("s", entries("ab"[n % 2], f"{name}/{n}/0", f"{name}/{n}/1")))

    async def task(name: str) -> None:
        for n in range(20):
            placed(await streams.append_async("s", entries("ab"[n % 2], f"{name}/{n}/0", f"{name}/{n}/1")))

    async def run() -> None:
        await asyncio.gather(*(task(f"task {n}") for n in range(8)))

    with ThreadPoolExecutor() as pool:
        threads = [pool.submit(work, f"thread {n}") for n in range(4)]
        asyncio.run(run())
        for thread in threads:
            thread.result()
    for parity, shard in enumerate("ab"):
        records = read_all(streams, "s", shard)
        assert all(one.offset < two.offset and one.at_ms <= two.at_ms for one, two in pairwise(records))
        by_worker: dict[str, list[str]] = {}
        for record in records:
            worker, rest = record.data.decode().split("/", 1)
            by_worker.setdefault(worker, []).append(rest)
        expected = [f"{n}/{i}" for n in range(parity, 20, 2) for i in range(2)]
        assert by_worker == {name: expected for name in by_worker}
        assert len(by_worker) == 12


def test_appends_issued_one_after_another_without_waiting_keep_their_order(streams: Streams) -> None:
    streams.create("s", ["a"])

    async def run() -> None:
        calls = [asyncio.ensure_future(streams.append_async("s", entries("a", str(n)))) for n in range(100)]
        offsets = [placed(await call)[0].offset for call in calls]
        assert offsets == sorted(set(offsets))
        assert [int(text) for text in data(await streams.read_async("s", "a", 1))] == list(range(100))

    asyncio.run(run())


def test_what_nobody_could_store_fails_alone(streams: Streams) -> None:
    streams.create("s", ["a"])

    async def run() -> list[object]:
        good = [streams.append_async("s", entries("a", str(n))) for n in range(5)]
        bad = streams.append_async("s", [*entries("a", "before"), Entry("a", "\ud800", b"")])
        return await asyncio.gather(*good[:3], bad, *good[3:], return_exceptions=True)

    results = asyncio.run(run())
    assert isinstance(results.pop(3), UnicodeEncodeError)
    assert all(isinstance(result, list) and None not in result for result in results)
    found = [record.data.decode() for record in read_all(streams, "s", "a")]
    assert [text for text in found if text != "before"] == list("01234")


def test_resharding_while_others_append_loses_nothing(streams: Streams) -> None:
    """What was placed before a shard closed is there for whoever reads after; the rest was refused."""
    streams.create("s", ["g0"])
    acknowledged: dict[int, list[list[str]]] = {generation: [] for generation in range(4)}
    stopped = threading.Event()

    def work(name: int) -> None:
        generation = n = 0
        while not stopped.is_set():
            n += 1
            text = f"{name}/{n}"
            if streams.append("s", entries(f"g{generation}", text)) == [None]:
                generation += 1
            else:
                acknowledged[generation].append([text])

    with ThreadPoolExecutor() as pool:
        threads = [pool.submit(work, n) for n in range(3)]
        try:
            for generation in range(3):
                eventually(lambda generation=generation: acknowledged[generation])
                streams.reshard("s", [f"g{generation}"], [f"g{generation + 1}"])
                assert streams.append("s", entries(f"g{generation}", "late")) == [None]
                ended = read_all(streams, "s", f"g{generation}")
                assert streams.read("s", f"g{generation}", ended[-1].offset + 1).ended
            eventually(lambda: acknowledged[3])
        finally:
            stopped.set()
        for thread in threads:
            thread.result()
    for generation, texts in acknowledged.items():
        found = [record.data.decode() for record in read_all(streams, "s", f"g{generation}")]
        assert sorted(found) == sorted(text for [text] in texts)


def test_listeners_hear_of_appends_and_closed_shards(opened: Callable[[], Streams]) -> None:
    async def run() -> None:
        with closing(opened()) as streams, closing(opened()) as other:
            streams.create("s", ["a"])
            streams.create("silent", ["a"])
            async with (
                streams.listen("s") as ear,
                streams.listen("s") as second,
                streams.listen("silent") as third,
            ):
                await streams.append_async("s", entries("a", "1"))
                assert await ear.wait(60)
                assert await second.wait(60)
                await asyncio.to_thread(other.append, "s", entries("a", "2"))
                await asyncio.to_thread(other.append, "s", entries("a", "3"))
                assert await ear.wait(60)
                await asyncio.to_thread(streams.reshard, "s", ["a"], ["b"])
                assert await second.wait(60)
                assert not await third.wait(0)

    asyncio.run(run())

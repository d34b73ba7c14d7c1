"""Whatever one does with streams in whatever order, they behave like lists of records."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from clary.kernel.core.clock import VirtualClock
from clary.kernel.streams import Entry, NoSuchStream, Record, writing
from clary.kernel.streams.embedded import EmbeddedStreams, open_embedded

STREAMS = st.sampled_from(["s", "t"])
SHARDS = st.sampled_from(["a", "b", "c", "d"])
SIZES = st.sampled_from([0, 1, 30, 3000, 70_000])


@dataclass
class Shard:
    records: list[Record] = field(default_factory=list)
    first: int = 1
    closed: bool = False

    @property
    def kept(self) -> list[Record]:
        return [record for record in self.records if record.offset >= self.first]

    @property
    def end(self) -> int:
        return len(self.records) + 1


class Machine(RuleBasedStateMachine):
    """The embedded backend beside dictionaries of lists; offsets are known since it assigns them without gaps."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = VirtualClock()
        self.streams = self.open()
        self.model: dict[str, dict[str, Shard]] = {}
        self.used: set[str] = set()

    def open(self) -> EmbeddedStreams:
        return open_embedded(Path(self.folder.name), self.clock, durable=False)

    def teardown(self) -> None:
        self.streams.close()
        self.folder.cleanup()

    def refused(self, stream: str, call: Callable[[], object]) -> bool:
        """Whether there is no such stream; then `call` must say so."""
        if stream in self.model:
            return False
        with pytest.raises(NoSuchStream):
            call()
        return True

    @initialize(shards=st.lists(SHARDS, max_size=2))
    def begin(self, shards: list[str]) -> None:
        self.create("s", shards)

    @rule(stream=STREAMS, shards=st.lists(SHARDS, max_size=3))
    def create(self, stream: str, shards: list[str]) -> None:
        if stream in self.used and stream not in self.model:
            return  # a name is chosen once
        self.streams.create(stream, shards)
        self.used.add(stream)
        self.model.setdefault(stream, {shard: Shard() for shard in shards})

    @rule(stream=STREAMS, entries=st.lists(st.tuples(SHARDS, SIZES), max_size=12))
    def append(self, stream: str, entries: list[tuple[str, int]]) -> None:
        given = [Entry(shard, f"{n}", b"%d" % (n % 10) * size) for n, (shard, size) in enumerate(entries)]
        if self.refused(stream, lambda: self.streams.append(stream, given)):
            return
        now_ms = int(self.clock.now() * 1000)
        for entry, place in zip(given, self.streams.append(stream, given), strict=True):
            shard = self.model[stream].get(entry.shard)
            if shard is None or shard.closed:
                assert place is None
                continue
            at_ms = max(now_ms, shard.records[-1].at_ms if shard.records else 0)
            assert place == (shard.end, at_ms)
            shard.records.append(Record(shard.end, at_ms, entry.key, entry.data))

    @rule(seconds=st.sampled_from([-5, 0.001, 1, 4000]))
    def let_time_pass(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(stream=STREAMS, close=st.lists(SHARDS, max_size=2), opening=st.lists(SHARDS, max_size=2))
    def reshard(self, stream: str, close: list[str], opening: list[str]) -> None:
        if self.refused(stream, lambda: self.streams.reshard(stream, close, opening)):
            return
        self.streams.reshard(stream, close, opening)
        shards = self.model[stream]
        for name in close:
            if name in shards:
                shards[name].closed = True
        for name in opening:
            shards.setdefault(name, Shard())

    @rule(stream=STREAMS, name=SHARDS, before=st.integers(0, 40))
    def trim(self, stream: str, name: str, before: int) -> None:
        if self.refused(stream, lambda: self.streams.trim(stream, name, before)):
            return
        self.streams.trim(stream, name, before)
        shard = self.model[stream].get(name)
        if shard is not None:
            shard.first = max(shard.first, min(before, shard.end))

    @rule(stream=STREAMS, data=st.data())
    def expire(self, stream: str, data: st.DataObject) -> None:
        if self.refused(stream, lambda: self.streams.expire(stream, 1)):
            return
        times = {record.at_ms for shard in self.model[stream].values() for record in shard.records}
        before_ms = data.draw(st.sampled_from([0, *sorted(times)])) + data.draw(st.sampled_from([0, 1]))
        self.streams.expire(stream, before_ms)
        for shard in self.model[stream].values():
            fresh = [record.offset for record in shard.kept if record.at_ms >= before_ms]
            shard.first = min(fresh, default=shard.end)

    @rule(stream=STREAMS)
    def delete(self, stream: str) -> None:
        self.streams.delete(stream)
        self.model.pop(stream, None)

    @rule()
    def reopen(self) -> None:
        self.streams.close()
        self.streams = self.open()

    @rule(stream=STREAMS, name=SHARDS, start=st.integers(0, 40), most=st.integers(1, 15), most_bytes=SIZES)
    def read(self, stream: str, name: str, start: int, most: int, most_bytes: int) -> None:
        if self.refused(stream, lambda: self.streams.read(stream, name, start)):
            return
        page = self.streams.read(stream, name, start, most=most, most_bytes=most_bytes)
        shard = self.model[stream].get(name, Shard(closed=True))
        expected = [record for record in shard.kept if record.offset >= start][:most]
        room = most_bytes
        for index, record in enumerate(expected):
            room -= len(record.data) + len(record.key)
            if room < 0 and index:
                expected = expected[:index]
                break
        assert page.records == expected
        assert page.next == (expected[-1].offset + 1 if expected else max(start, shard.first))
        assert page.more == (page.next < shard.end)
        assert page.ended == (shard.closed and page.next >= shard.end)

    @rule(stream=STREAMS, name=SHARDS, data=st.data())
    def find(self, stream: str, name: str, data: st.DataObject) -> None:
        if self.refused(stream, lambda: self.streams.offset_at(stream, name, 0)):
            return
        shard = self.model[stream].get(name, Shard())
        times = sorted({0, *(record.at_ms for record in shard.records)})
        at_ms = data.draw(st.sampled_from(times)) + data.draw(st.sampled_from([-1, 0, 1]))
        expected = next((record.offset for record in shard.kept if record.at_ms >= at_ms), shard.end)
        assert self.streams.offset_at(stream, name, at_ms) == expected

    @invariant()
    def bounds_are_right(self) -> None:
        for stream, shards in self.model.items():
            for name, shard in shards.items():
                kept = shard.kept
                data_bytes = sum(len(record.data) for record in kept)
                expected = (shard.first, shard.end, shard.closed, len(kept), data_bytes)
                assert self.streams.bounds(stream, name) == expected


def test_streams_behave_like_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "SEGMENT_BYTES", 150_000)
    monkeypatch.setattr(writing, "WORTH_BYTES", 50_000)
    monkeypatch.setattr(writing, "EMPTY_WORTH_BYTES", 20_000)
    run_state_machine_as_test(Machine, settings=settings(max_examples=60, stateful_step_count=30, deadline=None))

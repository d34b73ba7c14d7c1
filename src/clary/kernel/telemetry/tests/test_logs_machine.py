"""Log streams against a model of them: whatever is done in whatever order, and wherever a sweep is cut short."""

import tempfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from clary.kernel.core.clock import VirtualClock
from clary.kernel.kv import open_kv
from clary.kernel.telemetry.log_records import StreamNotFound
from clary.kernel.telemetry.logs import Logs

HERE = "111122223333", "eu-west-1"
STREAMS = st.sampled_from(["a", "b", "ab"])
TIMES = st.integers(0, 5)


class LogMachine(RuleBasedStateMachine):
    """`written` holds what each stream should hold: (timestamp, order of writing, message)."""

    @initialize()
    def start(self):
        self.folder = tempfile.TemporaryDirectory()
        self.kv = open_kv(Path(self.folder.name), "logs")
        self.logs = Logs(self.kv, VirtualClock())
        self.logs.create_group(*HERE, "g")
        self.written = {}
        self.followed = {}
        self.number = 0

    def teardown(self):
        self.kv.close()
        self.folder.cleanup()

    @rule(stream=STREAMS, times=st.lists(TIMES, min_size=1, max_size=5))
    def append(self, stream, times):
        events = []
        for time in times:
            self.number += 1
            events.append((time, f"{self.number}"))
            self.written.setdefault(stream, []).append((time, self.number, f"{self.number}"))
        self.logs.append(*HERE, "g", stream, events)

    @rule(stream=STREAMS)
    def delete(self, stream):
        if stream in self.written:
            del self.written[stream]
            self.logs.delete_stream(*HERE, "g", stream)
        else:
            with pytest.raises(StreamNotFound):
                self.logs.delete_stream(*HERE, "g", stream)

    @rule()
    def sweep(self):
        self.logs.sweep()

    @rule(stream=STREAMS, limit=st.integers(1, 4), backward=st.booleans(), low=TIMES, high=TIMES)
    def page_through(self, stream, limit, backward, low, high):
        """Pages of any size, in either direction, give every event of a range once and in order."""
        kept = self._stream(stream)
        if kept is None:
            return
        wanted = [message for time, _, message in sorted(self.written[stream]) if low <= time < high]
        found, at = [], None
        while True:
            page = self.logs.read(kept, start=low, end=high, at=at, backward=backward, limit=limit)
            messages = [event.message for event in page.events]
            if not messages:
                break
            found = messages + found if backward else found + messages
            at = page.before if backward else page.after
        assert found == wanted

    @rule(backward=st.booleans(), skip=st.integers(0, 10))
    def merge(self, backward, skip):
        streams = list(self.logs.streams(self._group()))
        everything = [event for _, event in self.logs.merged(streams, backward=backward)]
        ids = [event.id for event in everything]
        assert ids == sorted(ids, reverse=backward)
        assert len(set(ids)) == sum(len(events) for events in self.written.values())
        if skip < len(ids):
            rest = self.logs.merged(streams, beyond=ids[skip], backward=backward)
            assert [event.id for _, event in rest] == ids[skip + 1 :]

    @invariant()
    def every_stream_holds_what_was_written(self):
        if not hasattr(self, "logs"):
            return
        group = self._group()
        assert [stream.name for stream in self.logs.streams(group)] == sorted(self.written)
        for stream in self.logs.streams(group):
            events = self.logs.read(stream).events
            assert [event.message for event in events] == [m for _, _, m in sorted(self.written[stream.name])]
            times = [event.timestamp for event in events]
            assert (stream.first_event, stream.last_event) == (min(times), max(times))

    def _group(self):
        return self.logs.get_group(*HERE, "g")

    def _stream(self, name):
        return self.logs.get_stream(self._group(), name)


TestLogMachine = LogMachine.TestCase
TestLogMachine.settings = settings(max_examples=8, stateful_step_count=25, deadline=None)


class Cut(Exception):
    """The process died here."""


class Dying:
    """A domain whose process dies at its n-th write."""

    def __init__(self, kv, writes):
        self._kv = kv
        self._left = writes

    def __getattr__(self, name):
        return getattr(self._kv, name)

    def write(self, change):
        if self._left == 0:
            raise Cut
        self._left -= 1
        return self._kv.write(change)


def test_a_sweep_that_is_cut_short_anywhere_is_finished_by_the_next(kv, clock):
    logs = Logs(kv, clock)
    for writes in range(20):
        logs.append(*HERE, "g", "kept", [(1, "kept")])
        logs.append(*HERE, "g", "s", [(number, "x") for number in range(10)])
        logs.delete_stream(*HERE, "g", "s")
        logs.append(*HERE, "gone", "t", [(1, "x")])
        logs.delete_group(*HERE, "gone")
        try:
            Logs(Dying(kv, writes), clock).sweep()
        except Cut:
            logs.sweep()
        group = logs.get_group(*HERE, "g")
        assert logs.stored_bytes(group) == (writes + 1) * (len("kept") + 26)
        assert len(list(kv.scan(b"e", b"f"))) == writes + 1
        assert not list(kv.scan(b"d", b"e"))

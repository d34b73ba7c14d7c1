"""The promises of log streams, on real storage."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from clary.kernel.kv import open_kv
from clary.kernel.telemetry.log_records import GroupNotFound, NameTaken, StreamNotFound
from clary.kernel.telemetry.logs import Logs

HERE = "111122223333", "eu-west-1"
NOW = 1_750_000_000_000
DAY = 24 * 3600 * 1000


def append(logs, stream, *events):
    logs.append(*HERE, "g", stream, events)


def stream_of(logs, name, group="g"):
    return logs.get_stream(logs.get_group(*HERE, group), name)


def messages(events):
    return [event.message for event in events]


def test_append_makes_what_is_missing_unless_told_not_to(logs):
    with pytest.raises(GroupNotFound):
        logs.append(*HERE, "g", "s", [(1, "x")], create=False)
    logs.create_group(*HERE, "g")
    with pytest.raises(StreamNotFound):
        logs.append(*HERE, "g", "s", [(1, "x")], create=False)
    append(logs, "s", (1, "x"))
    assert messages(logs.read(stream_of(logs, "s")).events) == ["x"]


def test_names_are_unique_within_account_and_region(logs):
    logs.create_group(*HERE, "g")
    logs.create_stream(*HERE, "g", "s")
    with pytest.raises(NameTaken):
        logs.create_group(*HERE, "g")
    with pytest.raises(NameTaken):
        logs.create_stream(*HERE, "g", "s")
    logs.create_group("444455556666", "eu-west-1", "g")
    logs.create_group("111122223333", "eu-west-2", "g")
    assert [group.name for group in logs.groups(*HERE)] == ["g"]
    assert len(list(logs.every_group())) == 3


def test_groups_and_streams_list_by_name_prefix_and_place(logs):
    for name in ("/a/b", "/a/c", "/b", "x" * 512):
        logs.create_group(*HERE, name)
    assert [group.name for group in logs.groups(*HERE, prefix="/a/")] == ["/a/b", "/a/c"]
    assert [group.name for group in logs.groups(*HERE, after="/a/b")] == ["/a/c", "/b", "x" * 512]
    for name in ("job/1", "job/2", "ü" * 512, "jobs"):
        logs.create_stream(*HERE, "/b", name)
    group = logs.get_group(*HERE, "/b")
    assert [stream.name for stream in logs.streams(group, prefix="job/")] == ["job/1", "job/2"]
    assert [stream.name for stream in logs.streams(group, after="job/2")] == ["jobs", "ü" * 512]


def test_a_stream_reads_by_time_then_by_order_of_appending(logs):
    append(logs, "s", (20, "b"), (20, "c"))
    append(logs, "s", (10, "a"), (20, "d"), (30, "e"))
    stream = stream_of(logs, "s")
    assert messages(logs.read(stream).events) == ["a", "b", "c", "d", "e"]
    assert messages(logs.read(stream, start=20, end=30).events) == ["b", "c", "d"]
    assert messages(logs.read(stream, backward=True, limit=2).events) == ["d", "e"]
    assert (stream.first_event, stream.last_event, stream.next_sequence) == (10, 30, 5)


def test_positions_lead_through_a_stream_in_both_directions(logs):
    append(logs, "s", *((number, str(number)) for number in range(10)))
    stream = stream_of(logs, "s")
    first = logs.read(stream, limit=4)
    second = logs.read(stream, at=first.after, limit=4)
    assert messages(second.events) == ["4", "5", "6", "7"]
    assert messages(logs.read(stream, at=second.before, backward=True, limit=3).events) == ["1", "2", "3"]
    end = logs.read(stream, at=second.after).after
    nothing = logs.read(stream, at=end)
    assert (nothing.events, nothing.before, nothing.after) == ([], end, end)
    append(logs, "s", (10, "new"))
    assert messages(logs.read(stream, at=end).events) == ["new"]


def test_an_empty_stream_gives_a_position_that_finds_what_comes_later(logs):
    logs.create_group(*HERE, "g")
    stream = logs.create_stream(*HERE, "g", "s")
    gap = logs.read(stream, backward=True).after
    append(logs, "s", (5, "x"))
    assert messages(logs.read(stream, at=gap).events) == ["x"]


def test_reading_stops_at_a_megabyte_but_never_before_the_first_event(logs):
    append(logs, "s", *((number, "x" * 300_000) for number in range(5)))
    stream = stream_of(logs, "s")
    assert len(logs.read(stream).events) == 3
    assert len(logs.read(stream, max_bytes=10).events) == 1


def test_merged_streams_read_in_time_order_from_any_place(logs):
    for number in range(200):
        append(logs, f"s{number % 7}", (number // 3, f"{number:03d}"))
    group = logs.get_group(*HERE, "g")
    streams = list(logs.streams(group))
    everything = [event for _, event in logs.merged(streams)]
    assert len(everything) == 200
    assert [event.id for event in everything] == sorted(event.id for event in everything)
    for place in (0, 1, 57, 198):
        rest = [event for _, event in logs.merged(streams, beyond=everything[place].id)]
        assert rest == everything[place + 1 :]
        back = [event for _, event in logs.merged(streams, beyond=everything[place].id, backward=True)]
        assert back == everything[:place][::-1]
    part = [event for _, event in logs.merged(streams, start=10, end=20)]
    assert part == [event for event in everything if 10 <= event.timestamp < 20]
    assert {stream.name for stream, _ in logs.merged(streams[:2])} == {"s0", "s1"}


def test_arrivals_follow_the_order_in_which_events_came(logs):
    append(logs, "s", (50, "first"))
    group = logs.get_group(*HERE, "g")
    seen = logs.last_arrival(group)
    append(logs, "t", (10, "late a"), (90, "late b"))
    append(logs, "s", (5, "last"))
    arrived = logs.arrivals(group, seen)
    assert [(arrival.stream_name, arrival.count) for arrival in arrived] == [("t", 2), ("s", 1)]
    assert [messages(logs.arrived_events(arrival)) for arrival in arrived] == [["late a", "late b"], ["last"]]
    assert logs.last_arrival(group) == arrived[-1].number == 3
    assert logs.arrivals(group, 3) == []


def test_a_deleted_stream_is_gone_at_once_and_its_bytes_with_the_sweep(logs, kv):
    append(logs, "s", *((number, "x") for number in range(100)))
    append(logs, "t", (1, "kept"))
    logs.delete_stream(*HERE, "g", "s")
    group = logs.get_group(*HERE, "g")
    assert [stream.name for stream in logs.streams(group)] == ["t"]
    assert logs.sweep() > 100
    assert logs.stored_bytes(group) == len("kept") + 26
    assert len(list(kv.scan(b"e", b"f"))) == 1
    with pytest.raises(StreamNotFound):
        logs.delete_stream(*HERE, "g", "s")
    append(logs, "s", (1, "again"))
    logs.sweep()
    assert messages(logs.read(stream_of(logs, "s")).events) == ["again"]


def test_a_deleted_group_takes_everything_with_it(logs, kv):
    append(logs, "s", (1, "x"))
    append(logs, "t", (1, "x"))
    logs.delete_group(*HERE, "g")
    assert logs.get_group(*HERE, "g") is None
    logs.sweep()
    assert [key for key, _ in kv.scan()] == [b"n"]
    with pytest.raises(GroupNotFound):
        logs.delete_group(*HERE, "g")


def test_retention_deletes_what_is_too_old(logs, clock, kv):
    append(logs, "s", (NOW - 2 * DAY, "old"), (NOW, "new"))
    append(logs, "t", (NOW - 2 * DAY, "old"))
    logs.change_group(*HERE, "g", lambda group: type(group)(group.id, group.name, group.created_at, 1))
    group = logs.get_group(*HERE, "g")
    assert logs.horizon(group) == NOW - DAY
    logs.sweep()
    assert messages(logs.read(stream_of(logs, "s")).events) == ["new"]
    assert stream_of(logs, "s").first_event == NOW
    assert stream_of(logs, "t").last_event is None
    assert logs.stored_bytes(group) == len("new") + 26
    clock.advance(2 * 24 * 3600)
    logs.sweep()
    assert not list(kv.scan(b"a", b"b"))
    assert not list(kv.scan(b"e", b"f"))


def test_a_change_that_raises_changes_nothing(logs):
    logs.create_group(*HERE, "g", attributes={"tags": {"a": "b"}})

    def refuse(group):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        logs.change_group(*HERE, "g", refuse)
    assert logs.get_group(*HERE, "g").attributes == {"tags": {"a": "b"}}
    with pytest.raises(GroupNotFound):
        logs.change_group(*HERE, "none", refuse)


def test_many_threads_append_to_one_stream_without_losing_a_line(logs):
    def work(worker):
        for number in range(20):
            append(logs, "s", (number, f"{worker}-{number}"))

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = messages(logs.read(stream_of(logs, "s")).events)
    assert len(found) == len(set(found)) == 160


WRITER = """
import sys
from pathlib import Path
from clary.kernel.core.clock import SystemClock
from clary.kernel.kv import open_kv
from clary.kernel.telemetry.logs import Logs

logs = Logs(open_kv(Path(sys.argv[1]), "logs"), SystemClock())
number = 0
while True:
    logs.append("111122223333", "eu-west-1", "g", "s", [(number, str(number))])
    print(number, flush=True)
    number += 1
"""


def test_what_another_process_was_told_is_written_survives_its_kill(tmp_path, clock):
    child = subprocess.Popen([sys.executable, "-c", WRITER, tmp_path], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    acknowledged = [int(child.stdout.readline()) for _ in range(50)]
    os.kill(child.pid, signal.SIGKILL)
    rest = [int(line) for line in child.stdout.read().split()]
    child.stdout.close()
    child.wait()
    kv = open_kv(tmp_path, "logs")
    logs = Logs(kv, clock)
    found = [int(message) for message in messages(logs.read(stream_of(logs, "s")).events)]
    kv.close()
    assert found[: len(acknowledged) + len(rest)] == acknowledged + rest
    assert found == list(range(len(found)))

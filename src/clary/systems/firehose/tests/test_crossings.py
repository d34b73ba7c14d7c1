"""Delivery is begun anew after a crash before and after everything it writes: S3 then has every record once."""

import base64
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from clary.kernel.auth.directory import DEFAULT_ROLE, DEFAULT_ROLE_PATH
from clary.kernel.core.clock import VirtualClock
from clary.kernel.core.settings import Settings
from clary.kernel.rooms import Platform
from clary.kernel.rooms.tests.crossings import Crash, Fuse, fuses
from clary.kernel.store import Entry
from clary.kernel.streams import Entry as BufferEntry
from clary.systems.firehose import configurations
from clary.systems.firehose.delivery.ledger import Ledger
from clary.systems.firehose.delivery.outbound import Outbound
from clary.systems.firehose.delivery.reports import Reports
from clary.systems.firehose.destinations.kinds import S3
from clary.systems.firehose.processors import functions
from clary.systems.firehose.records import ACTIVE, DIRECT_PUT, KV_DOMAIN, SHARD, DeliveryStream
from clary.systems.firehose.tests.conftest import ROLE
from clary.systems.firehose.tests.test_processing import extraction, processing, processor

DEFAULT = f"arn:aws:iam::000000000000:role{DEFAULT_ROLE_PATH}{DEFAULT_ROLE}"
ACCOUNT, REGION = "000000000000", "us-east-1"
MOST_STEPS = 50


def flaky(write: Callable[..., Any]) -> Callable[..., Any]:
    """A write that fails every other time."""
    calls = 0

    def attempt(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls % 2:
            raise OSError("the disk is not itself")
        return write(*args, **options)

    return attempt


class World:
    """A home with a delivery stream whose records were put, and who delivers it."""

    def __init__(self, folder: Path, configuration: dict[str, Any]) -> None:
        self.clock = VirtualClock()
        self.platform = Platform(Settings.load({}, home=str(folder), ephemeral=True), self.clock)
        self.platform.keys.ensure_default()
        self.platform.objects.buckets.create("bucket", ACCOUNT, REGION)
        part = {"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::bucket", **configuration}
        stream = DeliveryStream(
            "buffer", DIRECT_PUT, S3.configuration, configurations.completed(S3, part), {ROLE: DEFAULT}
        )
        now = self.clock.now()
        self.stream = Entry(stream, "stream", ACCOUNT, REGION, ACTIVE, "", now, now, 1)
        self.platform.streams.create("buffer", [SHARD])
        self.folder = folder / "spool"

    def put(self, records: list[bytes]) -> None:
        self.platform.streams.append("buffer", [BufferEntry(SHARD, "", data) for data in records])

    def deliver(self, records: list[list[bytes]]) -> None:
        """Put and deliver, some at a time, until there is nothing left."""
        reports = Reports(self.platform, self.stream)
        ledger = Ledger(self.platform.kv(KV_DOMAIN), "buffer")
        outbound = Outbound(self.platform, self.stream, ledger, reports, self.folder, lambda seconds: False)
        while records:
            self.put(records[0])
            del records[0]
            outbound.step()
            self.clock.advance(4.0)
        for _ in range(MOST_STEPS):
            outbound.step()
            if outbound.is_idle:
                return
            self.clock.advance(4.0)
        raise AssertionError("it does not end")

    def cross(self, fuse: Fuse) -> None:
        """Have everything that delivery writes cross the fuse."""
        kv: Any = self.platform.kv(KV_DOMAIN)
        objects: Any = self.platform.objects
        streams: Any = self.platform.streams
        kv.write = fuse.wrap(kv.write)
        objects.put_bytes = fuse.wrap(flaky(objects.put_bytes))
        streams.trim = fuse.wrap(streams.trim)

    def lines(self, prefix: str) -> Counter[bytes]:
        objects = self.platform.objects
        found: Counter[bytes] = Counter()
        for listed in objects.list("bucket", prefix):
            found.update(objects.get_bytes("bucket", listed.key).splitlines())
        return found


def crashed(folder: Path, configuration: dict[str, Any], rounds: list[list[bytes]]) -> Iterator[World]:
    """Worlds in which delivery was killed, before or after one write after the other, and begun anew to its end."""
    for fuse in fuses(10):
        world = World(folder / str(fuse.burns_at), configuration)
        world.cross(fuse)
        left = [list(records) for records in rounds]
        try:
            world.deliver(left)
        except Crash:
            world.deliver(left)
        yield world
        world.platform.close()


HINTS = {"SizeInMBs": 64, "IntervalInSeconds": 5}
BACKUP = {
    "S3BackupMode": "Enabled",
    "S3BackupConfiguration": {
        "RoleARN": ROLE,
        "BucketARN": "arn:aws:s3:::bucket",
        "Prefix": "backup/",
        "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 9},
    },
}
PARTITIONED = {
    "Prefix": "k=!{partitionKeyFromQuery:k}/",
    "ErrorOutputPrefix": "errors/",
    "DynamicPartitioningConfiguration": {"Enabled": True},
    "ProcessingConfiguration": processing(extraction("{k: .k}")),
}


def test_records_are_in_s3_once_whenever_delivery_is_killed(tmp_path: Path) -> None:
    rounds = [[b"%d-%d\n" % (number, each) for each in range(4)] for number in range(4)]
    records = Counter(record.strip() for records in rounds for record in records)
    configuration = {"Prefix": "out/", "BufferingHints": HINTS, **BACKUP}
    for world in crashed(tmp_path, configuration, rounds):
        assert world.lines("out/") == records
        assert world.lines("backup/") == records


def test_partitions_are_in_s3_once_whenever_delivery_is_killed(tmp_path: Path) -> None:
    keys = (("a", "b"), ("b",), ("a", "c"), ("b", "c"))
    rounds = [[b'{"k": "%s", "n": %d}\n' % (key.encode(), number) for key in some] for number, some in enumerate(keys)]
    rounds[1].append(b"no json\n")
    records = Counter(record.strip() for records in rounds for record in records if record.startswith(b"{"))
    configuration = {"BufferingHints": HINTS, **PARTITIONED, **BACKUP}
    for world in crashed(tmp_path, configuration, rounds):
        assert world.lines("k=") == records
        assert sum(world.lines("backup/").values()) == 8
        assert sum(world.lines("errors/").values()) >= 1


def test_what_a_function_made_is_in_s3_whatever_it_answers_the_second_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def invoke(*args: Any, Payload: bytes, **params: Any) -> dict[str, Any]:
        """A function that changes its mind about everything with each call."""
        nonlocal calls
        calls += 1
        answers = [
            {
                "recordId": record["recordId"],
                "result": "ProcessingFailed" if (number + calls) % 3 == 0 else "Ok",
                "data": record["data"],
                "metadata": {"partitionKeys": {"k": str((number + calls) % 2)}},
            }
            for number, record in enumerate(orjson.loads(Payload)["records"])
        ]
        return {"Payload": orjson.dumps({"records": answers})}

    monkeypatch.setattr(functions, "call_as", invoke)
    function = processor("Lambda", LambdaArn="arn:aws:lambda:us-east-1:000000000000:function:f")
    function["Parameters"].append({"ParameterName": "BufferIntervalInSeconds", "ParameterValue": "3"})
    configuration = {
        **PARTITIONED,
        **BACKUP,
        "BufferingHints": HINTS,
        "Prefix": "k=!{partitionKeyFromLambda:k}/",
        "ProcessingConfiguration": processing(function),
    }
    rounds = [[b"%d-%d\n" % (number, each) for each in range(4)] for number in range(4)]
    records = {record.strip() for records in rounds for record in records}
    for world in crashed(tmp_path, configuration, rounds):
        failed = {base64.b64decode(orjson.loads(line)["rawData"]).strip() for line in world.lines("errors/")}
        assert world.lines("k=").keys() | failed == records
        assert world.lines("backup/") == Counter(records)


def test_what_comes_to_nothing_is_done_with(tmp_path: Path) -> None:
    """Records of which nothing is left leave the buffer, though nothing is delivered."""
    empty = processor("RecordDeAggregation")
    empty["Parameters"] = [{"ParameterName": "SubRecordType", "ParameterValue": "JSON"}]
    world = World(tmp_path, {"BufferingHints": HINTS, "ProcessingConfiguration": processing(empty)})
    world.deliver([[b" ", b"\n"], [b""]])
    bounds = world.platform.streams.bounds("buffer", SHARD)
    assert (bounds.records, bounds.first) == (0, bounds.end)
    world.platform.close()


def test_old_records_come_together(tmp_path: Path) -> None:
    """What waited while nothing was delivered is not delivered in an object for each page that is read."""
    world = World(tmp_path, {"BufferingHints": HINTS, "Prefix": "out/"})
    for number in range(6):
        world.put([b"%d" % number + b"x" * 1_000_000] * 2)
    world.clock.advance(3600.0)
    world.deliver([])
    (listed,) = world.platform.objects.list("bucket", "out/")
    assert listed.size == 12 * 1_000_001
    world.platform.close()

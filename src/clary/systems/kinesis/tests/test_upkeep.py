"""What happens by itself, on a clock of its own: retention, what a killed process left, limits and metrics."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clary.kernel.core.clock import VirtualClock
from clary.kernel.core.errors import AwsError
from clary.kernel.core.settings import Settings
from clary.kernel.rooms import Platform
from clary.kernel.rooms.tests.in_process import ACCOUNT, REGION, Call, Caller, calling
from clary.kernel.streams import NoSuchStream
from clary.systems.kinesis.lifecycle import delete
from clary.systems.kinesis.meters import NAMESPACE, meters_of
from clary.systems.kinesis.ranges import KEYS, ShardMap, first_shards
from clary.systems.kinesis.reconcile import sweep
from clary.systems.kinesis.records import CREATING, DELETING, UPDATING, Place, Stream, Trash
from clary.systems.kinesis.views import views_of

HOUR = 3600.0
SHARD = "shardId-000000000000"


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def platform(tmp_path: Path, clock: VirtualClock, request: pytest.FixtureRequest) -> Iterator[Platform]:
    throttled = request.node.get_closest_marker("usefixtures") is not None
    settings = Settings.load({}, home=str(tmp_path / "home"), kinesis_throttle=throttled)
    opened = Platform(settings, clock)
    yield opened
    opened.close()


@pytest.fixture
def throttled() -> None:
    """Has the platform of a test throttle."""


@pytest.fixture
def call(caller: Caller) -> Call:
    return caller("kinesis")


def read(call: Call, shard: str = SHARD, kind: str = "TRIM_HORIZON", name: str = "s", **more: Any) -> dict[str, Any]:
    asked = call("GetShardIterator", StreamName=name, ShardId=shard, ShardIteratorType=kind, **more)
    return call("GetRecords", ShardIterator=asked["ShardIterator"])


def data_of(answer: dict[str, Any]) -> list[bytes]:
    return [record["Data"] for record in answer["Records"]]


def put(call: Call, data: bytes, name: str = "s") -> dict[str, Any]:
    return call("PutRecord", StreamName=name, PartitionKey="k", Data=data)


def test_retention_bounds_reading_and_is_swept(platform: Platform, clock: VirtualClock, call: Call) -> None:
    call("CreateStream", StreamName="s", ShardCount=1)
    put(call, b"old")
    call("SplitShard", StreamName="s", ShardToSplit=SHARD, NewStartingHashKey=str(KEYS // 2))
    clock.advance(20 * HOUR)
    young = put(call, b"young")["ShardId"]
    clock.advance(5 * HOUR)
    assert data_of(read(call)) == []
    assert data_of(read(call, kind="AT_TIMESTAMP", Timestamp=0)) == []
    call("IncreaseStreamRetentionPeriod", StreamName="s", RetentionPeriodHours=100)
    assert data_of(read(call)) == [], "what was past retention stays so"
    assert data_of(read(call, young)) == [b"young"]
    call("DecreaseStreamRetentionPeriod", StreamName="s", RetentionPeriodHours=24)
    assert call("ListShards", StreamName="s")["Shards"][0]["ShardId"] != SHARD
    sweep(platform, None)
    storage = platform.records(Stream).within(ACCOUNT, REGION).get("s")
    assert storage is not None
    assert [shard.number for shard in storage.value.shards] == [1, 2]
    with pytest.raises(AwsError, match="ResourceNotFound"):
        read(call)
    clock.advance(24 * HOUR)
    assert data_of(read(call, young)) == []
    sweep(platform, None)
    assert platform.streams.bounds(storage.value.id, young).records == 0


def test_iterators_expire(clock: VirtualClock, call: Call) -> None:
    call("CreateStream", StreamName="s", ShardCount=1)
    iterator = call("GetShardIterator", StreamName="s", ShardId=SHARD, ShardIteratorType="LATEST")["ShardIterator"]
    clock.advance(299)
    iterator = call("GetRecords", ShardIterator=iterator)["NextShardIterator"]
    clock.advance(301)
    with pytest.raises(AwsError, match="ExpiredIteratorException"):
        call("GetRecords", ShardIterator=iterator)


def test_what_a_killed_process_began_is_carried_on(platform: Platform, clock: VirtualClock, call: Call) -> None:
    table, now_ms = platform.records(Stream).within(ACCOUNT, REGION), int(clock.now() * 1000)
    begun = Stream(id="0" * 32, created_at=clock.now(), shards=first_shards(2, now_ms))
    for finish in (lambda: sweep(platform, None), lambda: put(call, b"x")):
        entry = table.create("s", begun, status=CREATING)
        finish()
        put(call, b"y")
        entry = table.get("s")
        assert entry is not None
        assert entry.status == "ACTIVE"
        shards = ShardMap(entry.value.shards, now_ms)
        shards.scale(1)
        table.replace(entry, replace(entry.value, shards=shards.shards), status=UPDATING)
        clock.advance(2)  # until now, what a view remembers was as good: nothing is closed before it is in the storage
        finish()
        assert put(call, b"z")["ShardId"] == "shardId-000000000002"
        entry = table.get("s")
        assert entry is not None
        assert entry.status == "ACTIVE"
        table.replace(entry, entry.value, status=DELETING)
        views_of(platform).forget(Place(ACCOUNT, REGION, "s"))
        with pytest.raises(AwsError, match="ResourceNotFound"):
            put(call, b"lost")
        assert table.get("s") is None
        sweep(platform, None)
        with pytest.raises(NoSuchStream):
            platform.streams.bounds(begun.id, SHARD)
        begun = replace(begun, id="1" * 32)


def test_nobody_writes_to_what_is_deleted_whatever_it_remembers(platform: Platform, call: Call) -> None:
    call("CreateStream", StreamName="s", ShardCount=1)
    put(call, b"x")
    other = Platform(platform.settings, platform.clock)
    delete(other, Place(ACCOUNT, REGION, "s"))  # this platform's view does not know
    other.close()
    assert platform.records(Trash).count() == 1
    call("CreateStream", StreamName="s", ShardCount=1)
    put(call, b"new")
    assert data_of(read(call)) == [b"new"]
    sweep(platform, None)
    assert platform.records(Trash).count() == 0
    assert data_of(read(call)) == [b"new"]


def test_views_follow_what_others_change(platform: Platform, clock: VirtualClock, call: Call) -> None:
    call("CreateStream", StreamName="s", ShardCount=1)
    put(call, b"1")
    other = Platform(platform.settings, clock)
    calling(other, "kinesis")("SplitShard", StreamName="s", ShardToSplit=SHARD, NewStartingHashKey="9")
    assert put(call, b"2")["ShardId"] == "shardId-000000000002"
    assert [child["ShardId"] for child in read(call)["ChildShards"]] == ["shardId-000000000001", "shardId-000000000002"]
    clock.advance(2)
    calling(other, "kinesis")("StartStreamEncryption", StreamName="s", EncryptionType="KMS", KeyId="k")
    clock.advance(2)
    assert put(call, b"3")["EncryptionType"] == "KMS"
    other.close()


@pytest.mark.usefixtures("throttled")
def test_throttling(clock: VirtualClock, call: Call) -> None:
    call("CreateStream", StreamName="s", ShardCount=2)
    records = [
        {"PartitionKey": "k", "Data": b"", "ExplicitHashKey": "0" if number % 5 else str(KEYS - 1)}
        for number in range(500)
    ]
    answers = [call("PutRecords", StreamName="s", Records=records) for _ in range(3)]
    assert [answer["FailedRecordCount"] for answer in answers] == [0, 0, 200]
    failed = [record for record in answers[2]["Records"] if "ErrorCode" in record]
    assert {record["ErrorCode"] for record in failed} == {"ProvisionedThroughputExceededException"}
    assert all("shardId-000000000000" in record["ErrorMessage"] for record in failed)
    assert [("ErrorCode" in record) for record in answers[2]["Records"]][:6] == [False] * 6
    clock.advance(1)
    put(call, b"x" * 2**19)
    iterator = call("GetShardIterator", StreamName="s", ShardId=SHARD, ShardIteratorType="TRIM_HORIZON")
    for _ in range(5):
        call("GetRecords", ShardIterator=iterator["ShardIterator"], Limit=1)
    with pytest.raises(AwsError, match="ProvisionedThroughputExceeded"):
        call("GetRecords", ShardIterator=iterator["ShardIterator"], Limit=1)


def test_metrics_say_what_went_through(platform: Platform, clock: VirtualClock, call: Call) -> None:
    call("CreateStream", StreamName="s", ShardCount=1)
    call("EnableEnhancedMonitoring", StreamName="s", ShardLevelMetrics=["IncomingRecords", "OutgoingBytes"])
    put(call, b"12345")
    call("PutRecords", StreamName="s", Records=[{"PartitionKey": "k", "Data": b"123"} for _ in range(4)])
    read(call)
    meters_of(platform).flush()

    def total(name: str, **dimensions: str) -> float:
        found = platform.metrics.buckets(
            ACCOUNT,
            REGION,
            NAMESPACE,
            name,
            {"StreamName": "s", **dimensions},
            start=clock.now() - 120,
            end=clock.now() + 60,
            period=180,
        )
        return sum(bucket.samples.total for bucket in found)

    assert (total("IncomingRecords"), total("IncomingBytes")) == (5, 17)
    assert (total("PutRecord.Success"), total("PutRecords.SuccessfulRecords")) == (1, 4)
    assert (total("GetRecords.Records"), total("GetRecords.Bytes")) == (5, 17)
    assert (total("IncomingRecords", ShardId=SHARD), total("OutgoingBytes", ShardId=SHARD)) == (5, 17)
    assert total("IncomingBytes", ShardId=SHARD) == 0

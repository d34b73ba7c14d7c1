"""Put and get: order, exactness, positions, limits, and iterators that nobody can make up."""

import hashlib
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.systems.kinesis.tests.readers import iterator_of, read_from, read_shard, shards_of

Streams = Callable[..., str]


def refused(code: str) -> Any:
    return pytest.raises(ClientError, match=code)


def test_records_come_back_once_in_order_and_whole(kinesis: Any, stream: Streams) -> None:
    name = stream(3)
    sent: dict[str, list[bytes]] = {}
    for number in range(60):
        key, data = f"key-{number % 7}", bytes([number]) * number
        put = kinesis.put_record(StreamName=name, PartitionKey=key, Data=data)
        assert put["SequenceNumber"].startswith("49")
        assert len(put["SequenceNumber"]) == 56
        sent.setdefault(key, []).append(data)
    batch = [{"PartitionKey": f"key-{number % 7}", "Data": b"batch %d" % number} for number in range(100)]
    answer = kinesis.put_records(StreamName=name, Records=batch)
    assert answer["FailedRecordCount"] == 0
    assert len(answer["Records"]) == 100
    for record in batch:
        sent[record["PartitionKey"]].append(record["Data"])
    got: dict[str, list[bytes]] = {}
    for shard in shards_of(kinesis, name):
        records = read_shard(kinesis, name, shard["ShardId"])
        numbers = [int(record["SequenceNumber"]) for record in records]
        assert numbers == sorted(set(numbers))
        low, high = (int(shard["HashKeyRange"][end]) for end in ("StartingHashKey", "EndingHashKey"))
        for record in records:
            assert low <= int(hashlib.md5(record["PartitionKey"].encode()).hexdigest(), 16) <= high
            got.setdefault(record["PartitionKey"], []).append(record["Data"])
    assert got == sent


def test_positions(kinesis: Any, stream: Streams) -> None:
    name, shard = stream(), "shardId-000000000000"
    puts = [kinesis.put_record(StreamName=name, PartitionKey="k", Data=b"%d" % number) for number in range(5)]
    records = read_shard(kinesis, name, shard)
    assert [record["Data"] for record in records] == [b"0", b"1", b"2", b"3", b"4"]
    assert [record["SequenceNumber"] for record in records] == [put["SequenceNumber"] for put in puts]
    third = puts[2]["SequenceNumber"]

    def data(kind: str, **position: Any) -> list[bytes]:
        return [record["Data"] for record in read_shard(kinesis, name, shard, kind, **position)]

    assert data("AT_SEQUENCE_NUMBER", StartingSequenceNumber=third) == [b"2", b"3", b"4"]
    assert data("AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=third) == [b"3", b"4"]
    first = shards_of(kinesis, name)[0]["SequenceNumberRange"]["StartingSequenceNumber"]
    assert len(data("AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=first)) == 5
    at = records[3]["ApproximateArrivalTimestamp"]
    assert data("AT_TIMESTAMP", Timestamp=at) == [r["Data"] for r in records if r["ApproximateArrivalTimestamp"] >= at]
    assert len(data("AT_TIMESTAMP", Timestamp=0)) == 5
    latest = iterator_of(kinesis, name, shard, "LATEST")
    assert kinesis.get_records(ShardIterator=latest)["Records"] == []
    kinesis.put_record(StreamName=name, PartitionKey="k", Data=b"new")
    assert [record["Data"] for record in read_from(kinesis, latest)] == [b"new"]
    limited = kinesis.get_records(ShardIterator=iterator_of(kinesis, name, shard), Limit=2)
    assert [record["Data"] for record in limited["Records"]] == [b"0", b"1"]
    assert limited["MillisBehindLatest"] >= 0
    assert read_from(kinesis, limited["NextShardIterator"])[0]["Data"] == b"2"


def test_explicit_hash_keys_and_ordering(kinesis: Any, stream: Streams) -> None:
    name = stream(2)
    top = str(2**128 - 1)
    put = kinesis.put_record(StreamName=name, PartitionKey="k", Data=b"", ExplicitHashKey=top)
    assert put["ShardId"] == "shardId-000000000001"
    again = kinesis.put_record(
        StreamName=name,
        PartitionKey="k",
        Data=b"x",
        ExplicitHashKey=top,
        SequenceNumberForOrdering=put["SequenceNumber"],
    )
    assert int(again["SequenceNumber"]) > int(put["SequenceNumber"])
    with refused("InvalidArgumentException"):
        kinesis.put_record(StreamName=name, PartitionKey="k", Data=b"", ExplicitHashKey=str(2**128))
    with refused("InvalidArgumentException"):
        kinesis.put_record(StreamName=name, PartitionKey="k", Data=b"", SequenceNumberForOrdering="17")


def test_sizes(kinesis: Any, stream: Streams) -> None:
    name = stream()
    kinesis.put_record(StreamName=name, PartitionKey="k", Data=b"x" * (2**20 - 1))
    with refused("InvalidArgumentException"):
        kinesis.put_record(StreamName=name, PartitionKey="k", Data=b"x" * 2**20)
    arn = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"]
    kinesis.update_max_record_size(StreamARN=arn, MaxRecordSizeInKiB=10240)
    kinesis.put_record(StreamARN=arn, PartitionKey="k", Data=b"y" * (10 * 2**20 - 1))
    with refused("InvalidArgumentException"):
        records = [{"PartitionKey": "k", "Data": b"z" * 6 * 2**20} for _ in range(2)]
        kinesis.put_records(StreamName=name, Records=records)
    with refused("ValidationException"):
        kinesis.put_records(StreamName=name, Records=[{"PartitionKey": "k", "Data": b""}] * 501)
    sizes = [len(record["Data"]) for record in read_shard(kinesis, name, "shardId-000000000000")]
    assert sizes == [2**20 - 1, 10 * 2**20 - 1]


def test_what_is_wrong_is_said(kinesis: Any, stream: Streams) -> None:
    name, shard = stream(), "shardId-000000000000"
    with refused("ResourceNotFoundException"):
        kinesis.put_record(StreamName=f"{name}-not", PartitionKey="k", Data=b"")
    with refused("InvalidArgumentException"):
        kinesis.put_record(PartitionKey="k", Data=b"")
    with refused("InvalidArgumentException"):
        kinesis.put_record(StreamName=name, Data=b"")
    with refused("ResourceNotFoundException"):
        iterator_of(kinesis, name, "shardId-000000000009")
    for number in ("0", "17", "9" * 56, "49" + "0" * 54):
        with refused("InvalidArgumentException"):
            iterator_of(kinesis, name, shard, "AT_SEQUENCE_NUMBER", StartingSequenceNumber=number)
    with refused("InvalidArgumentException"):
        iterator_of(kinesis, name, shard, "AT_SEQUENCE_NUMBER")
    with refused("InvalidArgumentException"):
        iterator_of(kinesis, name, shard, "AT_TIMESTAMP", Timestamp=4102444800)
    with refused("DryRunOperationException"):
        kinesis.put_record(StreamName=name, PartitionKey="k", Data=b"", DryRun=True)
    assert read_shard(kinesis, name, shard) == []


def test_iterators_cannot_be_made_up(kinesis: Any, stream: Streams) -> None:
    name = stream()
    good = iterator_of(kinesis, name, "shardId-000000000000")
    for bad in ("x", "AAAA", good[:-8], good[:20] + "AAAA" + good[24:], "é" * 10, good + "AAAA"):
        with refused("InvalidArgumentException"):
            kinesis.get_records(ShardIterator=bad)


def test_automatic_distribution(kinesis: Any, stream: Streams) -> None:
    name = stream(None, StreamModeDetails={"StreamMode": "ON_DEMAND"}, RecordDistributionStrategy="AUTO")
    kinesis.put_records(StreamName=name, Records=[{"Data": b"%d" % number} for number in range(40)])
    kinesis.put_record(StreamName=name, Data=b"keyed", PartitionKey="key")
    found = {shard["ShardId"]: read_shard(kinesis, name, shard["ShardId"]) for shard in shards_of(kinesis, name)}
    assert all(len(records) >= 10 for records in found.values())
    counts = Counter(record.get("PartitionKey") for records in found.values() for record in records)
    assert counts == {None: 40, "key": 1}

"""Splits, merges and scaling: shard maps, filters, lineage, and that nothing is lost, doubled or reordered."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.systems.kinesis.ranges import KEYS, ShardMap, evenly, first_shards
from clary.systems.kinesis.tests.readers import Follower, iterator_of, read_shard, shards_of
from clary.testing import Server, eventually

Streams = Callable[..., str]


def refused(code: str) -> Any:
    return pytest.raises(ClientError, match=code)


def open_ranges(kinesis: Any, name: str) -> list[tuple[int, int]]:
    found = kinesis.list_shards(StreamName=name, ShardFilter={"Type": "AT_LATEST"})["Shards"]
    ranges = [shard["HashKeyRange"] for shard in found]
    return sorted((int(each["StartingHashKey"]), int(each["EndingHashKey"])) for each in ranges)


def test_split_and_merge(kinesis: Any, stream: Streams) -> None:
    name = stream(1)
    before = kinesis.put_record(StreamName=name, PartitionKey="k", Data=b"before")
    kinesis.split_shard(StreamName=name, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(KEYS // 4))
    parent, low, high = shards_of(kinesis, name)
    assert low["ParentShardId"] == high["ParentShardId"] == parent["ShardId"]
    assert open_ranges(kinesis, name) == [(0, KEYS // 4 - 1), (KEYS // 4, KEYS - 1)]
    after = kinesis.put_record(StreamName=name, PartitionKey="k", Data=b"after")
    assert after["ShardId"] in {low["ShardId"], high["ShardId"]}
    ending = parent["SequenceNumberRange"]["EndingSequenceNumber"]
    assert int(before["SequenceNumber"]) < int(ending) < int(after["SequenceNumber"])
    answer = kinesis.get_records(ShardIterator=iterator_of(kinesis, name, parent["ShardId"]))
    assert [record["Data"] for record in answer["Records"]] == [b"before"]
    assert "NextShardIterator" not in answer
    assert {child["ShardId"] for child in answer["ChildShards"]} == {low["ShardId"], high["ShardId"]}
    assert read_shard(kinesis, name, parent["ShardId"], "LATEST") == []
    kinesis.merge_shards(StreamName=name, ShardToMerge=high["ShardId"], AdjacentShardToMerge=low["ShardId"])
    merged = shards_of(kinesis, name)[-1]
    assert {merged["ParentShardId"], merged["AdjacentParentShardId"]} == {low["ShardId"], high["ShardId"]}
    assert open_ranges(kinesis, name) == [(0, KEYS - 1)]
    last = kinesis.put_record(StreamName=name, PartitionKey="k", Data=b"last")
    assert int(last["SequenceNumber"]) > int(after["SequenceNumber"])


def test_what_cannot_be_resharded(kinesis: Any, stream: Streams) -> None:
    name = stream(3)
    first, second, third = (f"shardId-{number:012d}" for number in range(3))
    with refused("not an adjacent pair"):
        kinesis.merge_shards(StreamName=name, ShardToMerge=first, AdjacentShardToMerge=third)
    for key in ("0", "1", str(KEYS - 1), str(KEYS)):
        with refused("InvalidArgumentException"):
            kinesis.split_shard(StreamName=name, ShardToSplit=first, NewStartingHashKey=key)
    with refused("ResourceNotFoundException"):
        kinesis.split_shard(StreamName=name, ShardToSplit="shardId-000000000009", NewStartingHashKey="5")
    kinesis.merge_shards(StreamName=name, ShardToMerge=first, AdjacentShardToMerge=second)
    with refused("InvalidArgumentException"):
        kinesis.split_shard(StreamName=name, ShardToSplit=first, NewStartingHashKey="5")
    for target in (5, 10**6):
        with refused("Exception"):
            kinesis.update_shard_count(StreamName=name, TargetShardCount=target, ScalingType="UNIFORM_SCALING")


def test_uniform_scaling(kinesis: Any, stream: Streams) -> None:
    name = stream(2)
    for target in (4, 3, 5, 3, 2, 1):
        answer = kinesis.update_shard_count(StreamName=name, TargetShardCount=target, ScalingType="UNIFORM_SCALING")
        assert answer["TargetShardCount"] == target
        assert open_ranges(kinesis, name) == evenly(target)
    found = {shard["ShardId"]: shard for shard in shards_of(kinesis, name)}
    for shard in found.values():
        start = int(shard["SequenceNumberRange"]["StartingSequenceNumber"])
        for member in ("ParentShardId", "AdjacentParentShardId"):
            if member in shard:
                assert start > int(found[shard[member]]["SequenceNumberRange"]["EndingSequenceNumber"])


def test_scaling_makes_any_map_even() -> None:
    chance = Random(7)
    for _ in range(50):
        shards = ShardMap(first_shards(chance.randint(1, 6), 0), 1000)
        for _ in range(chance.randint(0, 8)):
            opened = [shard for shard in shards.shards if shard.closed_ms is None]
            shard = chance.choice(opened)
            shards.split(shard, chance.randint(shard.first + 1, shard.last))
        count = chance.randint(1, 20)
        shards.scale(count)
        opened = sorted((shard.first, shard.last) for shard in shards.shards if shard.closed_ms is None)
        assert opened == evenly(count)
        numbers = {shard.number: shard for shard in shards.shards}
        for shard in shards.shards:
            parents = [numbers[number] for number in (shard.parent, shard.adjacent_parent) if number is not None]
            assert all(parent.closed_ms is not None and parent.epoch < shard.epoch for parent in parents)
        children = [shard.parent for shard in shards.shards if shard.parent is not None]
        assert max((children.count(number) for number in children), default=0) <= 2


def test_shard_filters(kinesis: Any, stream: Streams) -> None:
    name = stream(2)
    kinesis.split_shard(StreamName=name, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(KEYS // 8))
    created = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamCreationTimestamp"]

    def numbers(**shard_filter: Any) -> list[int]:
        found = kinesis.list_shards(StreamName=name, ShardFilter=shard_filter)["Shards"]
        return [int(shard["ShardId"][-12:]) for shard in found]

    assert numbers(Type="FROM_TRIM_HORIZON") == [0, 1, 2, 3]
    assert numbers(Type="AT_TRIM_HORIZON") == [0, 1]
    assert numbers(Type="AT_LATEST") == [1, 2, 3]
    assert numbers(Type="AFTER_SHARD_ID", ShardId="shardId-000000000001") == [2, 3]
    assert numbers(Type="AT_TIMESTAMP", Timestamp=created) == [0, 1]
    assert numbers(Type="FROM_TIMESTAMP", Timestamp=created) == [0, 1, 2, 3]
    assert numbers(Type="FROM_TIMESTAMP", Timestamp=4102444800) == [1, 2, 3]
    for wrong in ({"Type": "AFTER_SHARD_ID"}, {"Type": "AT_LATEST", "ShardId": "x"}, {"Type": "AT_TIMESTAMP"}):
        with refused("InvalidArgumentException"):
            numbers(**wrong)


def test_resharding_under_load_loses_and_reorders_nothing(server: Server, kinesis: Any, stream: Streams) -> None:
    name = stream(2)
    over, finished = threading.Event(), threading.Event()
    sent: dict[str, list[str]] = {f"{number}-{key}": [] for number in range(3) for key in range(5)}

    def produce(number: int) -> None:
        client = server.client("kinesis")
        acknowledged = {key: data for key, data in sent.items() if key.startswith(f"{number}-")}
        count = 0
        while not over.is_set():
            batch = [{"PartitionKey": key, "Data": f"{key} {count}".encode()} for key in acknowledged]
            answer = client.put_records(StreamName=name, Records=batch)
            assert answer["FailedRecordCount"] == 0
            for record in batch:
                acknowledged[record["PartitionKey"]].append(record["Data"].decode())
            count += 1

    def reshard() -> None:
        chance = Random(11)
        for _ in range(25):
            opened = kinesis.list_shards(StreamName=name, ShardFilter={"Type": "AT_LATEST"})["Shards"]
            opened.sort(key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))
            if len(opened) < 2 or (len(opened) < 8 and chance.random() < 0.5):
                shard = chance.choice(opened)
                low, high = (int(shard["HashKeyRange"][end]) for end in ("StartingHashKey", "EndingHashKey"))
                middle = str((low + high) // 2)
                kinesis.split_shard(StreamName=name, ShardToSplit=shard["ShardId"], NewStartingHashKey=middle)
            elif chance.random() < 0.3:
                target = chance.randint((len(opened) + 1) // 2, 2 * len(opened))
                kinesis.update_shard_count(StreamName=name, TargetShardCount=target, ScalingType="UNIFORM_SCALING")
            else:
                first, second = chance.choice(list(pairwise(opened)))
                kinesis.merge_shards(
                    StreamName=name, ShardToMerge=first["ShardId"], AdjacentShardToMerge=second["ShardId"]
                )

    follower = Follower(server.client("kinesis"), name)
    with ThreadPoolExecutor(6) as pool:
        producers = [pool.submit(produce, number) for number in range(3)]
        reading = pool.submit(follower.read_until, finished.is_set)
        try:
            eventually(lambda: all(sent.values()))
            reshard()
            eventually(lambda: sum(map(len, sent.values())) > 100)
        finally:
            over.set()
            wait(producers)
            finished.set()
        for producer in producers:
            producer.result()
        records = reading.result()
    got: dict[str, list[str]] = {}
    for record in records:
        got.setdefault(record["PartitionKey"], []).append(record["Data"].decode())
    assert got == sent
    by_key: dict[str, list[int]] = {}
    for record in records:
        by_key.setdefault(record["PartitionKey"], []).append(int(record["SequenceNumber"]))
    assert all(numbers == sorted(numbers) for numbers in by_key.values())

"""Streams with boto3: produce, consume, reshard while reading, replay by time and by sequence number, and fan out."""

import json
import sys
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import boto3

stream, count = sys.argv[1], 600
kinesis = boto3.client("kinesis")


def records_of(number):
    return [{"PartitionKey": f"key-{n % 20}", "Data": b"%d" % n} for n in range(number, number + 20)]


def produce(reshardings):
    for step, number in enumerate(range(0, count, 20)):
        answer = kinesis.put_records(StreamName=stream, Records=records_of(number))
        assert answer["FailedRecordCount"] == 0
        if step % 8 == 7 and reshardings:
            reshardings.pop(0)()
            kinesis.get_waiter("stream_exists").wait(StreamName=stream)


def split():
    kinesis.split_shard(StreamName=stream, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**126))


def scale():
    kinesis.update_shard_count(StreamName=stream, TargetShardCount=5, ScalingType="UNIFORM_SCALING")


def merge():
    shards = kinesis.list_shards(StreamName=stream, ShardFilter={"Type": "AT_LATEST"})["Shards"]
    shards.sort(key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))
    kinesis.merge_shards(
        StreamName=stream, ShardToMerge=shards[1]["ShardId"], AdjacentShardToMerge=shards[2]["ShardId"]
    )


def start(shard, kind="TRIM_HORIZON", **position):
    asked = kinesis.get_shard_iterator(StreamName=stream, ShardId=shard, ShardIteratorType=kind, **position)
    return asked["ShardIterator"]


def follow(push, first, stop):
    """Read shards and, when all of its parents are read to their ends, each child; until told, and all is read."""
    records, ended, waiting, readers = [], set(), {}, {shard: push(shard) for shard in first}
    while True:
        was_told, read = stop.is_set(), 0
        for shard, reader in list(readers.items()):
            got, children = next(reader)
            records += got
            read += len(got)
            if children is not None:
                read += 1
                del readers[shard]
                ended.add(shard)
                waiting |= {child["ShardId"]: set(child["ParentShards"]) for child in children}
        for child in [child for child, parents in waiting.items() if parents <= ended]:
            del waiting[child]
            readers[child] = push(child)
        if was_told and not read:
            return records


def polled(shard, **position):
    iterator = start(shard, **position)
    while True:
        answer = kinesis.get_records(ShardIterator=iterator, Limit=100)
        iterator = answer.get("NextShardIterator")
        yield answer["Records"], None if iterator else answer["ChildShards"]


def fanned_out(consumer):
    def push(shard):
        position = {"Type": "TRIM_HORIZON"}
        answer = kinesis.subscribe_to_shard(ConsumerARN=consumer, ShardId=shard, StartingPosition=position)
        for event in (event["SubscribeToShardEvent"] for event in answer["EventStream"]):
            children = event.get("ChildShards")
            yield event["Records"], children
            if event["MillisBehindLatest"] == 0 and children is None:
                while True:  # the newest was read, and the producer has ended
                    yield [], None

    return push


def exact(records):
    by_key = defaultdict(list)
    for record in records:
        by_key[record["PartitionKey"]].append(int(record["Data"]))
    return dict(by_key) == {f"key-{key}": list(range(key, count, 20)) for key in range(20)}


kinesis.create_stream(StreamName=stream, ShardCount=2)
kinesis.get_waiter("stream_exists").wait(StreamName=stream)
first = [shard["ShardId"] for shard in kinesis.list_shards(StreamName=stream)["Shards"]]
told = threading.Event()
with ThreadPoolExecutor(1) as pool:
    reading = pool.submit(follow, polled, first, told)
    produce([split, scale, merge])
    told.set()
    consumed = reading.result()

shards = [shard["ShardId"] for shard in kinesis.list_shards(StreamName=stream)["Shards"]]


def replayed(shard, **position):
    """What a shard holds from a position on."""
    reader, found = polled(shard, **position), []
    while True:
        got, children = next(reader)
        found += got
        if children is not None or not got:
            return found


whole = max(((shard, replayed(shard)) for shard in shards), key=lambda each: len(each[1]))
shard, middle = whole[0], len(whole[1]) // 2
number, at = whole[1][middle]["SequenceNumber"], whole[1][middle]["ApproximateArrivalTimestamp"]
after = replayed(shard, kind="AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=number)
since = replayed(shard, kind="AT_TIMESTAMP", Timestamp=at)

arn = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamARN"]
consumers = [
    kinesis.register_stream_consumer(StreamARN=arn, ConsumerName=f"consumer-{n}")["Consumer"]["ConsumerARN"]
    for n in range(3)
]
with ThreadPoolExecutor(3) as pool:
    pushed = list(pool.map(lambda consumer: follow(fanned_out(consumer), first, told), consumers))
kinesis.delete_stream(StreamName=stream, EnforceConsumerDeletion=True)
kinesis.get_waiter("stream_not_exists").wait(StreamName=stream)
print(
    json.dumps(
        {
            "consumed": exact(consumed),
            "shards": len(shards),
            "by_sequence": after == whole[1][middle + 1 :],
            "by_time": since == [record for record in whole[1] if record["ApproximateArrivalTimestamp"] >= at],
            "fanned_out": [exact(records) for records in pushed],
        }
    )
)

"""Enhanced fan-out: consumers, and what is pushed to them."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError, EventStreamError

from clary.kernel.core.clock import SystemClock
from clary.systems.kinesis.ranges import KEYS
from clary.testing import Server, eventually

Streams = Callable[..., str]
Subscribe = Callable[..., Any]
SHARD = "shardId-000000000000"


def refused(code: str) -> Any:
    return pytest.raises(ClientError, match=code)


def arn_of(kinesis: Any, name: str) -> str:
    return str(kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"])


@pytest.fixture
def subscribe() -> Iterator[Callable[..., Any]]:
    """Subscribe with a client; what is still open after the test is closed."""
    opened = []

    def begin(kinesis: Any, consumer: str, kind: str = "TRIM_HORIZON", **position: Any) -> Any:
        wanted = {"ConsumerARN": consumer, "ShardId": SHARD, "StartingPosition": {"Type": kind, **position}}
        opened.append(kinesis.subscribe_to_shard(**wanted)["EventStream"])
        return opened[-1]

    yield begin
    for each in opened:
        each.close()


def events_of(pushed: Any) -> Iterator[dict[str, Any]]:
    for event in pushed:
        yield event["SubscribeToShardEvent"]


def test_life_of_a_consumer(kinesis: Any, stream: Streams, subscribe: Subscribe) -> None:
    name = stream()
    arn = arn_of(kinesis, name)
    made = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="first", Tags={"a": "1"})["Consumer"]
    assert made["ConsumerARN"].startswith(f"{arn}/consumer/first:")
    described = kinesis.describe_stream_consumer(ConsumerARN=made["ConsumerARN"])["ConsumerDescription"]
    assert (described["ConsumerStatus"], described["StreamARN"]) == ("ACTIVE", arn)
    by_name = kinesis.describe_stream_consumer(StreamARN=arn, ConsumerName="first")["ConsumerDescription"]
    assert by_name == described
    assert kinesis.list_tags_for_resource(ResourceARN=made["ConsumerARN"])["Tags"] == [{"Key": "a", "Value": "1"}]
    with refused("ResourceInUseException"):
        kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="first")
    for number in range(19):
        kinesis.register_stream_consumer(StreamARN=arn, ConsumerName=f"more-{number:02}")
    with refused("LimitExceededException"):
        kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="too-many")
    pages = list(
        kinesis.get_paginator("list_stream_consumers").paginate(StreamARN=arn, PaginationConfig={"PageSize": 7})
    )
    assert [len(page["Consumers"]) for page in pages] == [7, 7, 6]
    with refused("ResourceInUseException"):
        kinesis.delete_stream(StreamName=name)
    kinesis.deregister_stream_consumer(ConsumerARN=made["ConsumerARN"])
    with refused("ResourceNotFoundException"):
        kinesis.describe_stream_consumer(StreamARN=arn, ConsumerName="first")
    with refused("ResourceNotFoundException"):
        subscribe(kinesis, made["ConsumerARN"])


def test_consumers_are_pushed_what_comes_until_a_shard_ends(
    server: Server, kinesis: Any, stream: Streams, subscribe: Subscribe
) -> None:
    name = stream()
    arn = arn_of(kinesis, name)
    consumers = [
        kinesis.register_stream_consumer(StreamARN=arn, ConsumerName=f"c{number}")["Consumer"]["ConsumerARN"]
        for number in range(3)
    ]
    kinesis.put_record(StreamName=name, PartitionKey="k", Data=b"0")

    def consume(consumer: str) -> tuple[list[bytes], list[str], list[str]]:
        data, continuations, children = [], [], []
        for event in events_of(subscribe(server.client("kinesis"), consumer)):
            data += [record["Data"] for record in event["Records"]]
            continuations += [event["ContinuationSequenceNumber"]] if "ContinuationSequenceNumber" in event else []
            children += [child["ShardId"] for child in event.get("ChildShards", [])]
        return data, continuations, children

    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(consume, consumer) for consumer in consumers]
        for number in range(1, 50):
            kinesis.put_record(StreamName=name, PartitionKey="k", Data=b"%d" % number)
        kinesis.split_shard(StreamName=name, ShardToSplit=SHARD, NewStartingHashKey=str(KEYS // 2))
        for one in running:
            data, continuations, children = one.result()
            assert data == [b"%d" % number for number in range(50)]
            assert children == ["shardId-000000000001", "shardId-000000000002"]
            assert continuations == sorted(continuations)
    other = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="other")["Consumer"]["ConsumerARN"]
    after = {"kind": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": continuations[-1]}
    rest = [r["Data"] for event in events_of(subscribe(kinesis, other, **after)) for r in event["Records"]]
    assert rest == [b"%d" % number for number in range(50 - len(rest), 50)]


def test_a_newer_subscription_takes_over(kinesis: Any, stream: Streams, subscribe: Subscribe) -> None:
    name = stream()
    consumer = kinesis.register_stream_consumer(StreamARN=arn_of(kinesis, name), ConsumerName="c")["Consumer"]
    arn = consumer["ConsumerARN"]

    def tried(kind: str) -> Any:
        try:
            return subscribe(kinesis, arn, kind=kind)
        except kinesis.exceptions.ResourceInUseException:
            return None

    clock = SystemClock()
    while True:
        began = clock.monotonic()
        events = events_of(eventually(lambda: tried("LATEST")))
        first = next(events)
        assert (first["Records"], first["MillisBehindLatest"]) == ([], 0)
        if tried("TRIM_HORIZON") is None:
            break
        assert clock.monotonic() - began > 4.9, "so soon it may not be replaced"
    newer = eventually(lambda: tried("TRIM_HORIZON"))
    with pytest.raises(EventStreamError, match="ResourceInUseException"):
        list(events)
    kinesis.put_record(StreamName=name, PartitionKey="k", Data=b"pushed")
    pushed = next(event["Records"] for event in events_of(newer) if event["Records"])
    assert [record["Data"] for record in pushed] == [b"pushed"]


def test_subscriptions_end_with_their_consumer_and_their_stream(
    kinesis: Any, stream: Streams, subscribe: Subscribe
) -> None:
    name = stream()
    arn = arn_of(kinesis, name)
    for consumer, end in (
        ("gone", lambda made: kinesis.deregister_stream_consumer(ConsumerARN=made)),
        ("left", lambda made: kinesis.delete_stream(StreamName=name, EnforceConsumerDeletion=True)),
    ):
        made = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName=consumer)["Consumer"]["ConsumerARN"]
        events = events_of(subscribe(kinesis, made, kind="LATEST"))
        next(events)
        end(made)
        with pytest.raises(EventStreamError, match="ResourceNotFoundException"):
            list(events)
    kinesis.create_stream(StreamName=name, ShardCount=1)
    assert kinesis.list_stream_consumers(StreamARN=arn)["Consumers"] == []

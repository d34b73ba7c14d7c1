"""A stream of Kinesis as the source: exactly what came since, through reshards, packed records taken apart."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.systems.firehose.tests.conftest import ROLE, Client
from clary.systems.firehose.tests.test_processors import aggregated
from clary.testing import eventually


@pytest.fixture
def source(client: Client, unique: Callable[[str], str]) -> Iterator[tuple[Any, str, str]]:
    kinesis = client.server.client("kinesis")
    name = unique("source")
    kinesis.create_stream(StreamName=name, ShardCount=2)
    kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1})
    arn: str = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"]
    yield kinesis, name, arn
    kinesis.delete_stream(StreamName=name, EnforceConsumerDeletion=True)


def reading(client: Client, arn: str, configuration: dict[str, Any] | None = None) -> str:
    return client.create(
        configuration or client.part(),
        DeliveryStreamType="KinesisStreamAsSource",
        KinesisStreamSourceConfiguration={"KinesisStreamARN": arn, "RoleARN": ROLE},
    )


def put(kinesis: Any, stream: str, records: list[bytes]) -> None:
    entries = [{"Data": data, "PartitionKey": data[:8].decode(errors="replace")} for data in records]
    assert kinesis.put_records(StreamName=stream, Records=entries)["FailedRecordCount"] == 0


def test_every_record_since_is_delivered_once_through_a_reshard(client: Client, source: tuple[Any, str, str]) -> None:
    kinesis, stream, arn = source
    put(kinesis, stream, [b"before%d\n" % number for number in range(10)])
    name = reading(client, arn)
    described = client.describe(name)["Source"]["KinesisStreamSourceDescription"]
    assert described.pop("DeliveryStartTimestamp")
    assert described == {"KinesisStreamARN": arn, "RoleARN": ROLE}

    records = [b"%04d\n" % number for number in range(900)]
    put(kinesis, stream, records[:300])
    kinesis.split_shard(StreamName=stream, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**126))
    eventually(lambda: status(kinesis, stream) == "ACTIVE")
    put(kinesis, stream, records[300:600])
    kinesis.merge_shards(
        StreamName=stream, ShardToMerge="shardId-000000000002", AdjacentShardToMerge="shardId-000000000003"
    )
    eventually(lambda: status(kinesis, stream) == "ACTIVE")
    put(kinesis, stream, records[600:])
    delivered = client.delivered(len(records))
    assert sorted(delivered) == [record.strip() for record in records]

    with pytest.raises(ClientError) as refused:
        client.firehose.put_record(DeliveryStreamName=name, Record={"Data": b"x"})
    assert refused.value.response["Error"]["Message"].startswith("This operation is not permitted on Kinesis")


def status(kinesis: Any, stream: str) -> str:
    found: str = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamStatus"]
    return found


def test_packed_records_are_taken_apart(client: Client, source: tuple[Any, str, str]) -> None:
    kinesis, stream, arn = source
    reading(client, arn)
    packed = [aggregated([json.dumps({"n": number}).encode() + b"\n" for number in range(5)]), b"single\n"]
    entries = [{"Data": data, "PartitionKey": "k"} for data in packed]
    kinesis.put_records(StreamName=stream, Records=entries)
    assert client.delivered(6) == [b'{"n": %d}' % number for number in range(5)] + [b"single"]


def test_a_stream_that_is_not_there_is_refused(client: Client) -> None:
    with pytest.raises(ClientError) as refused:
        reading(client, "arn:aws:kinesis:us-east-1:000000000000:stream/nothing")
    error = refused.value.response["Error"]
    assert error["Code"] == "InvalidArgumentException"
    assert "nothing" in error["Message"]

"""CBOR as Java clients send it: requests made and signed by hand, and pushed events in it."""

import http.client
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import cbor2
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from clary.kernel.wire.eventstream import Decoder
from clary.testing import Server

Streams = Callable[..., str]
CONTENT_TYPE = "application/x-amz-cbor-1.1"
SHARD = "shardId-000000000000"


@contextmanager
def send(server: Server, operation: str, body: bytes) -> Iterator[http.client.HTTPResponse]:
    headers = {"Content-Type": CONTENT_TYPE, "X-Amz-Target": f"Kinesis_20131202.{operation}"}
    request = AWSRequest("POST", f"{server.endpoint}/", headers=headers, data=body)
    SigV4Auth(Credentials(server.access_key, server.secret), "kinesis", "us-east-1").add_auth(request)
    with closing(http.client.HTTPConnection(urlsplit(server.endpoint).netloc, timeout=60)) as connection:
        connection.request("POST", "/", body, dict(request.headers.items()))
        with connection.getresponse() as answer:
            yield answer


def loads(body: bytes) -> Any:
    """Timestamps are milliseconds here, which CBOR's own tag does not mean."""
    return cbor2.loads(body, semantic_decoders={1: lambda value, _: value})


def ask(server: Server, operation: str, **params: Any) -> Any:
    with send(server, operation, cbor2.dumps(params)) as answer:
        assert answer.headers["Content-Type"] == CONTENT_TYPE
        return answer.status, loads(answer.read())


def test_records_travel_as_bytes(server: Server, stream: Streams) -> None:
    name = stream()
    status, put = ask(server, "PutRecord", StreamName=name, PartitionKey="k", Data=b"\x00\xff")
    assert (status, put["ShardId"]) == (200, SHARD)
    records = [{"PartitionKey": "k", "Data": b"%d" % number} for number in range(3)]
    assert ask(server, "PutRecords", StreamName=name, Records=records)[1]["FailedRecordCount"] == 0
    position = {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": cbor2.CBORTag(1, 1_000)}
    iterator = ask(server, "GetShardIterator", StreamName=name, ShardId=SHARD, **position)[1]["ShardIterator"]
    got = ask(server, "GetRecords", ShardIterator=iterator)[1]["Records"]
    assert [record["Data"] for record in got] == [b"\x00\xff", b"0", b"1", b"2"]
    assert got[0]["SequenceNumber"] == put["SequenceNumber"]
    arrived = [record["ApproximateArrivalTimestamp"] for record in got]
    assert arrived == sorted(arrived)
    assert 1_600_000_000_000 < arrived[0] < 4_000_000_000_000


def test_errors_are_cbor_too(server: Server, stream: Streams) -> None:
    status, error = ask(server, "PutRecord", StreamName=f"{stream()}-not", PartitionKey="k", Data=b"")
    assert (status, error["__type"]) == (400, "ResourceNotFoundException")
    assert (
        ask(server, "PutRecord", StreamName="x", PartitionKey="k", Data="text")[1]["__type"] == "SerializationException"
    )
    with send(server, "PutRecord", b"\xff\xff") as answer:
        assert (answer.status, cbor2.loads(answer.read())["__type"]) == (400, "SerializationException")


def test_events_are_pushed_in_cbor(server: Server, kinesis: Any, stream: Streams) -> None:
    name = stream()
    arn = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"]
    consumer = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="java")["Consumer"]["ConsumerARN"]
    kinesis.put_record(StreamName=name, PartitionKey="k", Data=b"pushed")
    wanted = {"ConsumerARN": consumer, "ShardId": SHARD, "StartingPosition": {"Type": "TRIM_HORIZON"}}
    with send(server, "SubscribeToShard", cbor2.dumps(wanted)) as answer:
        assert answer.status == 200
        decoder, messages = Decoder(), []
        while len(messages) < 2:
            messages += decoder.feed(answer.read1())
    types = [message.headers[":event-type"] for message in messages[:2]]  # behind them, others in which nothing came
    assert types == ["initial-response", "SubscribeToShardEvent"]
    event = loads(messages[1].payload)
    assert [record["Data"] for record in event["Records"]] == [b"pushed"]
    assert event["ContinuationSequenceNumber"] == event["Records"][0]["SequenceNumber"]

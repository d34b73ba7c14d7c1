"""Functions fed from Kinesis streams: all records, in order, as AWS's events, whatever fails."""

import base64
import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.support.lambda_.tests.conftest import Lambda, kill, zipped
from clary.testing import eventually, start_server, stop_server

NOTES = """
import base64, json, boto3

s3 = boto3.client("s3")

def handler(event, context):
    records = event["Records"]
    data = [base64.b64decode(one["kinesis"]["data"]).decode() for one in records]
    first = records[0]["kinesis"]["sequenceNumber"]
    key = f"{records[0]['eventID'].split(':')[0]}/{first}-{len(records)}-{context.aws_request_id}"
    s3.put_object(Bucket="BUCKET", Key=key, Body=json.dumps([event, data]).encode())
    REST
"""

FEATURES = """
import base64, json, boto3

s3 = boto3.client("s3")

def handler(event, context):
    for record in event["Records"]:
        ride = json.loads(base64.b64decode(record["kinesis"]["data"]))
        features = {"id": ride["id"], "speed": ride["km"] / (ride["minutes"] / 60), "long": ride["km"] > 5}
        s3.put_object(Bucket="BUCKET", Key=f"features/{ride['id']:05d}", Body=json.dumps(features).encode())
"""


class Stream:
    """A stream, a bucket, and a function between them."""

    def __init__(self, functions: Lambda, shards: int = 1, rest: str = "pass", body: str = NOTES, **given: Any) -> None:
        self.functions = functions
        self.kinesis, self.s3 = functions.server.client("kinesis"), functions.server.client("s3")
        self.name, self.bucket = functions.unique("stream"), functions.unique("bucket")
        self.s3.create_bucket(Bucket=self.bucket)
        self.kinesis.create_stream(StreamName=self.name, ShardCount=shards)
        eventually(lambda: self.describe()["StreamStatus"] == "ACTIVE")
        self.arn = self.describe()["StreamARN"]
        code = zipped(app=body.replace("BUCKET", self.bucket).replace("REST", rest))
        self.function = functions.create(Code={"ZipFile": code}, Timeout=60, MemorySize=256)
        self.mapping = ""
        if given:
            self.map(**given)

    def describe(self) -> Any:
        return self.kinesis.describe_stream_summary(StreamName=self.name)["StreamDescriptionSummary"]

    def map(self, **given: Any) -> None:
        asked = {"EventSourceArn": self.arn, "FunctionName": self.function, "StartingPosition": "TRIM_HORIZON"}
        self.mapping = self.functions.client.create_event_source_mapping(**(asked | given))["UUID"]
        eventually(lambda: self.shown()["State"] in {"Enabled", "Disabled"})

    def shown(self) -> Any:
        return self.functions.client.get_event_source_mapping(UUID=self.mapping)

    def put(self, *texts: str, key: str = "") -> None:
        for start in range(0, len(texts), 500):
            entries = [{"Data": text.encode(), "PartitionKey": key or text} for text in texts[start : start + 500]]
            assert self.kinesis.put_records(StreamName=self.name, Records=entries)["FailedRecordCount"] == 0

    def notes(self) -> list[Any]:
        """What the function was given, call by call in the order of the shards."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        keys = [one["Key"] for page in pages for one in page.get("Contents", ())]
        return [json.loads(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()) for key in keys]

    def texts(self) -> list[str]:
        return [text for _, data in self.notes() for text in data]

    def finals_sum(self) -> int:
        """What the windows that have ended come to."""
        return sum(event["state"]["sum"] for event, _ in self.notes() if event["isFinalInvokeForWindow"])

    def all_there(self, texts: set[str]) -> None:
        eventually(lambda: set(self.texts()) >= texts)


def test_a_function_is_given_records_as_aws_gives_them(functions: Lambda) -> None:
    stream = Stream(functions, BatchSize=10)
    stream.put(*(f"r{number}" for number in range(25)), key="k")
    stream.all_there({f"r{number}" for number in range(25)})
    assert sorted(stream.texts(), key=lambda text: int(text[1:])) == stream.texts()
    assert max(len(data) for _, data in stream.notes()) <= 10
    record = stream.notes()[0][0]["Records"][0]
    assert record["eventSource"] == "aws:kinesis"
    assert record["eventSourceARN"] == stream.arn
    assert record["eventName"] == "aws:kinesis:record"
    assert record["eventID"] == f"shardId-000000000000:{record['kinesis']['sequenceNumber']}"
    assert record["invokeIdentityArn"].startswith("arn:aws:iam::000000000000:role/")
    assert base64.b64decode(record["kinesis"]["data"]) == b"r0"
    assert record["kinesis"]["partitionKey"] == "k"
    shown = stream.shown()
    assert (shown["State"], shown["BatchSize"], shown["LastProcessingResult"]) == ("Enabled", 10, "OK")
    assert shown["FunctionArn"].endswith(f":function:{stream.function}")
    listed = functions.client.list_event_source_mappings(FunctionName=stream.function)["EventSourceMappings"]
    assert [one["UUID"] for one in listed] == [stream.mapping]
    with pytest.raises(ClientError, match="already exists"):
        stream.map()
    functions.client.update_event_source_mapping(UUID=stream.mapping, Enabled=False)
    eventually(lambda: stream.shown()["State"] == "Disabled")
    stream.put("while away")
    functions.client.update_event_source_mapping(UUID=stream.mapping, Enabled=True, BatchSize=20)
    stream.all_there({"while away"})
    assert len(stream.texts()) == 26
    functions.client.delete_event_source_mapping(UUID=stream.mapping)
    eventually(
        lambda: not functions.client.list_event_source_mappings(EventSourceArn=stream.arn)["EventSourceMappings"]
    )


def test_features_are_computed_of_every_record_exactly(functions: Lambda) -> None:
    stream = Stream(functions, shards=2, body=FEATURES, BatchSize=50, ParallelizationFactor=2)
    rides = [{"id": number, "km": number % 11 + 1, "minutes": number % 7 + 3} for number in range(300)]
    stream.put(*(json.dumps(ride) for ride in rides))

    def features() -> list[str]:
        pages = stream.s3.get_paginator("list_objects_v2").paginate(Bucket=stream.bucket, Prefix="features/")
        return [one["Key"] for page in pages for one in page.get("Contents", ())]

    eventually(lambda: len(features()) == len(rides))
    for ride in rides[::37]:
        body = stream.s3.get_object(Bucket=stream.bucket, Key=f"features/{ride['id']:05d}")["Body"].read()
        assert json.loads(body) == {
            "id": ride["id"],
            "speed": ride["km"] / (ride["minutes"] / 60),
            "long": ride["km"] > 5,
        }


@pytest.mark.slow
def test_order_holds_while_shards_are_split_and_merged(functions: Lambda) -> None:
    stream = Stream(functions, shards=1, BatchSize=20)
    keys = [f"key{number}" for number in range(6)]

    def put(since: int) -> None:
        for number in range(since, since + 10):
            for key in keys:
                stream.put(f"{key}/{number}", key=key)

    put(0)
    stream.kinesis.split_shard(
        StreamName=stream.name, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**127)
    )
    eventually(lambda: stream.describe()["StreamStatus"] == "ACTIVE")
    put(10)
    stream.kinesis.merge_shards(
        StreamName=stream.name, ShardToMerge="shardId-000000000001", AdjacentShardToMerge="shardId-000000000002"
    )
    eventually(lambda: stream.describe()["StreamStatus"] == "ACTIVE")
    put(20)
    stream.all_there({f"{key}/{number}" for key in keys for number in range(30)})
    seen: dict[str, list[int]] = defaultdict(list)
    for text in stream.texts():  # parents' shards have the lower numbers
        key, _, number = text.partition("/")
        seen[key].append(int(number))
    assert seen == {key: list(range(30)) for key in keys}


def test_a_batch_that_fails_is_halved_until_the_record_at_fault_is_put_aside(functions: Lambda) -> None:
    sqs, name = functions.server.client("sqs"), functions.unique("failures")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    stream = Stream(functions, rest='if "poison" in data: raise ValueError("poison")')
    texts = [f"t{number}" for number in range(8)]
    stream.put(*texts[:5], "poison", *texts[5:], key="k")
    stream.map(
        BisectBatchOnFunctionError=True,
        MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": f"arn:aws:sqs:us-east-1:000000000000:{name}"}},
    )
    (message,) = eventually(lambda: sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5).get("Messages"))
    told = json.loads(message["Body"])
    assert told["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert told["requestContext"]["approximateInvokeCount"] == 1
    assert told["responseContext"]["functionError"] == "Unhandled"
    batch = told["KinesisBatchInfo"]
    assert (batch["batchSize"], batch["streamArn"], batch["shardId"]) == (1, stream.arn, "shardId-000000000000")
    assert batch["startSequenceNumber"] == batch["endSequenceNumber"]

    def well() -> set[str]:
        return {text for _, data in stream.notes() if "poison" not in data for text in data}

    eventually(lambda: well() == set(texts))


def test_a_function_says_from_which_record_on_it_failed(functions: Lambda) -> None:
    rest = """
    import os
    if "bad" in data and not os.path.exists("/tmp/seen"):
        open("/tmp/seen", "w").close()
        number = records[data.index("bad")]["kinesis"]["sequenceNumber"]
        return {"batchItemFailures": [{"itemIdentifier": number}]}
    return {"batchItemFailures": []}
"""
    stream = Stream(functions, rest=rest.strip())
    stream.put("a", "b", "bad", "c", key="k")
    stream.map(FunctionResponseTypes=["ReportBatchItemFailures"])
    eventually(lambda: len(stream.notes()) == 2)
    assert [data for _, data in stream.notes()] == [["a", "b", "bad", "c"], ["bad", "c"]]


def test_only_what_filters_let_through_is_given(functions: Lambda) -> None:
    pattern = json.dumps({"data": {"kind": ["order"], "price": [{"numeric": [">=", 10]}]}})
    stream = Stream(functions, FilterCriteria={"Filters": [{"Pattern": pattern}]})
    wanted = json.dumps({"kind": "order", "price": 12})
    stream.put(json.dumps({"kind": "order", "price": 2}), "no json", json.dumps({"price": 20}), wanted, key="k")
    stream.all_there({wanted})
    assert stream.texts() == [wanted]


def test_a_window_hands_its_state_on_until_it_ends(functions: Lambda) -> None:
    rest = """
    state = event["state"]
    state["sum"] = state.get("sum", 0) + sum(int(text) for text in data)
    return {"state": state}
"""
    body = NOTES.replace(
        'records[0]["kinesis"]["sequenceNumber"]', 'records[0]["kinesis"]["sequenceNumber"] if records else "z"'
    )
    body = body.replace("records[0]['eventID'].split(':')[0]", "event['window']['start']")
    stream = Stream(functions, rest=rest.strip(), body=body, BatchSize=2, TumblingWindowInSeconds=4)
    stream.put(*(str(number) for number in range(1, 11)), key="k")
    ends = eventually(lambda: [event for event, _ in stream.notes() if event["isFinalInvokeForWindow"]])
    eventually(lambda: stream.finals_sum() == 55)
    assert all(event["Records"] == [] and event["shardId"] == "shardId-000000000000" for event in ends)
    assert {event["isWindowTerminatedEarly"] for event in ends} == {False}
    assert all(event["eventSourceARN"] == stream.arn for event in ends)


def test_a_mapping_that_starts_at_the_latest_sees_what_comes_then(functions: Lambda) -> None:
    stream = Stream(functions)
    stream.put("before", key="k")
    stream.map(StartingPosition="LATEST")
    stream.put("after", key="k")
    stream.all_there({"after"})
    assert stream.texts() == ["after"]


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"StartingPosition": "AT_TIMESTAMP"}, "StartingPositionTimestamp"),
        ({"TumblingWindowInSeconds": 30, "ParallelizationFactor": 2}, "TumblingWindow"),
        ({"MaximumRecordAgeInSeconds": 5}, "60"),
        ({"ScalingConfig": {"MaximumConcurrency": 2}}, "ScalingConfig"),
        ({"FilterCriteria": {"Filters": [{"Pattern": '{"data": 3}'}]}}, "pattern"),
        ({"DestinationConfig": {"OnFailure": {"Destination": "arn:aws:s3:::b"}}}, "s3"),
        ({"EventSourceArn": "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/x"}, "dynamodb"),
        ({"EventSourceArn": "arn:aws:kinesis:us-east-1:000000000000:stream/gone"}, "ResourceNotFound"),
    ],
)
def test_what_a_mapping_cannot_be_is_refused(functions: Lambda, given: dict[str, Any], word: str) -> None:
    asked = {
        "EventSourceArn": "arn:aws:kinesis:us-east-1:000000000000:stream/any",
        "FunctionName": "nobody",
        "StartingPosition": "TRIM_HORIZON",
    }
    if "ResourceNotFound" in word:
        asked["FunctionName"] = functions.create()
    with pytest.raises(ClientError, match=word) as refused:
        functions.client.create_event_source_mapping(**(asked | given))
    assert refused.value.response["Error"]["Code"] == "InvalidParameterValueException"


@pytest.mark.slow
def test_no_record_is_lost_whatever_is_killed(tmp_path: Path, unique: Callable[[str], str]) -> None:
    server = start_server(tmp_path / "home")
    try:
        stream = Stream(Lambda(server, unique), shards=2, BatchSize=20)
        texts = [f"r{number}" for number in range(200)]
        for round_, process in enumerate(("carrier", "controller", "carrier", "controller")):
            stream.put(*texts[round_ * 50 : round_ * 50 + 50])
            kill(server, process)
        stream.all_there(set(texts))
    finally:
        stop_server(server)

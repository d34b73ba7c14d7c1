"""Functions transform records by AWS's contract; what they fail on is in the error output with the reason."""

import base64
import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from clary.systems.firehose.tests.conftest import ROLE, Client
from clary.systems.firehose.tests.test_processing import processing, processor
from clary.testing import eventually

HANDLER = """
import base64, json

def handler(event, context):
    done = []
    for record in event["records"]:
        data = json.loads(base64.b64decode(record["data"]))
        result = data.get("result", "Ok")
        if result == "raise":
            raise ValueError("this batch is not liked")
        if result == "forget":
            continue
        data["seen"] = [event["deliveryStreamArn"], event["region"], record["approximateArrivalTimestamp"]]
        answer = {
            "recordId": record["recordId"],
            "result": result,
            "data": base64.b64encode(json.dumps(data).encode() + b"\\n").decode(),
        }
        if "part" in data:
            answer["metadata"] = {"partitionKeys": {"part": data["part"]}}
        done.append(answer)
    return {"records": done}
"""


@pytest.fixture
def function(client: Client) -> Iterator[str]:
    """The ARN of a function that does to each record what it says."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("app.py", HANDLER)
    functions, name = client.server.client("lambda"), client.unique("function")
    made = functions.create_function(
        FunctionName=name,
        Runtime="python3.12",
        Handler="app.handler",
        Role=ROLE,
        Code={"ZipFile": file.getvalue()},
        Timeout=60,
    )
    yield made["FunctionArn"]
    functions.delete_function(FunctionName=name)


def through(function: str, **parameters: str) -> dict[str, Any]:
    return processor("Lambda", LambdaArn=function, BufferIntervalInSeconds="0", **parameters)


def encoded(*documents: dict[str, Any]) -> list[bytes]:
    return [json.dumps(document).encode() for document in documents]


def test_records_are_transformed_dropped_and_failed_as_the_function_says(client: Client, function: str) -> None:
    name = client.create(
        client.part(
            Prefix="out/",
            ErrorOutputPrefix="errors/",
            ProcessingConfiguration=processing(through(function)),
            S3BackupMode="Enabled",
            S3BackupConfiguration=client.part(Prefix="backup/"),
        )
    )
    sent = [{"n": number} for number in range(40)]
    odd = [{"n": -1, "result": "Dropped"}, {"n": -2, "result": "ProcessingFailed"}, {"n": -3, "result": "forget"}]
    client.put(name, encoded(*sent, *odd))
    done = [json.loads(line) for line in client.delivered(40, "out/")]
    assert sorted(each["n"] for each in done) == list(range(40))
    arn, region, arrived = done[0]["seen"]
    assert arn.endswith(f":deliverystream/{name}")
    assert region == "us-east-1"
    assert arrived > 1_000_000_000_000
    errors = [json.loads(line) for line in client.delivered(2, "errors/processing-failed/")]
    told = {json.loads(base64.b64decode(each["rawData"]))["n"]: each for each in errors}
    assert told.keys() == {-2, -3}
    assert told[-2]["errorCode"] == "Lambda.ProcessingFailedStatus"
    assert told[-3]["errorCode"] == "Lambda.MissingRecordId"
    assert {each["lambdaArn"] for each in errors} == {function}
    backup = eventually(lambda: (found := b"".join(client.objects("backup/").values())).count(b"{") == 43 and found)
    assert b'"forget"' in backup


def test_a_batch_that_the_function_fails_on_is_tried_again_and_then_kept(client: Client, function: str) -> None:
    options = {"Enabled": True, "LogGroupName": client.unique("group"), "LogStreamName": "delivery"}
    name = client.create(
        client.part(
            ErrorOutputPrefix="errors/",
            ProcessingConfiguration=processing(through(function, NumberOfRetries="1")),
            CloudWatchLoggingOptions=options,
        )
    )
    client.put(name, encoded({"n": 1, "result": "raise"}))
    (error,) = [json.loads(line) for line in client.delivered(1, "errors/processing-failed/")]
    assert error["errorCode"] == "Lambda.FunctionError"
    assert error["attemptsMade"] == 2
    assert "this batch is not liked" in error["errorMessage"]
    logs = client.server.client("logs")

    def told() -> Any:
        try:
            found = logs.filter_log_events(logGroupName=options["LogGroupName"])["events"]
        except logs.exceptions.ResourceNotFoundException:
            return None
        return json.loads(found[0]["message"]) if found else None

    document = eventually(told)
    assert document["errorCode"] == "Lambda.FunctionError"
    assert document["processor"] == function


def test_a_function_names_partitions(client: Client, function: str) -> None:
    name = client.create(
        client.part(
            Prefix="part=!{partitionKeyFromLambda:part}/",
            ErrorOutputPrefix="errors/",
            BufferingHints={"SizeInMBs": 64, "IntervalInSeconds": 0},
            DynamicPartitioningConfiguration={"Enabled": True},
            ProcessingConfiguration=processing(through(function)),
        )
    )
    client.put(name, encoded(*({"n": number, "part": f"p{number % 3}"} for number in range(30)), {"n": -1}))
    assert len(client.delivered(30, "part=")) == 30
    for key, data in client.objects("part=").items():
        assert {json.loads(line)["part"] for line in data.splitlines()} == {key[5:7]}
    (error,) = [json.loads(line) for line in client.delivered(1, "errors/processing-failed/")]
    assert json.loads(base64.b64decode(error["rawData"]))["n"] == -1
    assert error["errorCode"] == "DynamicPartitioning.MetadataExtractionFailed"


def test_a_function_that_is_not_there_is_said_to_be(client: Client) -> None:
    gone = "arn:aws:lambda:us-east-1:000000000000:function:nothing"
    name = client.create(
        client.part(ErrorOutputPrefix="errors/", ProcessingConfiguration=processing(through(gone, NumberOfRetries="0")))
    )
    client.put(name, [b"x"])
    (error,) = [json.loads(line) for line in client.delivered(1, "errors/processing-failed/")]
    assert error["errorCode"] == "Lambda.ResourceNotFound"

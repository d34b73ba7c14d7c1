"""Asynchronous invocations: made for sure, tried again, and told of."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clary.support.lambda_.tests.conftest import Lambda, kill, zipped
from clary.testing import eventually, start_server, stop_server

WRITES = """
import boto3, json
def handler(event, context):
    boto3.client("s3").put_object(Bucket=event["bucket"], Key=f"{event['key']}/{context.aws_request_id}", Body=b"")
    if event.get("fail"):
        raise RuntimeError("as asked")
    return {"wrote": event["key"]}
"""


def queue(functions: Lambda, prefix: str) -> tuple[str, str]:
    """A queue's URL and ARN."""
    url = functions.server.client("sqs").create_queue(QueueName=functions.unique(prefix))["QueueUrl"]
    return url, f"arn:aws:sqs:us-east-1:000000000000:{url.rpartition('/')[2]}"


def received(functions: Lambda, url: str) -> dict[str, Any]:
    sqs = functions.server.client("sqs")

    def take() -> Any:
        asked = {"QueueUrl": url, "WaitTimeSeconds": 5, "MessageAttributeNames": ["All"]}
        return sqs.receive_message(**asked).get("Messages")

    (message,) = eventually(take)
    return dict(message)


def test_an_event_that_fails_is_tried_twice_more_and_told_of(functions: Lambda) -> None:
    (failures, failures_arn), (letters, letters_arn) = queue(functions, "failures"), queue(functions, "letters")
    name = functions.create(DeadLetterConfig={"TargetArn": letters_arn})
    config = {"FunctionName": name, "DestinationConfig": {"OnFailure": {"Destination": failures_arn}}}
    functions.client.put_function_event_invoke_config(**config)
    event = {"do": "raise", "message": "never well"}
    answer = functions.client.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event).encode())
    assert (answer["StatusCode"], answer["Payload"].read()) == (202, b"")
    told = json.loads(received(functions, failures)["Body"])
    context = told["requestContext"]
    assert (context["condition"], context["approximateInvokeCount"]) == ("RetriesExhausted", 3)
    assert context["functionArn"].endswith(f":function:{name}:$LATEST")
    assert told["requestPayload"] == event
    assert told["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    assert told["responsePayload"]["errorMessage"] == "never well"
    letter = received(functions, letters)
    assert json.loads(letter["Body"]) == event
    attributes = {key: value["StringValue"] for key, value in letter["MessageAttributes"].items()}
    assert (attributes["ErrorMessage"], attributes["RequestID"]) == ("never well", context["requestId"])


def test_an_event_that_succeeds_is_told_of_to_another_function(functions: Lambda) -> None:
    bucket = functions.unique("told")
    s3 = functions.server.client("s3")
    s3.create_bucket(Bucket=bucket)
    body = f"""
import boto3, json
def handler(event, context):
    boto3.client("s3").put_object(Bucket={bucket!r}, Key="told", Body=json.dumps(event).encode())
"""
    teller = functions.create(body=body, Timeout=60)
    name = functions.create()
    arn = functions.client.get_function_configuration(FunctionName=teller)["FunctionArn"]
    functions.client.put_function_event_invoke_config(
        FunctionName=name, MaximumRetryAttempts=0, DestinationConfig={"OnSuccess": {"Destination": arn}}
    )
    functions.client.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"a": 1}')
    eventually(lambda: s3.list_objects_v2(Bucket=bucket).get("Contents"))
    told = json.loads(s3.get_object(Bucket=bucket, Key="told")["Body"].read())
    assert (told["requestContext"]["condition"], told["responsePayload"]) == ("Success", {"echo": {"a": 1}})


def test_a_topic_calls_the_functions_that_are_subscribed_to_it(functions: Lambda) -> None:
    bucket, topic_name = functions.unique("bucket"), functions.unique("topic")
    s3, sns = functions.server.client("s3"), functions.server.client("sns")
    s3.create_bucket(Bucket=bucket)
    body = f"""
import boto3
def handler(event, context):
    record = event["Records"][0]
    boto3.client("s3").put_object(Bucket={bucket!r}, Key=record["Sns"]["Message"], Body=record["EventSource"].encode())
"""
    name = functions.create(body=body, Timeout=60)
    topic = sns.create_topic(Name=topic_name)["TopicArn"]
    arn = functions.client.get_function_configuration(FunctionName=name)["FunctionArn"]
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=arn)
    sns.publish(TopicArn=topic, Message="hello")
    eventually(lambda: s3.list_objects_v2(Bucket=bucket).get("Contents"))
    assert s3.get_object(Bucket=bucket, Key="hello")["Body"].read() == b"aws:sns"


@pytest.mark.slow
def test_no_event_is_lost_whatever_is_killed(tmp_path: Path, unique: Callable[[str], str]) -> None:
    server = start_server(tmp_path / "home", function_retry_seconds=0.2)
    try:
        functions = Lambda(server, unique)
        s3 = server.client("s3")
        s3.create_bucket(Bucket="kept")
        name = functions.create(Timeout=60, MemorySize=256, Code={"ZipFile": zipped(app=WRITES)})
        client = functions.client
        acknowledged = []
        for number in range(60):
            event = json.dumps({"bucket": "kept", "key": str(number)}).encode()
            if number in {15, 30, 45}:
                kill(server, {15: "carrier", 30: "controller", 45: "gateway"}[number])
            try:
                client.invoke(FunctionName=name, InvocationType="Event", Payload=event)
                acknowledged.append(str(number))
            except Exception:  # noqa: BLE001 - a gateway that was killed answers nobody
                continue
        assert len(acknowledged) > 40

        def there() -> bool:
            try:
                found = s3.list_objects_v2(Bucket="kept").get("Contents", ())
            except Exception:  # noqa: BLE001 - it is being started again
                return False
            return set(acknowledged) <= {one["Key"].partition("/")[0] for one in found}

        eventually(there)
    finally:
        stop_server(server)

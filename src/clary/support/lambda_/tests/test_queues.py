"""Functions fed from SQS queues: messages as AWS's events, deleted when dealt with, seen again when not."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.support.lambda_.tests.conftest import Lambda, zipped
from clary.testing import eventually

NOTES = """
import json, boto3, time

s3 = boto3.client("s3")

def handler(event, context):
    bodies = [one["body"] for one in event["Records"]]
    key = f"{time.time():.6f}-{context.aws_request_id}"
    s3.put_object(Bucket="BUCKET", Key=key, Body=json.dumps([event, bodies]).encode())
    REST
"""


class Queue:
    """A queue, a bucket, and a function between them."""

    def __init__(self, functions: Lambda, rest: str = "pass", *, fifo: bool = False, **attributes: str) -> None:
        self.functions = functions
        self.sqs, self.s3 = functions.server.client("sqs"), functions.server.client("s3")
        self.name, self.bucket = functions.unique("queue") + (".fifo" if fifo else ""), functions.unique("bucket")
        self.s3.create_bucket(Bucket=self.bucket)
        given = {"VisibilityTimeout": "60"} | ({"FifoQueue": "true"} if fifo else {}) | attributes
        self.url = self.sqs.create_queue(QueueName=self.name, Attributes=given)["QueueUrl"]
        self.arn = f"arn:aws:sqs:us-east-1:000000000000:{self.name}"
        code = zipped(app=NOTES.replace("BUCKET", self.bucket).replace("REST", rest))
        timeout = min(60, int(given["VisibilityTimeout"]))
        self.function = functions.create(Code={"ZipFile": code}, Timeout=timeout, MemorySize=256)
        self.mapping = ""

    def map(self, **given: Any) -> None:
        asked = {"EventSourceArn": self.arn, "FunctionName": self.function}
        client = self.functions.client
        self.mapping = client.create_event_source_mapping(**(asked | given))["UUID"]
        eventually(lambda: client.get_event_source_mapping(UUID=self.mapping)["State"] == "Enabled")

    def notes(self) -> list[Any]:
        """What the function was given, call by call."""
        listed = self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", ())
        return [json.loads(self.s3.get_object(Bucket=self.bucket, Key=one["Key"])["Body"].read()) for one in listed]

    def bodies(self) -> list[str]:
        return [body for _, bodies in self.notes() for body in bodies]

    def left(self) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)


def test_messages_are_given_and_deleted(functions: Lambda) -> None:
    queue = Queue(functions)
    said = {"colour": {"DataType": "String", "StringValue": "red"}}
    queue.sqs.send_message(QueueUrl=queue.url, MessageBody="one", MessageAttributes=said)
    queue.map(BatchSize=5)
    for text in ("two", "three"):
        queue.sqs.send_message(QueueUrl=queue.url, MessageBody=text)
    eventually(lambda: sorted(queue.bodies()) == ["one", "three", "two"])
    eventually(lambda: queue.left() == 0)
    record = next(one for event, _ in queue.notes() for one in event["Records"] if one["body"] == "one")
    assert (record["eventSource"], record["eventSourceARN"], record["awsRegion"]) == ("aws:sqs", queue.arn, "us-east-1")
    assert record["messageAttributes"]["colour"]["stringValue"] == "red"
    assert record["messageAttributes"]["colour"]["dataType"] == "String"
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert record["md5OfBody"]
    assert record["messageId"]


def test_what_a_function_reports_as_failed_comes_again_and_ends_in_the_dead_letters(functions: Lambda) -> None:
    letters = functions.server.client("sqs").create_queue(QueueName=functions.unique("letters"))["QueueUrl"]
    rest = """
    failed = [one["messageId"] for one in event["Records"] if one["body"].startswith("bad")]
    return {"batchItemFailures": [{"itemIdentifier": one} for one in failed]}
"""
    redrive = {"deadLetterTargetArn": f"arn:aws:sqs:us-east-1:000000000000:{letters.rpartition('/')[2]}"}
    queue = Queue(functions, rest.strip(), RedrivePolicy=json.dumps(redrive | {"maxReceiveCount": 2}))
    for text in ("good", "bad", "fine"):
        queue.sqs.send_message(QueueUrl=queue.url, MessageBody=text)
    queue.map(FunctionResponseTypes=["ReportBatchItemFailures"])
    asked = {"QueueUrl": letters, "WaitTimeSeconds": 5}
    (message,) = eventually(lambda: queue.sqs.receive_message(**asked).get("Messages"))
    assert message["Body"] == "bad"
    assert sorted(queue.bodies()) == ["bad", "bad", "fine", "good"]
    eventually(lambda: queue.left() == 0)


def test_what_a_function_raises_over_is_seen_again(functions: Lambda) -> None:
    rest = 'if event["Records"][0]["attributes"]["ApproximateReceiveCount"] == "1": raise ValueError("not yet")'
    queue = Queue(functions, rest, VisibilityTimeout="3")
    queue.sqs.send_message(QueueUrl=queue.url, MessageBody="again")
    queue.map()
    eventually(lambda: queue.left() == 0)
    assert set(queue.bodies()) == {"again"}
    records = [record for event, _ in queue.notes() for record in event["Records"]]
    times = [int(record["attributes"]["ApproximateReceiveCount"]) for record in records]
    assert max(times) > 1, "and more often where the function has not ended when it is seen again"


def test_groups_of_a_fifo_queue_stay_in_order(functions: Lambda) -> None:
    queue = Queue(functions, fifo=True)
    for number in range(12):
        for group in ("a", "b"):
            queue.sqs.send_message(
                QueueUrl=queue.url,
                MessageBody=f"{group}{number}",
                MessageGroupId=group,
                MessageDeduplicationId=f"{group}{number}",
            )
    queue.map(BatchSize=4, ScalingConfig={"MaximumConcurrency": 2})
    eventually(lambda: len(queue.bodies()) == 24)
    for group in ("a", "b"):
        assert [body for body in queue.bodies() if body[0] == group] == [f"{group}{number}" for number in range(12)]


def test_only_what_filters_let_through_is_given_and_the_rest_is_deleted(functions: Lambda) -> None:
    queue = Queue(functions)
    wanted = json.dumps({"kind": "order"})
    for text in ("plain", json.dumps({"kind": "other"}), wanted):
        queue.sqs.send_message(QueueUrl=queue.url, MessageBody=text)
    queue.map(FilterCriteria={"Filters": [{"Pattern": json.dumps({"body": {"kind": ["order"]}})}]})
    eventually(lambda: queue.left() == 0)
    assert queue.bodies() == [wanted]


def test_a_window_gathers_messages(functions: Lambda) -> None:
    queue = Queue(functions, VisibilityTimeout="360")
    for number in range(30):
        queue.sqs.send_message(QueueUrl=queue.url, MessageBody=str(number))
    queue.map(BatchSize=30, MaximumBatchingWindowInSeconds=300)
    eventually(lambda: len(queue.bodies()) == 30)
    assert [len(bodies) for _, bodies in queue.notes()] == [30]


def test_a_queue_must_hide_messages_for_as_long_as_the_function_may_take(functions: Lambda) -> None:
    queue = Queue(functions, VisibilityTimeout="20")
    functions.client.update_function_configuration(FunctionName=queue.function, Timeout=30)
    with pytest.raises(ClientError, match="less than Function timeout"):
        queue.map()
    with pytest.raises(ClientError, match="window"):
        queue.map(BatchSize=100)
    with pytest.raises(ClientError, match="StartingPosition"):
        queue.map(StartingPosition="LATEST")

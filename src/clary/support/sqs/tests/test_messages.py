"""Messages in standard queues: hidden, seen again, delayed, expired, buried and dug up."""

import json

import pytest

from clary.kernel.core.errors import AwsError
from clary.support.sqs.reconcile import move_messages, sweep


def refused(call, operation, **params):
    with pytest.raises(AwsError) as caught:
        call(operation, **params)
    return caught.value.code


def arn(name):
    return f"arn:aws:sqs:eu-west-1:111122223333:{name}"


def counts(call, url):
    found = call("GetQueueAttributes", QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return tuple(int(found[f"ApproximateNumberOfMessages{what}"]) for what in ("", "NotVisible", "Delayed"))


def receive(call, url, **how):
    return call("ReceiveMessage", QueueUrl=url, MessageSystemAttributeNames=["All"], **how).get("Messages", [])


def test_a_message_is_hidden_seen_again_and_deleted(call, make, take, clock):
    url = make("jobs")
    call("SendMessage", QueueUrl=url, MessageBody="work")
    (first,) = receive(call, url, VisibilityTimeout=10)
    assert take(url) == []
    assert counts(call, url) == (0, 1, 0)
    clock.advance(11)
    assert counts(call, url) == (1, 0, 0)
    (second,) = receive(call, url)
    assert second["Attributes"]["ApproximateReceiveCount"] == "2"
    assert second["MessageId"] == first["MessageId"]
    assert second["ReceiptHandle"] != first["ReceiptHandle"]
    call("DeleteMessage", QueueUrl=url, ReceiptHandle=first["ReceiptHandle"])
    assert counts(call, url) == (0, 1, 0)
    call("DeleteMessage", QueueUrl=url, ReceiptHandle=second["ReceiptHandle"])
    call("DeleteMessage", QueueUrl=url, ReceiptHandle=second["ReceiptHandle"])
    assert counts(call, url) == (0, 0, 0)


def test_visibility_changes(call, make, take, clock):
    url = make("jobs")
    call("SendMessage", QueueUrl=url, MessageBody="work")
    (message,) = receive(call, url, VisibilityTimeout=10)
    hide = {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}
    call("ChangeMessageVisibility", **hide, VisibilityTimeout=100)
    clock.advance(50)
    assert take(url) == []
    assert refused(call, "ChangeMessageVisibility", **hide, VisibilityTimeout=43_200) == "InvalidParameterValue"
    call("ChangeMessageVisibility", **hide, VisibilityTimeout=0)
    assert refused(call, "ChangeMessageVisibility", **hide, VisibilityTimeout=5) == "MessageNotInflight"
    assert take(url) == ["work"]
    wrong = {"QueueUrl": url, "ReceiptHandle": "nonsense"}
    assert refused(call, "ChangeMessageVisibility", **wrong, VisibilityTimeout=5) == "ReceiptHandleIsInvalid"
    foreign = {"QueueUrl": make("other"), "ReceiptHandle": message["ReceiptHandle"]}
    assert refused(call, "DeleteMessage", **foreign) == "ReceiptHandleIsInvalid"


def test_delays(call, make, take, clock):
    url = make("jobs", DelaySeconds="20")
    call("SendMessage", QueueUrl=url, MessageBody="late")
    call("SendMessage", QueueUrl=url, MessageBody="now", DelaySeconds=0)
    assert counts(call, url) == (1, 0, 1)
    assert take(url) == ["now"]
    clock.advance(20)
    assert take(url) == ["late"]


def test_messages_expire_when_looked_at_and_when_swept(call, make, take, platform, clock):
    url = make("jobs", MessageRetentionPeriod="60")
    for body in "ab":
        call("SendMessage", QueueUrl=url, MessageBody=body)
    clock.advance(30)
    call("SendMessage", QueueUrl=url, MessageBody="young")
    clock.advance(30)
    sweep(platform, None)
    assert counts(call, url) == (1, 0, 0)
    clock.advance(30)
    assert take(url) == []
    assert counts(call, url) == (0, 0, 0)


def test_what_a_message_may_hold(call, make):
    url = make("jobs", MaximumMessageSize="1024")
    sent = call(
        "SendMessage",
        QueueUrl=url,
        MessageBody="x",
        MessageAttributes={
            "city": {"DataType": "String", "StringValue": "Any City"},
            "count": {"DataType": "Number.int", "StringValue": "7"},
            "raw": {"DataType": "Binary", "BinaryValue": b"\0\1"},
        },
        MessageSystemAttributes={"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-2-3"}},
    )
    (message,) = receive(call, url, MessageAttributeNames=["All"], MaxNumberOfMessages=10)
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    assert message["MessageAttributes"]["raw"]["BinaryValue"] == b"\0\1"
    assert message["Attributes"]["AWSTraceHeader"] == "Root=1-2-3"

    def send(**params):
        return refused(call, "SendMessage", QueueUrl=url, **params)

    assert send(MessageBody="") == "MissingParameter"
    assert send(MessageBody="\x00") == "InvalidMessageContents"
    assert send(MessageBody="x" * 1025) == "InvalidParameterValue"
    assert send(MessageBody="x", DelaySeconds=901) == "InvalidParameterValue"
    assert send(MessageBody="x", MessageDeduplicationId="d") == "InvalidParameterValue"
    for attribute in (
        {"DataType": "Text", "StringValue": "x"},
        {"DataType": "Number", "StringValue": "seven"},
        {"DataType": "String"},
        {"DataType": "Binary", "StringValue": "x"},
    ):
        assert send(MessageBody="x", MessageAttributes={"a": attribute}) == "InvalidParameterValue"
    assert (
        send(MessageBody="x", MessageAttributes={"AWS.a": {"DataType": "String", "StringValue": "x"}})
        == "InvalidParameterValue"
    )


def test_only_attributes_that_are_asked_for(call, make):
    url = make("jobs")
    values = {name: {"DataType": "String", "StringValue": name} for name in ("order.id", "order.kind", "source")}
    call("SendMessage", QueueUrl=url, MessageBody="x", MessageAttributes=values)
    (message,) = receive(call, url, VisibilityTimeout=0, MessageAttributeNames=["order.*"])
    assert set(message["MessageAttributes"]) == {"order.id", "order.kind"}
    assert refused(call, "ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=11) == "InvalidParameterValue"
    assert refused(call, "ReceiveMessage", QueueUrl=url, WaitTimeSeconds=21) == "InvalidParameterValue"


def test_batches_answer_for_every_entry(call, make, take):
    url = make("jobs")
    entries = [
        {"Id": "a", "MessageBody": "one"},
        {"Id": "b", "MessageBody": ""},
        {"Id": "c", "MessageBody": "three", "DelaySeconds": 1000},
        {"Id": "d", "MessageBody": "four"},
    ]
    answer = call("SendMessageBatch", QueueUrl=url, Entries=entries)
    assert [each["Id"] for each in answer["Successful"]] == ["a", "d"]
    assert {each["Id"]: each["SenderFault"] for each in answer["Failed"]} == {"b": True, "c": True}
    received = receive(call, url, MaxNumberOfMessages=10)
    assert sorted(each["Body"] for each in received) == ["four", "one"]
    handles = [each["ReceiptHandle"] for each in received]
    hidden = call(
        "ChangeMessageVisibilityBatch",
        QueueUrl=url,
        Entries=[{"Id": str(n), "ReceiptHandle": handle, "VisibilityTimeout": 60} for n, handle in enumerate(handles)],
    )
    assert len(hidden["Successful"]) == 2
    deleted = call(
        "DeleteMessageBatch",
        QueueUrl=url,
        Entries=[{"Id": str(n), "ReceiptHandle": handle} for n, handle in enumerate([*handles, "nonsense"])],
    )
    assert len(deleted["Successful"]) == 2
    assert deleted["Failed"][0]["Code"] == "ReceiptHandleIsInvalid"
    for wrong, code in (
        ([], "EmptyBatchRequest"),
        ([{"Id": str(n), "MessageBody": "x"} for n in range(11)], "TooManyEntriesInBatchRequest"),
        ([{"Id": "a", "MessageBody": "x"}] * 2, "BatchEntryIdsNotDistinct"),
        ([{"Id": "a b", "MessageBody": "x"}], "InvalidBatchEntryId"),
        ([{"Id": str(n), "MessageBody": "x" * 600_000} for n in range(2)], "BatchRequestTooLong"),
    ):
        assert refused(call, "SendMessageBatch", QueueUrl=url, Entries=wrong) == code


@pytest.fixture
def buried(call, make, clock):
    """A queue whose three messages have all died, and where they lie."""
    dead = make("dead")
    url = make("jobs", RedrivePolicy=json.dumps({"deadLetterTargetArn": arn("dead"), "maxReceiveCount": 2}))
    for number in range(3):
        call("SendMessage", QueueUrl=url, MessageBody=str(number))
    for _ in range(2):
        assert len(receive(call, url, MaxNumberOfMessages=10)) == 3
        clock.advance(31)
    assert receive(call, url) == []
    return url, dead


def test_dead_letters_are_put_aside(call, buried):
    url, dead = buried
    assert counts(call, url) == (0, 0, 0)
    messages = receive(call, dead, MaxNumberOfMessages=10)
    assert [each["Body"] for each in messages] == ["0", "1", "2"]
    assert {each["Attributes"]["DeadLetterQueueSourceArn"] for each in messages} == {arn("jobs")}


def test_a_move_task_brings_dead_letters_back(call, buried, take, platform):
    url, dead = buried
    call("StartMessageMoveTask", SourceArn=arn("dead"))
    move_messages(platform, None)
    (task,) = call("ListMessageMoveTasks", SourceArn=arn("dead"))["Results"]
    assert task["Status"] == "COMPLETED"
    assert task["ApproximateNumberOfMessagesMoved"] == task["ApproximateNumberOfMessagesToMove"] == 3
    assert take(url) == ["0", "1", "2"]
    assert take(dead) == []
    assert refused(call, "StartMessageMoveTask", SourceArn=arn("jobs")) == "InvalidParameterValue"
    assert refused(call, "StartMessageMoveTask", SourceArn=arn("none")) == "ResourceNotFoundException"


def test_a_move_task_goes_as_slowly_as_asked_and_stops_when_told(call, buried, make, take, platform):
    _, dead = buried
    elsewhere = make("elsewhere")
    handle = call(
        "StartMessageMoveTask", SourceArn=arn("dead"), DestinationArn=arn("elsewhere"), MaxNumberOfMessagesPerSecond=1
    )["TaskHandle"]
    assert refused(call, "StartMessageMoveTask", SourceArn=arn("dead")) == "UnsupportedOperation"
    assert move_messages(platform, None) == 1.0
    assert call("CancelMessageMoveTask", TaskHandle=handle)["ApproximateNumberOfMessagesMoved"] == 1
    assert move_messages(platform, None) is None
    (task,) = call("ListMessageMoveTasks", SourceArn=arn("dead"))["Results"]
    assert task["Status"] == "CANCELLED"
    assert (take(elsewhere), take(dead)) == (["0"], ["1", "2"])


def test_a_move_task_fails_where_a_message_has_no_source(call, buried, make, platform):
    _, dead = buried
    call("SendMessage", QueueUrl=dead, MessageBody="sent here")
    call("StartMessageMoveTask", SourceArn=arn("dead"))
    move_messages(platform, None)
    (task,) = call("ListMessageMoveTasks", SourceArn=arn("dead"))["Results"]
    assert (task["Status"], task["FailureReason"]) == ("FAILED", "CouldNotDetermineMessageSource")
    assert task["ApproximateNumberOfMessagesMoved"] == 3

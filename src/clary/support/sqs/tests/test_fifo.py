"""FIFO queues: order within a group, once within five minutes."""

import json

import pytest

from clary.kernel.core.errors import AwsError
from clary.support.sqs.reconcile import sweep


@pytest.fixture
def fifo(make):
    return make("jobs.fifo", ContentBasedDeduplication="true")


@pytest.fixture
def send(call, fifo):
    def put(body, group="g", **more):
        return call("SendMessage", QueueUrl=fifo, MessageBody=body, MessageGroupId=group, **more)

    return put


def receive(call, url, **how):
    answer = call("ReceiveMessage", QueueUrl=url, MessageSystemAttributeNames=["All"], MaxNumberOfMessages=10, **how)
    return answer.get("Messages", [])


def test_a_group_keeps_its_order_and_waits_for_what_is_in_flight(call, fifo, send, take, clock):
    for body in ("a1", "a2", "a3"):
        send(body, "a")
    send("b1", "b")
    assert take(fifo, MaxNumberOfMessages=1) == ["a1"]
    assert take(fifo) == ["b1"]
    assert take(fifo) == []
    clock.advance(31)
    again = receive(call, fifo)
    assert [each["Body"] for each in again] == ["a1", "a2", "a3", "b1"]
    for each in again[:2]:
        call("DeleteMessage", QueueUrl=fifo, ReceiptHandle=each["ReceiptHandle"])
    send("a4", "a")
    assert take(fifo) == []
    call("DeleteMessage", QueueUrl=fifo, ReceiptHandle=again[2]["ReceiptHandle"])
    assert take(fifo) == ["a4"]


def test_sequence_numbers_grow(send):
    numbers = [send(str(number))["SequenceNumber"] for number in range(5)]
    assert numbers == sorted(numbers)
    assert {len(number) for number in numbers} == {20}


def test_what_was_sent_is_not_sent_again_for_five_minutes(call, fifo, send, take, platform, clock):
    first = send("same")
    assert send("same") | {"MD5OfMessageBody": ""} == first | {"MD5OfMessageBody": ""}
    (message,) = receive(call, fifo)
    call("DeleteMessage", QueueUrl=fifo, ReceiptHandle=message["ReceiptHandle"])
    assert send("same")["MessageId"] == first["MessageId"]
    assert take(fifo) == []
    clock.advance(301)
    sweep(platform, None)
    assert send("same")["MessageId"] != first["MessageId"]
    assert take(fifo) == ["same"]


def test_deduplication_by_id_and_by_group(call, make, take):
    url = make("each.fifo", DeduplicationScope="messageGroup", FifoThroughputLimit="perMessageGroupId")
    for group in "ab":
        for _ in range(2):
            call("SendMessage", QueueUrl=url, MessageBody=group, MessageGroupId=group, MessageDeduplicationId="d")
    assert take(url) == ["a", "b"]
    with pytest.raises(AwsError, match="ContentBasedDeduplication"):
        call("SendMessage", QueueUrl=url, MessageBody="x", MessageGroupId="g")
    with pytest.raises(AwsError, match="MessageGroupId"):
        call("SendMessage", QueueUrl=url, MessageBody="x", MessageDeduplicationId="d")
    ids = {"MessageGroupId": "g", "MessageDeduplicationId": "d"}
    with pytest.raises(AwsError, match="DelaySeconds"):
        call("SendMessage", QueueUrl=url, MessageBody="x", DelaySeconds=5, **ids)


def test_a_repeated_receive_attempt_is_given_the_same(call, fifo, send):
    for body in "ab":
        send(body)
    first = receive(call, fifo, ReceiveRequestAttemptId="try")
    again = receive(call, fifo, ReceiveRequestAttemptId="try")
    assert [each["ReceiptHandle"] for each in again] == [each["ReceiptHandle"] for each in first]
    assert receive(call, fifo, ReceiveRequestAttemptId="other") == []


def test_an_expired_handle_deletes_nothing(call, fifo, send, clock):
    send("a")
    (message,) = receive(call, fifo)
    clock.advance(31)
    with pytest.raises(AwsError, match="expired"):
        call("DeleteMessage", QueueUrl=fifo, ReceiptHandle=message["ReceiptHandle"])


def test_a_queue_that_delays_holds_its_groups(make, call, take, clock):
    url = make("slow.fifo", ContentBasedDeduplication="true", DelaySeconds="10")
    for body in "ab":
        call("SendMessage", QueueUrl=url, MessageBody=body, MessageGroupId="g")
        clock.advance(5)
    assert take(url) == ["a"]
    clock.advance(31)
    assert take(url) == ["a", "b"]


def test_dead_letters_keep_their_group(call, make, take, clock):
    dead = make("dead.fifo")
    target = "arn:aws:sqs:eu-west-1:111122223333:dead.fifo"
    url = make(
        "live.fifo",
        ContentBasedDeduplication="true",
        RedrivePolicy=json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": 1}),
    )
    for body in "ab":
        call("SendMessage", QueueUrl=url, MessageBody=body, MessageGroupId="g")
    assert take(url, MaxNumberOfMessages=1) == ["a"]
    clock.advance(31)
    assert take(url) == ["b"]
    (message,) = receive(call, dead)
    assert (message["Body"], message["Attributes"]["MessageGroupId"]) == ("a", "g")

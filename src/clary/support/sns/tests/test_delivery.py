"""What is published reaches who wants it, in the form it wants, in order, and never nobody."""

import json

import pytest

from clary.kernel.core.errors import AwsError
from clary.support.sns.outbox import Outbox
from clary.support.sns.reconcile import deliver


@pytest.fixture
def subscribe(call, topic, queue):
    """`subscribe("jobs", FilterPolicy=...)`: the URL of a new queue that is subscribed."""

    def make(name, *, to=None, **attributes):
        arn, url = queue(name)
        call("Subscribe", TopicArn=to or topic, Protocol="sqs", Endpoint=arn, Attributes=attributes)
        return url

    return make


def test_a_queue_gets_a_document_or_the_message_itself(call, topic, subscribe, delivered, sqs, platform):
    whole, raw = subscribe("whole"), subscribe("raw", RawMessageDelivery="true")
    attribute = {"n": {"DataType": "Number", "StringValue": "1"}}
    sent = call("Publish", TopicArn=topic, Message="hello", Subject="greeting", MessageAttributes=attribute)
    (body,) = delivered(whole)
    document = json.loads(body)
    assert (document["Type"], document["Message"], document["Subject"]) == ("Notification", "hello", "greeting")
    assert document["MessageId"] == sent["MessageId"]
    assert document["TopicArn"] == topic
    assert document["MessageAttributes"] == {"n": {"Type": "Number", "Value": "1"}}
    (message,) = sqs("ReceiveMessage", QueueUrl=raw, MessageAttributeNames=["All"])["Messages"]
    assert (message["Body"], message["MessageAttributes"]) == ("hello", attribute)
    assert list(platform.kv("sns").scan(b"m", b"n")) == []


def test_only_who_wants_it(call, topic, subscribe, delivered):
    by_attribute = subscribe("a", RawMessageDelivery="true", FilterPolicy='{"kind": ["x"]}')
    by_body = subscribe("b", RawMessageDelivery="true", FilterPolicyScope="MessageBody", FilterPolicy='{"n": [1]}')
    call("Publish", TopicArn=topic, Message='{"n": 1}')
    kind = {"kind": {"DataType": "String", "StringValue": "x"}}
    call("Publish", TopicArn=topic, Message='{"n": 2}', MessageAttributes=kind)
    assert delivered(by_attribute) == ['{"n": 2}']
    assert delivered(by_body) == ['{"n": 1}']


def test_a_message_for_each_protocol(call, topic, subscribe, delivered):
    url = subscribe("jobs", RawMessageDelivery="true")
    call("Publish", TopicArn=topic, MessageStructure="json", Message='{"default": "d", "sqs": "for queues"}')
    assert delivered(url) == ["for queues"]
    for wrong in ("{", '{"sqs": "x"}'):
        with pytest.raises(AwsError, match="Message Structure"):
            call("Publish", TopicArn=topic, MessageStructure="json", Message=wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"Message": ""},
        {"Message": "x" * 262_145},
        {"Message": "x", "Subject": "two\nlines"},
        {"Message": "x", "MessageDeduplicationId": "d"},
        {"Message": "x", "MessageAttributes": {"a": {"DataType": "Number", "StringValue": "seven"}}},
        {"Message": "x", "MessageAttributes": {"a": {"DataType": "String.Array", "StringValue": "{}"}}},
        {"Message": "x", "PhoneNumber": "+15550100"},
    ],
    ids=lambda wrong: str(wrong)[:40],
)
def test_what_cannot_be_published(call, topic, wrong):
    with pytest.raises(AwsError):
        call("Publish", TopicArn=topic, **wrong)


def test_batches_answer_for_every_entry(call, topic, subscribe, delivered):
    url = subscribe("jobs", RawMessageDelivery="true")
    entries = [{"Id": "a", "Message": "one"}, {"Id": "b", "Message": ""}, {"Id": "c", "Message": "three"}]
    answer = call("PublishBatch", TopicArn=topic, PublishBatchRequestEntries=entries)
    assert [each["Id"] for each in answer["Successful"]] == ["a", "c"]
    assert [(each["Id"], each["Code"]) for each in answer["Failed"]] == [("b", "InvalidParameter")]
    assert sorted(delivered(url)) == ["one", "three"]
    with pytest.raises(AwsError, match="BatchEntryIdsNotDistinct"):
        call("PublishBatch", TopicArn=topic, PublishBatchRequestEntries=[entries[0]] * 2)


def test_fifo_topics_keep_order_and_take_things_once(call, subscribe, delivered):
    attributes = {"FifoTopic": "true", "ContentBasedDeduplication": "true"}
    topic = call("CreateTopic", Name="news.fifo", Attributes=attributes)["TopicArn"]
    url = subscribe("jobs.fifo", to=topic, RawMessageDelivery="true")
    numbers = [
        call("Publish", TopicArn=topic, Message=str(number), MessageGroupId="g")["SequenceNumber"]
        for number in [*range(8), 3, 3]
    ]
    assert numbers[:8] == sorted(set(numbers))
    assert delivered(url) == [str(number) for number in range(8)]
    with pytest.raises(AwsError, match="MessageGroupId"):
        call("Publish", TopicArn=topic, Message="x")


def test_a_queue_that_is_gone_ends_in_the_dead_letters_and_the_log(call, topic, queue, sqs, delivered, caller):
    arn, url = queue("jobs")
    dead_arn, dead = queue("dead")
    redrive = json.dumps({"deadLetterTargetArn": dead_arn})
    attributes = {"RawMessageDelivery": "true", "RedrivePolicy": redrive}
    call("Subscribe", TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=attributes)
    sqs("DeleteQueue", QueueUrl=url)
    call("Publish", TopicArn=topic, Message="lost")
    assert delivered(dead) == ["lost"]
    group = "sns/eu-west-1/111122223333/news/Failure"
    logged = caller("logs")("FilterLogEvents", logGroupName=group)["events"]
    (event,) = [json.loads(each["message"]) for each in logged]
    assert event["status"] == "FAILURE"
    assert "QueueDoesNotExist" in event["delivery"]["providerResponse"]


def test_a_function_that_cannot_be_invoked_is_a_failure_that_is_told(call, topic, queue, delivered):
    dead_arn, dead = queue("dead")
    call(
        "Subscribe",
        TopicArn=topic,
        Protocol="lambda",
        Endpoint="arn:aws:lambda:eu-west-1:111122223333:function:none",
        Attributes={"RedrivePolicy": json.dumps({"deadLetterTargetArn": dead_arn})},
    )
    call("Publish", TopicArn=topic, Message="event")
    assert json.loads(delivered(dead)[0])["Message"] == "event"


def test_another_accounts_queue_must_allow_the_topic(call, topic, caller, platform, clock):
    other = caller("sqs", "444455556666")
    url = other("CreateQueue", QueueName="theirs")["QueueUrl"]
    arn = "arn:aws:sqs:eu-west-1:444455556666:theirs"
    call("Subscribe", TopicArn=topic, Protocol="sqs", Endpoint=arn)
    deliver(platform, None)
    assert "Messages" not in other("ReceiveMessage", QueueUrl=url)
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    other("SetQueueAttributes", QueueUrl=url, Attributes={"Policy": policy})
    assert call("Subscribe", TopicArn=topic, Protocol="sqs", Endpoint=arn)["SubscriptionArn"] == "pending confirmation"
    deliver(platform, None)
    (question,) = other("ReceiveMessage", QueueUrl=url)["Messages"]
    token = json.loads(question["Body"])["Token"]
    call("ConfirmSubscription", TopicArn=topic, Token=token)
    clock.advance(31)
    call("Publish", TopicArn=topic, Message="across")
    deliver(platform, None)
    bodies = [
        json.loads(each["Body"]) for each in other("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    ]
    assert "across" in [each["Message"] for each in bodies]


def test_what_nobody_confirms_is_forgotten(call, topic, platform, clock):
    call("Subscribe", TopicArn=topic, Protocol="https", Endpoint="https://localhost:1/")
    clock.advance(3 * 86_400)
    Outbox(platform).drop(Outbox(platform).waiting()[0])
    deliver(platform, None)
    assert call("ListSubscriptions")["Subscriptions"] == []


def test_what_waits_for_a_subscription_goes_with_it(call, topic, subscribe, platform):
    subscribe("jobs")
    call("Publish", TopicArn=topic, Message="x")
    assert len(Outbox(platform).waiting()) == 1
    call("DeleteTopic", TopicArn=topic)
    deliver(platform, None)
    assert Outbox(platform).waiting() == []
    assert list(platform.kv("sns").scan(b"c", b"n")) == []

"""Queues: what they are made of, and who may use them."""

import json
from functools import partial

import pytest

from clary.kernel.core.errors import AwsError
from clary.support.sqs.reconcile import sweep


def refused(call, operation, **params):
    with pytest.raises(AwsError) as caught:
        call(operation, **params)
    return caught.value.code


def arn(name):
    return f"arn:aws:sqs:eu-west-1:111122223333:{name}"


def test_a_queue_is_made_once_and_says_what_it_is(call, make):
    url = make("jobs", VisibilityTimeout="5")
    assert url.endswith("/111122223333/jobs")
    assert make("jobs") == url
    assert refused(call, "CreateQueue", QueueName="jobs", Attributes={"VisibilityTimeout": "6"}) == "QueueNameExists"
    assert call("GetQueueUrl", QueueName="jobs")["QueueUrl"] == url
    found = call("GetQueueAttributes", QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert found["VisibilityTimeout"] == "5"
    assert found["QueueArn"] == arn("jobs")
    assert found["MessageRetentionPeriod"] == "345600"
    assert "FifoQueue" not in found
    assert call("GetQueueAttributes", QueueUrl=url) == {}


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"VisibilityTimeout": "43201"}, "InvalidAttributeValue"),
        ({"DelaySeconds": "soon"}, "InvalidAttributeValue"),
        ({"FifoQueue": "true"}, "InvalidAttributeValue"),
        ({"ContentBasedDeduplication": "true"}, "InvalidAttributeName"),
        ({"QueueArn": "x"}, "InvalidAttributeName"),
        ({"KmsMasterKeyId": "alias/aws/sqs"}, "InvalidAttributeValue"),
        ({"Policy": "{"}, "InvalidAttributeValue"),
        ({"RedrivePolicy": '{"maxReceiveCount": 3}'}, "InvalidAttributeValue"),
        (
            {"RedrivePolicy": json.dumps({"deadLetterTargetArn": arn("none"), "maxReceiveCount": 3})},
            "InvalidParameterValue",
        ),
    ],
)
def test_attributes_that_make_no_sense_are_refused(call, attributes, code):
    assert refused(call, "CreateQueue", QueueName="jobs", Attributes=attributes) == code


@pytest.mark.parametrize("name", ["", "a b", "x" * 81, "a.fifo.b", "jobs.txt"])
def test_names_that_aws_would_not_take(call, name):
    assert refused(call, "CreateQueue", QueueName=name) == "InvalidParameterValue"


def test_lists_page_by_name(call, make):
    urls = [make(f"list-{number}") for number in range(5)]
    make("other")
    assert call("ListQueues", QueueNamePrefix="list-")["QueueUrls"] == urls
    first = call("ListQueues", QueueNamePrefix="list-", MaxResults=3)
    rest = call("ListQueues", QueueNamePrefix="list-", MaxResults=3, NextToken=first["NextToken"])
    assert first["QueueUrls"] + rest["QueueUrls"] == urls
    assert "NextToken" not in rest


def test_attributes_change_and_documents_are_taken_away(call, make):
    dead = make("dead")
    url = make("jobs")
    redrive = json.dumps({"deadLetterTargetArn": arn("dead"), "maxReceiveCount": "3"})
    call("SetQueueAttributes", QueueUrl=url, Attributes={"RedrivePolicy": redrive, "DelaySeconds": "7"})
    found = call("GetQueueAttributes", QueueUrl=url, AttributeNames=["RedrivePolicy", "DelaySeconds"])["Attributes"]
    assert found["DelaySeconds"] == "7"
    assert json.loads(found["RedrivePolicy"])["maxReceiveCount"] == 3
    assert call("ListDeadLetterSourceQueues", QueueUrl=dead)["queueUrls"] == [url]
    call("SetQueueAttributes", QueueUrl=url, Attributes={"RedrivePolicy": ""})
    assert call("GetQueueAttributes", QueueUrl=url, AttributeNames=["RedrivePolicy"]) == {}


def test_a_dead_letter_queue_may_choose_its_sources(call, make):
    make("dead", RedriveAllowPolicy=json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": [arn("good")]}))
    redrive = json.dumps({"deadLetterTargetArn": arn("dead"), "maxReceiveCount": 1})
    make("good", RedrivePolicy=redrive)
    attributes = {"RedrivePolicy": redrive}
    assert refused(call, "CreateQueue", QueueName="bad", Attributes=attributes) == "InvalidParameterValue"


def test_tags(call, make):
    url = make("jobs")
    call("TagQueue", QueueUrl=url, Tags={"team": "a", "stage": "test"})
    call("UntagQueue", QueueUrl=url, TagKeys=["stage", "none"])
    assert call("ListQueueTags", QueueUrl=url)["Tags"] == {"team": "a"}
    assert refused(call, "TagQueue", QueueUrl=url, Tags={"aws:x": "1"}) == "InvalidParameterValue"


def test_a_purge_empties_a_queue_and_the_sweep_its_place(call, make, take, platform, clock):
    url = make("jobs")
    call("SendMessage", QueueUrl=url, MessageBody="before")
    call("PurgeQueue", QueueUrl=url)
    assert take(url) == []
    assert refused(call, "PurgeQueue", QueueUrl=url) == "PurgeQueueInProgress"
    call("SendMessage", QueueUrl=url, MessageBody="after")
    sweep(platform, None)
    assert take(url) == ["after"]
    clock.advance(60)
    call("PurgeQueue", QueueUrl=url)


def test_a_deleted_queue_is_gone_with_its_messages(call, make, take, platform):
    url = make("jobs")
    call("SendMessage", QueueUrl=url, MessageBody="before")
    call("DeleteQueue", QueueUrl=url)
    call("DeleteQueue", QueueUrl=url)
    assert refused(call, "SendMessage", QueueUrl=url, MessageBody="x") == "QueueDoesNotExist"
    assert take(make("jobs")) == []
    sweep(platform, None)
    assert len(list(platform.kv("sqs").scan(b"p", b"q"))) == 0


def test_other_accounts_need_the_queues_leave(call, make, caller):
    url = make("jobs")
    other = partial(caller("sqs", "444455556666"), QueueUrl=url)
    with pytest.raises(AwsError, match="AccessDenied"):
        other("SendMessage", MessageBody="x")
    call("AddPermission", QueueUrl=url, Label="them", AWSAccountIds=["444455556666"], Actions=["SendMessage"])
    other("SendMessage", MessageBody="x")
    for operation, params in (("ReceiveMessage", {}), ("PurgeQueue", {})):
        with pytest.raises(AwsError, match="AccessDenied"):
            other(operation, **params)
    call("RemovePermission", QueueUrl=url, Label="them")
    with pytest.raises(AwsError, match="AccessDenied"):
        other("SendMessage", MessageBody="x")
    assert call("GetQueueAttributes", QueueUrl=url, AttributeNames=["Policy"]) == {}

"""Topics and subscriptions: what they are made of, and who may use them."""

import json
from functools import partial

import pytest

from clary.kernel.core.errors import AwsError


def refused(call, operation, **params):
    with pytest.raises(AwsError) as caught:
        call(operation, **params)
    return caught.value.code


def test_a_topic_is_made_once_and_says_what_it_is(call, topic):
    assert topic == "arn:aws:sns:eu-west-1:111122223333:news"
    assert call("CreateTopic", Name="news")["TopicArn"] == topic
    assert refused(call, "CreateTopic", Name="news", Attributes={"DisplayName": "x"}) == "InvalidParameter"
    call("SetTopicAttributes", TopicArn=topic, AttributeName="DisplayName", AttributeValue="News")
    found = call("GetTopicAttributes", TopicArn=topic)["Attributes"]
    assert (found["DisplayName"], found["Owner"]) == ("News", "111122223333")
    assert json.loads(found["EffectiveDeliveryPolicy"])["http"]["defaultHealthyRetryPolicy"]["numRetries"] == 3
    call("DeleteTopic", TopicArn=topic)
    call("DeleteTopic", TopicArn=topic)
    assert refused(call, "GetTopicAttributes", TopicArn=topic) == "NotFound"


@pytest.mark.parametrize(
    "params",
    [
        {"Name": "a b"},
        {"Name": "x.fifo"},
        {"Name": "x", "Attributes": {"FifoTopic": "true"}},
        {"Name": "x", "Attributes": {"KmsMasterKeyId": "k"}},
        {"Name": "x", "Attributes": {"Policy": "{"}},
        {"Name": "x", "Attributes": {"SignatureVersion": "3"}},
        {"Name": "x", "Attributes": {"ArchivePolicy": "{}"}},
    ],
)
def test_topics_that_make_no_sense(call, params):
    assert refused(call, "CreateTopic", **params) == "InvalidParameter"


def test_lists_page(call):
    arns = sorted(call("CreateTopic", Name=f"topic-{number:03}")["TopicArn"] for number in range(105))
    first = call("ListTopics")
    rest = call("ListTopics", NextToken=first["NextToken"])
    assert [each["TopicArn"] for each in [*first["Topics"], *rest["Topics"]]] == arns


def test_tags(call):
    arn = call("CreateTopic", Name="tagged", Tags=[{"Key": "a", "Value": "1"}])["TopicArn"]
    call("TagResource", ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}])
    call("UntagResource", ResourceArn=arn, TagKeys=["a"])
    assert call("ListTagsForResource", ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    assert refused(call, "ListTagsForResource", ResourceArn=arn + "-not") == "ResourceNotFound"


def test_subscriptions(call, topic, queue):
    arn, _ = queue("jobs")
    subscription = call("Subscribe", TopicArn=topic, Protocol="sqs", Endpoint=arn)["SubscriptionArn"]
    assert call("Subscribe", TopicArn=topic, Protocol="sqs", Endpoint=arn)["SubscriptionArn"] == subscription
    attributes = {"RawMessageDelivery": "true"}
    again = {"TopicArn": topic, "Protocol": "sqs", "Endpoint": arn, "Attributes": attributes}
    assert refused(call, "Subscribe", **again) == "InvalidParameter"
    call(
        "SetSubscriptionAttributes",
        SubscriptionArn=subscription,
        AttributeName="FilterPolicy",
        AttributeValue='{"a": ["b"]}',
    )
    found = call("GetSubscriptionAttributes", SubscriptionArn=subscription)["Attributes"]
    assert found["PendingConfirmation"] == "false"
    assert found["FilterPolicyScope"] == "MessageAttributes"
    assert [each["SubscriptionArn"] for each in call("ListSubscriptions")["Subscriptions"]] == [subscription]
    waiting = call("Subscribe", TopicArn=topic, Protocol="http", Endpoint="http://localhost:1/x")
    assert waiting["SubscriptionArn"] == "pending confirmation"
    listed = call("ListSubscriptionsByTopic", TopicArn=topic)["Subscriptions"]
    assert sorted(each["SubscriptionArn"] for each in listed) == ["PendingConfirmation", subscription]
    call("Unsubscribe", SubscriptionArn=subscription)
    call("Unsubscribe", SubscriptionArn=subscription)
    counts = call("GetTopicAttributes", TopicArn=topic)["Attributes"]
    assert [counts[f"Subscriptions{what}"] for what in ("Confirmed", "Pending", "Deleted")] == ["0", "1", "1"]


@pytest.mark.parametrize(
    ("protocol", "endpoint"),
    [
        ("email", "a@example.com"),
        ("sms", "+15550100"),
        ("pigeon", "x"),
        ("sqs", "http://localhost/q"),
        ("sqs", "arn:aws:sqs:eu-west-1:111122223333:x.fifo"),
        ("http", "https://localhost"),
        ("http", "http://local host/"),
        ("lambda", "arn:aws:sqs:eu-west-1:111122223333:x"),
        ("lambda", "arn:aws:lambda:eu-west-1:444455556666:function:theirs"),
        ("sqs", None),
    ],
)
def test_endpoints_that_are_refused(call, topic, protocol, endpoint):
    params = {"Endpoint": endpoint} if endpoint else {}
    assert refused(call, "Subscribe", TopicArn=topic, Protocol=protocol, **params) == "InvalidParameter"


def test_other_accounts_need_the_topics_leave(call, topic, caller):
    other = partial(caller("sns", "444455556666"), TopicArn=topic)
    with pytest.raises(AwsError, match="AuthorizationError"):
        other("Publish", Message="x")
    call("AddPermission", TopicArn=topic, Label="them", AWSAccountId=["444455556666"], ActionName=["Publish"])
    other("Publish", Message="x")
    with pytest.raises(AwsError, match="AuthorizationError"):
        other("DeleteTopic")
    call("RemovePermission", TopicArn=topic, Label="them")
    with pytest.raises(AwsError, match="AuthorizationError"):
        other("Publish", Message="x")

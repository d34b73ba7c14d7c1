"""The room through the registry, as a client's calls reach it, on a clock that the test moves."""

import pytest

from clary.kernel.core.clock import VirtualClock
from clary.kernel.core.settings import Settings
from clary.kernel.rooms import Platform
from clary.support.sns.reconcile import deliver

ACCOUNT, REGION = "111122223333", "eu-west-1"


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def platform(tmp_path, clock):
    opened = Platform(Settings.load({}, home=str(tmp_path)), clock)
    yield opened
    opened.close()


@pytest.fixture
def call(platform):
    """`call("Publish", ...)`: validated and authorised as a client's call is."""
    return lambda operation, **params: platform.call(ACCOUNT, REGION, "sns", operation, **params)


@pytest.fixture
def sqs(platform):
    return lambda operation, **params: platform.call(ACCOUNT, REGION, "sqs", operation, **params)


@pytest.fixture
def queue(sqs):
    """`queue("jobs")`: the ARN and URL of a new queue."""

    def make(name):
        attributes = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
        url = sqs("CreateQueue", QueueName=name, Attributes=attributes)["QueueUrl"]
        return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}", url

    return make


@pytest.fixture
def topic(call):
    """The ARN of a topic."""
    return call("CreateTopic", Name="news")["TopicArn"]


@pytest.fixture
def delivered(platform, sqs):
    """`delivered(url)`: the bodies that are in a queue once everything due has been delivered."""

    def take(url):
        deliver(platform, None)
        answer = sqs("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        messages = answer.get("Messages", [])
        for message in messages:
            sqs("DeleteMessage", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return [message["Body"] for message in messages]

    return take

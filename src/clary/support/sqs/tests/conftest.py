"""The room through the registry, as a client's calls reach it, on a clock that the test moves."""

import pytest

from clary.kernel.core.clock import VirtualClock
from clary.kernel.core.settings import Settings
from clary.kernel.rooms import Platform

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
    """`call("SendMessage", QueueUrl=url, ...)`: validated and authorised as a client's call is."""
    return lambda operation, **params: platform.call(ACCOUNT, REGION, "sqs", operation, **params)


@pytest.fixture
def make(call):
    """`make("jobs", VisibilityTimeout="5")`: the URL of a new queue."""

    def create(name, **attributes):
        if name.endswith(".fifo"):
            attributes["FifoQueue"] = "true"
        return call("CreateQueue", QueueName=name, Attributes=attributes)["QueueUrl"]

    return create


@pytest.fixture
def take(call):
    """`take(url)`: the bodies of what a receive of up to ten gives."""
    return lambda url, **how: [
        message["Body"]
        for message in call("ReceiveMessage", QueueUrl=url, **{"MaxNumberOfMessages": 10, **how}).get("Messages", ())
    ]

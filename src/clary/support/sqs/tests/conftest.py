"""The room through the registry, as a client's calls reach it, on a clock that the test moves."""

import pytest

from clary.kernel.core.clock import VirtualClock


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def call(caller):
    return caller("sqs")


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

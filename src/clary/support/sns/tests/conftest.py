"""The room through the registry, as a client's calls reach it, on a clock that the test moves."""

import pytest

from clary.kernel.core.clock import VirtualClock
from clary.support.sns.reconcile import deliver


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def call(caller):
    return caller("sns")


@pytest.fixture
def topic(call):
    """The ARN of a topic."""
    return call("CreateTopic", Name="news")["TopicArn"]


@pytest.fixture
def delivered(platform, received):
    """`delivered(url)`: the bodies that are in a queue once everything due has been delivered; they are gone then."""

    def take(url):
        deliver(platform, None)
        return [message["Body"] for message in received(url)]

    return take

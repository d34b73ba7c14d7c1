"""The room through the registry, as a client's calls reach it, on a clock that the test moves."""

import json

import pytest

from clary.kernel.core.clock import VirtualClock
from clary.kernel.core.settings import Settings
from clary.kernel.rooms import Platform
from clary.support.eventbridge.outbox import Outbox
from clary.support.eventbridge.reconcile import deliver

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
    """`call("PutEvents", ...)`: validated and authorised as a client's call is."""
    return lambda operation, **params: platform.call(ACCOUNT, REGION, "events", operation, **params)


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
def put(call):
    """`put({"n": 1})`: the id of an event of the source `shop` with this detail."""

    def one(detail, **entry):
        entry = {"Source": "shop", "DetailType": "order", "Detail": json.dumps(detail), **entry}
        (result,) = call("PutEvents", Entries=[entry])["Entries"]
        return result["EventId"]

    return one


@pytest.fixture
def run(platform):
    """Deliver everything that is due, and what that brings about on other buses."""

    def once():
        for _ in range(3):
            deliver(platform, None)
            for lane in Outbox(platform).waiting():
                deliver(platform, lane)

    return once


@pytest.fixture
def reconcile(platform):
    """`reconcile("sns")`: run another room's reconciler once."""

    def once(topic):
        (function,) = [function for period, function in platform.registry.reconcilers if period.topic == topic]
        function(platform, None)

    return once


@pytest.fixture
def taken(run, sqs):
    """`taken(url)`: the messages that are in a queue once everything due has been delivered; they are gone then."""

    def take(url):
        run()
        answer = sqs("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        messages = answer.get("Messages", [])
        for message in messages:
            sqs("DeleteMessage", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return messages

    return take


@pytest.fixture
def bodies(taken):
    return lambda url: [message["Body"] for message in taken(url)]

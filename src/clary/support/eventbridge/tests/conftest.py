"""The room through the registry, as a client's calls reach it, on a clock that the test moves."""

import json

import pytest

from clary.kernel.core.clock import VirtualClock
from clary.kernel.rooms.tests.in_process import reconcilers
from clary.support.eventbridge.outbox import Outbox
from clary.support.eventbridge.reconcile import deliver


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def call(caller):
    return caller("events")


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
    return lambda topic: reconcilers(platform)[topic](None)


@pytest.fixture
def taken(run, received):
    """`taken(url)`: the messages that are in a queue once everything due has been delivered; they are gone then."""

    def take(url):
        run()
        return received(url)

    return take


@pytest.fixture
def delivered(taken):
    """`delivered(url)`: their bodies."""
    return lambda url: [message["Body"] for message in taken(url)]

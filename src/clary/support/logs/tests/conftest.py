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
    """`call("CreateLogGroup", logGroupName="g")`: validated and authorised as a client's call is."""
    return lambda operation, **params: platform.call(ACCOUNT, REGION, "logs", operation, **params)

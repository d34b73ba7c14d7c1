"""The room through the registry, as a client's calls reach it, on a clock that the test moves."""

import pytest

from clary.kernel.core.clock import VirtualClock


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def call(caller):
    return caller("logs")

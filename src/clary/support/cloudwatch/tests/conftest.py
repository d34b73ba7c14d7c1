"""The room through the registry, as a client's calls reach it, on a clock that the test moves."""

import pytest

from clary.kernel.core.clock import VirtualClock


@pytest.fixture
def clock():
    """A clock that stands at the beginning of a minute."""
    return VirtualClock(1_750_000_020.0)


@pytest.fixture
def call(caller):
    return caller("cloudwatch")


@pytest.fixture
def put(call, clock):
    """`put("M", 1.0, ago=60)`: one datum of the namespace NS, so many seconds ago."""

    def put(name, value, ago=0.0, **datum):
        call(
            "PutMetricData",
            Namespace="NS",
            MetricData=[{"MetricName": name, "Value": value, "Timestamp": clock.now() - ago, **datum}],
        )

    return put

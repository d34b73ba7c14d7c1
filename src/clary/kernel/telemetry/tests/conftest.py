"""Logs and metrics on real storage, on a clock that the test moves."""

import pytest

from clary.kernel.core.clock import VirtualClock
from clary.kernel.kv import open_kv
from clary.kernel.telemetry import Logs, Metrics


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def kv(tmp_path):
    domain = open_kv(tmp_path, "telemetry")
    yield domain
    domain.close()


@pytest.fixture
def logs(kv, clock):
    return Logs(kv, clock)


@pytest.fixture
def metrics(kv, clock):
    return Metrics(kv, clock)

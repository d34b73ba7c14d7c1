"""Fixtures for every test, beside the code and under `tests/`: a real server, a bare kernel, names of one's own."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from clary.kernel.core.clock import Clock, SystemClock
from clary.kernel.core.ids import short_id
from clary.kernel.core.settings import Settings
from clary.kernel.rooms import Platform
from clary.kernel.rooms.tests.in_process import ACCOUNT, REGION, Call, Caller, calling
from clary.testing import Server, serving

# How long an example takes says how busy the machine is; what must be fast is measured by benchmarks. Where nothing may
# be skipped the examples are the same each time: that run judges a change, and chance looks for more elsewhere.
settings.register_profile(
    "house",
    deadline=None,
    derandomize=os.environ.get("CLARY_REQUIRE_ALL") == "1",
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("house")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One throw-away server for a test process; tests share it, so they name what they create with `unique`."""
    with serving(tmp_path_factory.mktemp("home"), "--ephemeral") as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    """The clock of `platform`: the machine's. Rooms whose tests move the time have one of their own instead."""
    return SystemClock()


@pytest.fixture
def platform(tmp_path: Path, clock: Clock) -> Iterator[Platform]:
    """A kernel over a fresh home, without processes."""
    opened = Platform(Settings.load({}, home=str(tmp_path / "home")), clock)
    yield opened
    opened.close()


@pytest.fixture
def caller(platform: Platform) -> Caller:
    """`caller("sqs")`: a client of a service of `platform`; see `calling`."""
    return partial(calling, platform)


@pytest.fixture
def sqs(caller: Caller) -> Call:
    return caller("sqs")


@pytest.fixture
def queue(sqs: Call) -> Callable[[str], tuple[str, str]]:
    """`queue("jobs")`: the ARN and URL of a new queue, for what a room sends."""

    def make(name: str) -> tuple[str, str]:
        attributes = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
        url = sqs("CreateQueue", QueueName=name, Attributes=attributes)["QueueUrl"]
        return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}", url

    return make


@pytest.fixture
def received(sqs: Call) -> Callable[[str], list[dict[str, Any]]]:
    """`received(url)`: the messages that are in a queue; they are gone then."""

    def take(url: str) -> list[dict[str, Any]]:
        answer = sqs("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        for message in messages:
            sqs("DeleteMessage", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return messages

    return take


@pytest.fixture
def unique() -> Callable[[str], str]:
    """Names that no other test uses: `unique("job")`."""
    return lambda prefix: f"{prefix}-{short_id(8)}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Where everything is required, a skip is a failure."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CLARY_REQUIRE_ALL") == "1":
        report.outcome = "failed"
        report.longrepr = f"CLARY_REQUIRE_ALL=1 allows no skip: {report.longrepr}"
    return report

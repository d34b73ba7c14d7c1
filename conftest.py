"""Fixtures for every test, beside the code and under `tests/`: a real server, a bare kernel, names of one's own."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from clary.kernel.core.ids import short_id
from clary.kernel.core.settings import Settings
from clary.kernel.rooms import Platform
from clary.testing import Server, serving

# How long an example takes says how busy the machine is; what must be fast is measured by benchmarks.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One throw-away server for a test process; tests share it, so they name what they create with `unique`."""
    with serving(tmp_path_factory.mktemp("home"), "--ephemeral") as running:
        yield running


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """A kernel over a fresh home, without processes."""
    opened = Platform(Settings.load({}, home=str(tmp_path / "home")))
    yield opened
    opened.close()


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

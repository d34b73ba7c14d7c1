"""A home with an executor, its objects, logs and metrics; once for every kind of executor."""

import json
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from clary.executors.process import ProcessExecutor
from clary.executors.process.bubblewrap import unavailable
from clary.kernel.core.clock import SystemClock
from clary.kernel.events import Alarm
from clary.kernel.jobs.contract import HostSpec, Kind, LogTarget, Observation, Phase, Wake
from clary.kernel.kv import open_kv
from clary.kernel.objects import open_objects
from clary.kernel.telemetry import Logs, Metrics

ACCOUNT, REGION, BUCKET = "111122223333", "eu-west-1", "work"
PATIENCE_SECONDS = 180.0

# Every test script can read ML, where the host sees /opt/ml; plain hosts see it elsewhere.
PREAMBLE = "import json, os, signal, sys, time\nML = os.environ.get('CLARY_ML_ROOT', '/opt/ml')\n"


@dataclass
class World:
    """One home as a test sees it."""

    home: Path
    executor: ProcessExecutor
    confined: bool
    alarm: Alarm
    clock: SystemClock = field(default_factory=SystemClock)

    def __post_init__(self) -> None:
        self.objects = open_objects(self.home, open_kv(self.home, "objects"), self.clock)
        self.objects.buckets.ensure(BUCKET, ACCOUNT, REGION)
        self.logs = Logs(open_kv(self.home, "logs"), self.clock)
        self.metrics = Metrics(open_kv(self.home, "metrics"), self.clock)

    def put(self, key: str, data: bytes | str) -> str:
        self.objects.put_bytes(BUCKET, key, data.encode() if isinstance(data, str) else data, account=ACCOUNT)
        return f"s3://{BUCKET}/{key}"

    def get(self, key: str) -> bytes:
        return self.objects.get_bytes(BUCKET, key)

    def keys(self, prefix: str) -> list[str]:
        return [found.key for found in self.objects.list(BUCKET, prefix)]

    def spec(self, script: str, **members: Any) -> HostSpec:
        """A host that runs a Python script, under a job name of its own."""
        job = members.pop("job", f"job-{secrets.token_hex(4)}")
        defaults: dict[str, Any] = {
            "host": "algo-1",
            "kind": Kind.TASK,
            "argv": ("python", "-c", PREAMBLE + script),
            "log": LogTarget("/test", job),
            "wake": Wake("test", job),
        }
        return HostSpec(job=job, account=ACCOUNT, region=REGION, **(defaults | members))

    def start(self, script: str, **members: Any) -> HostSpec:
        spec = self.spec(script, **members)
        self.executor.start(spec)
        return spec

    def run(self, script: str, **members: Any) -> Observation:
        return self.ended(self.start(script, **members))

    def observe(self, spec: HostSpec) -> Observation:
        """What is known of a host; one that a busy machine is slow to start is pending."""
        seen = self.executor.observe(spec.job, spec.host)
        if seen is None:
            assert (spec.job, spec.host) in self.executor.hosts()
            return Observation(spec.job, spec.host, Phase.PENDING)
        return seen

    def until(self, condition: Callable[[], Any]) -> Any:
        """Wait until the condition holds; look whenever something wakes us, and from time to time."""
        deadline = self.clock.monotonic() + PATIENCE_SECONDS
        while not (found := condition()):
            assert self.clock.monotonic() < deadline, "it never happened"
            self.alarm.wait(0.05)
        return found

    def ended(self, spec: HostSpec) -> Observation:
        self.until(lambda: self.observe(spec).ended)
        return self.observe(spec)

    def running(self, spec: HostSpec) -> Observation:
        self.until(lambda: self.observe(spec).phase is Phase.RUNNING or self.observe(spec).ended)
        assert self.observe(spec).phase is Phase.RUNNING, self.observe(spec)
        return self.observe(spec)

    def lines(self, spec: HostSpec) -> list[str]:
        """What is in the host's log stream."""
        assert spec.log is not None
        group = self.logs.get_group(ACCOUNT, REGION, spec.log.group)
        stream = self.logs.get_stream(group, spec.log.stream) if group else None
        if stream is None:
            return []
        found: list[str] = []
        part = self.logs.read(stream)
        while part.events:
            found += [event.message for event in part.events]
            part = self.logs.read(stream, at=part.after)
        return found

    def said(self, spec: HostSpec, text: str) -> None:
        """Wait until the host has printed a line with `text`."""
        self.until(lambda: any(text in line for line in self.lines(spec)) or self.observe(spec).ended)
        assert any(text in line for line in self.lines(spec)), self.observe(spec).reason

    def report(self, spec: HostSpec) -> Any:
        """The JSON that the host printed as its last line."""
        seen = self.ended(spec)
        assert seen.exit_code == 0, seen.reason
        return json.loads(self.lines(spec)[-1])

    def family(self, spec: HostSpec) -> list[psutil.Process]:
        """The shim and everything below it."""
        shim = psutil.Process(self.observe(spec).shim_pid)
        return [shim, *shim.children(recursive=True)]

    def vanish(self, family: list[psutil.Process]) -> None:
        """Wait until none of these processes lives."""
        _, alive = psutil.wait_procs(family, PATIENCE_SECONDS)
        assert not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture(scope="session", params=["bubblewrap", "plain"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    plain = request.param == "plain"
    if not plain and unavailable():
        pytest.skip(unavailable())
    home = Path(tempfile.mkdtemp(prefix="clary-jobs-"))
    executor = ProcessExecutor(home, plain=plain)
    executor.prepare()
    alarm = Alarm(home)
    try:
        yield World(home, executor, not plain, alarm)
    finally:
        executor.end_all(forget=True)
        executor.close()
        alarm.close()
        shutil.rmtree(home, ignore_errors=True)  # warm sandboxes may still be cleaning up behind themselves


@pytest.fixture
def confined(world: World) -> World:
    """A world whose executor has a real sandbox; the tests that ask for it are not collected for plain processes."""
    assert world.confined
    return world


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A plain process confines nothing, and says so: there is nothing to hold it to."""
    outside = [item for item in items if "confined" in getattr(item, "fixturenames", ()) and _is_plain(item)]
    if outside:
        config.hook.pytest_deselected(items=outside)
        items[:] = [item for item in items if item not in set(outside)]


def _is_plain(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and item.callspec.params.get("world") == "plain"

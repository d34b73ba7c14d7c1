"""A home in which jobs of one kind really run, with a controller of its own that tests start, stop, and crash."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

from clary.kernel.core.errors import AwsError
from clary.kernel.core.settings import Settings
from clary.kernel.events import Alarm
from clary.kernel.jobs.contract import Executor
from clary.kernel.jobs.slots import Slots
from clary.kernel.reconcile import Loop, Reconciler
from clary.kernel.rooms import Platform
from clary.kernel.rooms.tests.crossings import burning, fuses, survive
from clary.kernel.rooms.tests.in_process import calling, reconcilers
from clary.testing import eventually

ACCOUNT, REGION = "000000000000", "us-east-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/any-role"
ENDED = frozenset({"Completed", "Failed", "Stopped"})


class JobWorld:
    """One home with data in S3, and the executor that it is given.

    A room says what its jobs are: `kind` as in `Create{kind}Job`, the `topic` of its reconciler, and a `bucket`.
    """

    kind: ClassVar[str]
    topic: ClassVar[str]
    bucket: ClassVar[str]

    def __init__(self, home: Path, executor: Executor) -> None:
        self.platform = Platform(Settings.load({}, home=str(home), slots_cpus=4))
        self.platform.executor = self.executor = executor
        self.platform.objects.buckets.create(self.bucket, ACCOUNT, REGION)
        self.call = calling(self.platform, "sagemaker", ACCOUNT, REGION)
        self.reconcile = reconcilers(self.platform)[self.topic]
        self._controller: tuple[Loop, threading.Thread] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_controller()
        self.executor.end_all(forget=True)
        self.executor.close()
        self.platform.close()

    def start_controller(self) -> None:
        alarm = Alarm(self.platform.settings.home)
        loop = Loop([Reconciler(self.topic, self.reconcile, every_seconds=1.0)], alarm, self.platform.clock)

        def drive() -> None:
            loop.run()
            alarm.close()

        thread = threading.Thread(target=drive)
        self._controller = loop, thread
        thread.start()

    def stop_controller(self) -> None:
        if self._controller is not None:
            loop, thread = self._controller
            loop.stop()
            thread.join()
            self._controller = None

    def describe(self, name: str) -> dict[str, Any]:
        return self.call(f"Describe{self.kind}Job", **{f"{self.kind}JobName": name})

    def status(self, name: str) -> str:
        return str(self.describe(name)[f"{self.kind}JobStatus"])

    def ended(self, name: str) -> dict[str, Any]:
        """The job's description, once it has ended."""
        eventually(lambda: self.status(name) in ENDED)
        return self.describe(name)

    def streams(self, name: str) -> dict[str, list[str]]:
        """What each host of a job printed, by log stream."""
        found: dict[str, list[str]] = {}
        for event in self._logged(name):
            found.setdefault(event["logStreamName"], []).append(event["message"])
        return found

    def lines(self, name: str) -> list[str]:
        """What all hosts of a job printed."""
        return [event["message"] for event in self._logged(name)]

    def _logged(self, name: str) -> list[dict[str, Any]]:
        logs = calling(self.platform, "logs", ACCOUNT, REGION)
        group = f"/aws/sagemaker/{self.kind}Jobs"
        try:
            events = logs("FilterLogEvents", logGroupName=group, logStreamNamePrefix=f"{name}/")["events"]
        except AwsError:
            return []  # nobody has logged anything yet
        return list(events)

    def slots(self) -> list[str]:
        """Who holds slots."""
        return list(Slots(self.platform.store, self.platform.clock, self.platform.settings).owners())

    def put(self, key: str, data: bytes) -> str:
        self.platform.objects.put_bytes(self.bucket, key, data)
        return f"s3://{self.bucket}/{key}"

    def get(self, key: str) -> bytes:
        return self.platform.objects.get_bytes(self.bucket, key)

    def keys(self, prefix: str) -> list[str]:
        return [listed.key for listed in self.platform.objects.list(self.bucket, prefix)]


def crash_everywhere(world: JobWorld, create: Callable[[str], None], check: Callable[[str], None]) -> None:
    """Drive job after job through controllers of which one dies, before or after each write and call of the executor.

    `create` makes a job by its name, `check` looks at what it left once it is complete.
    """
    world.executor.prepare()
    for fuse in fuses(10):
        name = f"crash-{fuse.burns_at}"
        create(name)

        def has_ended(name: str = name) -> bool:
            survive(world.reconcile, (f"{ACCOUNT}/{REGION}/{name}", None))
            return world.status(name) in ENDED

        with burning(world.platform, fuse):
            eventually(has_ended)
            world.reconcile(None)
        assert world.status(name) == "Completed", (name, world.describe(name).get("FailureReason"))
        check(name)
        assert (world.executor.hosts(), world.slots()) == ([], []), name

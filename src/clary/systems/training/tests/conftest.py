"""A kernel with a real executor and a controller of its own, which tests can start and stop."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clary.executors.process import ProcessExecutor
from clary.executors.process.bubblewrap import unavailable
from clary.kernel.core.errors import AwsError
from clary.kernel.core.settings import Settings
from clary.kernel.events import Alarm
from clary.kernel.reconcile import Loop, Reconciler
from clary.kernel.rooms import Platform
from clary.systems.training.reconcile import reconcile

ACCOUNT = "000000000000"
REGION = "us-east-1"
BUCKET = "training-data"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/any-role"
IMAGE = "python:3.12"
PATIENCE_SECONDS = 60.0


class World:
    """One home with data in S3. Jobs run `bash` scripts, so that they are quick and say what they see."""

    def __init__(self, home: Path) -> None:
        if unavailable():
            pytest.skip(f"these jobs look into /opt/ml: {unavailable()}")
        self.platform = Platform(Settings.load({}, home=str(home), slots_cpus=4))
        self.executor = ProcessExecutor(home)
        self.platform.executor = self.executor
        self.platform.objects.buckets.create(BUCKET, ACCOUNT, REGION)
        self._loop: Loop | None = None
        self._thread: threading.Thread | None = None

    def start_controller(self) -> None:
        alarm = Alarm(self.platform.settings.home)
        run = Reconciler("training", lambda key: reconcile(self.platform, key), every_seconds=1.0)
        loop = Loop([run], alarm, self.platform.clock)

        def drive() -> None:
            loop.run()
            alarm.close()

        self._loop, self._thread = loop, threading.Thread(target=drive)
        self._thread.start()

    def stop_controller(self) -> None:
        if self._loop is not None and self._thread is not None:
            self._loop.stop()
            self._thread.join()
            self._loop = None

    def close(self) -> None:
        self.stop_controller()
        self.executor.end_all(forget=True)
        self.executor.close()
        self.platform.close()

    def call(self, operation: str, **params: Any) -> dict[str, Any]:
        return self.platform.call(ACCOUNT, REGION, "sagemaker", operation, **params)

    def create(self, name: str, script: str = "", **members: Any) -> None:
        """A training job that runs a bash script under `set -e`, from a channel of its own."""
        asked = request(name, **members)
        if script:
            uri = self.put(f"scripts/{name}/run", script.encode())
            asked["InputDataConfig"] = [*asked.get("InputDataConfig", []), channel("code", uri)]
            asked["AlgorithmSpecification"] |= {"ContainerEntrypoint": ["bash", "-e", "/opt/ml/input/data/code/run"]}
        self.call("CreateTrainingJob", **asked)

    def describe(self, name: str) -> dict[str, Any]:
        return self.call("DescribeTrainingJob", TrainingJobName=name)

    def ended(self, name: str) -> dict[str, Any]:
        """The job's description, once it has ended."""
        return self.until(name, lambda job: job["TrainingJobStatus"] in {"Completed", "Failed", "Stopped"})

    def until(self, name: str, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def look() -> bool:
            found.update(self.describe(name))
            return reached(found)

        wait_until(look)
        return found

    def lines(self, name: str) -> list[str]:
        """What all hosts of a job printed."""
        try:
            logs = self.platform.call(
                ACCOUNT, REGION, "logs", "FilterLogEvents",
                logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{name}/",
            )  # fmt: skip
        except AwsError:
            return []  # nobody has logged anything yet
        return [event["message"] for event in logs["events"]]  # type: ignore[attr-defined]

    def put(self, key: str, data: bytes) -> str:
        self.platform.objects.put_bytes(BUCKET, key, data)
        return f"s3://{BUCKET}/{key}"

    def get(self, key: str) -> bytes:
        return self.platform.objects.get_bytes(BUCKET, key)

    def keys(self, prefix: str) -> list[str]:
        return [listed.key for listed in self.platform.objects.list(BUCKET, prefix)]


def request(name: str, **members: Any) -> dict[str, Any]:
    return {
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        **members,
    }


def channel(name: str, uri: str, *, source: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
    place = {"S3DataType": "S3Prefix", "S3Uri": uri, **(source or {})}
    return {"ChannelName": name, "DataSource": {"S3DataSource": place}, **members}


def wait_until(reached: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    pause = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if reached():
            return
        pause.wait(0.02)
    raise AssertionError(f"not reached within {seconds} s")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world with its controller running, shared by the tests of a module: name what you create differently."""
    made = World(tmp_path_factory.mktemp("world"))
    made.executor.prepare()
    made.start_controller()
    yield made
    made.close()


@pytest.fixture
def still_world(tmp_path: Path) -> Iterator[World]:
    """A world of one's own whose controller is not running."""
    made = World(tmp_path / "home")
    yield made
    made.close()

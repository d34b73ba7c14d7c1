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
from clary.support.processing.reconcile import reconcile
from clary.testing import eventually

ACCOUNT = "000000000000"
REGION = "us-east-1"
BUCKET = "processing-data"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/any-role"
IMAGE = "python:3.12"
CODE = "/opt/ml/processing/input/code"
ENDED = {"Completed", "Failed", "Stopped"}


class World:
    """One home with data in S3. Jobs run `bash` or Python scripts that say what they see."""

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
        run = Reconciler("processing", lambda key: reconcile(self.platform, key), every_seconds=1.0)
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

    def create(self, name: str, script: str, *, python: bool = False, arguments: Any = (), **members: Any) -> None:
        """A processing job that runs a bash script under `set -e`, or a Python script, from an input of its own."""
        file = "run.py" if python else "run.sh"
        uri = self.put(f"scripts/{name}/{file}", script.encode())
        entrypoint = ["python3", f"{CODE}/{file}"] if python else ["bash", "-e", f"{CODE}/{file}"]
        asked = request(name, **members)
        asked["ProcessingInputs"] = [s3_input("code", uri, CODE), *asked.get("ProcessingInputs", [])]
        asked["AppSpecification"] = {"ImageUri": IMAGE, "ContainerEntrypoint": entrypoint}
        if arguments:
            asked["AppSpecification"]["ContainerArguments"] = list(arguments)
        self.call("CreateProcessingJob", **asked)

    def describe(self, name: str) -> dict[str, Any]:
        return self.call("DescribeProcessingJob", ProcessingJobName=name)

    def ended(self, name: str) -> dict[str, Any]:
        """The job's description, once it has ended."""

        def look() -> dict[str, Any] | None:
            found = self.describe(name)
            return found if found["ProcessingJobStatus"] in ENDED else None

        return eventually(look)  # type: ignore[no-any-return]

    def lines(self, name: str) -> list[str]:
        """What all hosts of a job printed."""
        try:
            logs = self.platform.call(
                ACCOUNT, REGION, "logs", "FilterLogEvents",
                logGroupName="/aws/sagemaker/ProcessingJobs", logStreamNamePrefix=f"{name}/",
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


def request(name: str, *, hosts: int = 1, **members: Any) -> dict[str, Any]:
    cluster = {"InstanceType": "ml.t3.medium", "InstanceCount": hosts, "VolumeSizeInGB": 1}
    return {
        "ProcessingJobName": name,
        "RoleArn": ROLE,
        "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["true"]},
        "ProcessingResources": {"ClusterConfig": cluster},
        **members,
    }


def s3_input(name: str, uri: str, path: str, **members: Any) -> dict[str, Any]:
    return {"InputName": name, "S3Input": {"S3Uri": uri, "LocalPath": path, "S3DataType": "S3Prefix", **members}}


def s3_outputs(uri: str, path: str, mode: str = "EndOfJob") -> dict[str, Any]:
    target = {"S3Uri": uri, "LocalPath": path, "S3UploadMode": mode}
    return {"Outputs": [{"OutputName": "out", "S3Output": target}]}


def wait_until(reached: Callable[[], bool]) -> None:
    eventually(reached)


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

"""A kernel with a real executor and a controller of its own, and models to transform with."""

import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clary.executors.process import ProcessExecutor
from clary.kernel.core.errors import AwsError
from clary.kernel.core.settings import Settings
from clary.kernel.events import Alarm
from clary.kernel.reconcile import Loop, Reconciler
from clary.kernel.rooms import Platform
from clary.systems.batch_transform.reconcile import reconcile

ACCOUNT = "000000000000"
REGION = "us-east-1"
BUCKET = "transform-data"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/any-role"
PYTHON_IMAGE = "python:3.12"
PATIENCE_SECONDS = 90.0

# Doubles the numbers of each line; refuses what is none, and never ends with what says "hang".
DOUBLING = """
import threading

def model_fn(folder):
    return 2

def transform_fn(model, body, content_type, accept):
    if "hang" in body:
        threading.Event().wait()
    return "".join(f"{model * float(line)}\\n" for line in body.splitlines()), "text/csv"
"""


class World:
    """One home with data in S3 and a model `doubling`."""

    def __init__(self, home: Path, *, controlled: bool = True) -> None:
        self.platform = Platform(Settings.load({}, home=str(home), slots_cpus=4))
        self.executor = ProcessExecutor(home)
        self.platform.executor = self.executor
        self.platform.objects.buckets.create(BUCKET, ACCOUNT, REGION)
        self.script_model("doubling", DOUBLING)
        self._loop: Loop | None = None
        self._thread: threading.Thread | None = None
        if controlled:
            self._start_controller()

    def _start_controller(self) -> None:
        alarm = Alarm(self.platform.settings.home)
        run = Reconciler("batch_transform", lambda key: reconcile(self.platform, key), every_seconds=1.0)
        loop = Loop([run], alarm, self.platform.clock)

        def drive() -> None:
            loop.run()
            alarm.close()

        self._loop, self._thread = loop, threading.Thread(target=drive)
        self._thread.start()

    def close(self) -> None:
        if self._loop is not None and self._thread is not None:
            self._loop.stop()
            self._thread.join()
        self.executor.end_all(forget=True)
        self.executor.close()
        self.platform.close()

    def call(self, operation: str, **params: Any) -> dict[str, Any]:
        return self.platform.call(ACCOUNT, REGION, "sagemaker", operation, **params)

    def model(self, name: str, image: str, files: dict[str, bytes], **environment: str) -> None:
        """A model whose archive holds these files."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for path, data in files.items():
                entry = tarfile.TarInfo(path)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        uri = self.put(f"models/{name}.tar.gz", packed.getvalue())
        container = {"Image": image, "ModelDataUrl": uri, "Environment": environment}
        self.call("CreateModel", ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)

    def pipeline(self, name: str, *models: str) -> None:
        """A model whose containers are those of other models, in this order."""
        containers = [self.call("DescribeModel", ModelName=one)["PrimaryContainer"] for one in models]
        self.call("CreateModel", ModelName=name, ExecutionRoleArn=ROLE, Containers=containers)

    def script_model(self, name: str, script: str) -> None:
        self.model(name, PYTHON_IMAGE, {"code/inference.py": script.encode()}, SAGEMAKER_PROGRAM="inference.py")

    def create(self, name: str, prefix: str, **members: Any) -> None:
        self.call("CreateTransformJob", **request(name, f"s3://{BUCKET}/{prefix}", **members))

    def describe(self, name: str) -> dict[str, Any]:
        return self.call("DescribeTransformJob", TransformJobName=name)

    def ended(self, name: str) -> dict[str, Any]:
        """The job's description, once it has ended."""
        wait_until(lambda: self.describe(name)["TransformJobStatus"] in {"Completed", "Failed", "Stopped"})
        return self.describe(name)

    def completed(self, name: str) -> None:
        job = self.ended(name)
        assert job["TransformJobStatus"] == "Completed", job.get("FailureReason")

    def streams(self, name: str) -> dict[str, list[str]]:
        """What each host of a job printed, by log stream."""
        found: dict[str, list[str]] = {}
        try:
            logs: Any = self.platform.call(
                ACCOUNT, REGION, "logs", "FilterLogEvents",
                logGroupName="/aws/sagemaker/TransformJobs", logStreamNamePrefix=f"{name}/",
            )  # fmt: skip
        except AwsError:
            return found  # nobody has logged anything yet
        for event in logs["events"]:
            found.setdefault(event["logStreamName"], []).append(event["message"])
        return found

    def put(self, key: str, data: bytes) -> str:
        self.platform.objects.put_bytes(BUCKET, key, data)
        return f"s3://{BUCKET}/{key}"

    def get(self, key: str) -> bytes:
        return self.platform.objects.get_bytes(BUCKET, key)

    def keys(self, prefix: str) -> list[str]:
        return [listed.key for listed in self.platform.objects.list(BUCKET, prefix)]


def request(name: str, uri: str, **members: Any) -> dict[str, Any]:
    """A job over the lines of text/csv below `uri`. Members replace these, or are merged into them."""
    asked: dict[str, Any] = {
        "TransformJobName": name,
        "ModelName": "doubling",
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}},
            "ContentType": "text/csv",
            "SplitType": "Line",
        },
        "TransformOutput": {"S3OutputPath": f"s3://{BUCKET}/out/{name}", "AssembleWith": "Line"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        "ModelClientConfig": {"InvocationsMaxRetries": 0},
    }
    for member, value in members.items():
        asked[member] = {**asked[member], **value} if member in asked and isinstance(value, dict) else value
    return asked


def wait_until(reached: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    pause = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if reached():
            return
        pause.wait(0.05)
    raise AssertionError(f"not reached within {seconds} s")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Shared by the tests of a module: name what you create differently."""
    made = World(tmp_path_factory.mktemp("world"))
    yield made
    made.close()

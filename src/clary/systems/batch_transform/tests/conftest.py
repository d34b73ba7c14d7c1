"""A world of transform jobs, models to transform with, and requests."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clary.executors.process import ProcessExecutor
from clary.kernel.jobs.contract import Observation
from clary.kernel.rooms.tests.worlds import ROLE, JobWorld

BUCKET = "transform-data"
PYTHON_IMAGE = "python:3.12"

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


class World(JobWorld):
    """It has a model `doubling`."""

    kind, topic, bucket = "Transform", "batch_transform", BUCKET

    def __init__(self, home: Path) -> None:
        super().__init__(home, ProcessExecutor(home))
        self.script_model("doubling", DOUBLING)

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

    def observed(self, place: tuple[str, str]) -> Observation | None:
        """What is known of a host, as `executor.hosts` names it."""
        return self.executor.observe(*place)

    def completed(self, name: str) -> None:
        job = self.ended(name)
        assert job["TransformJobStatus"] == "Completed", job.get("FailureReason")


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


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world with its controller running, shared by the tests of a module: name what you create differently."""
    with World(tmp_path_factory.mktemp("world")) as made:
        made.executor.prepare()
        made.start_controller()
        yield made


@pytest.fixture
def still_world(tmp_path: Path) -> Iterator[World]:
    """A world of one's own whose controller is not running."""
    with World(tmp_path / "home") as made:
        yield made

"""A world of processing jobs, and requests for them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clary.executors.process import ProcessExecutor
from clary.executors.process.bubblewrap import unavailable
from clary.kernel.rooms.tests.worlds import ROLE, JobWorld

BUCKET = "processing-data"
IMAGE = "python:3.12"
CODE = "/opt/ml/processing/input/code"


class World(JobWorld):
    """Its jobs run `bash` or Python scripts that say what they see."""

    kind, topic, bucket = "Processing", "processing", BUCKET

    def __init__(self, home: Path) -> None:
        if unavailable():
            pytest.skip(f"these jobs look into /opt/ml: {unavailable()}")
        super().__init__(home, ProcessExecutor(home))

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

"""A world of training jobs, and requests for them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clary.executors.process import ProcessExecutor
from clary.executors.process.bubblewrap import unavailable
from clary.kernel.rooms.tests.worlds import ROLE, JobWorld

BUCKET = "training-data"
IMAGE = "python:3.12"


class World(JobWorld):
    """Its jobs run `bash` scripts, so that they are quick and say what they see."""

    kind, topic, bucket = "Training", "training", BUCKET

    def __init__(self, home: Path) -> None:
        if unavailable():
            pytest.skip(f"these jobs look into /opt/ml: {unavailable()}")
        super().__init__(home, ProcessExecutor(home))

    def create(self, name: str, script: str = "", **members: Any) -> None:
        """A training job that runs a bash script under `set -e`, from a channel of its own."""
        asked = request(name, **members)
        if script:
            uri = self.put(f"scripts/{name}/run", script.encode())
            asked["InputDataConfig"] = [*asked.get("InputDataConfig", []), channel("code", uri)]
            asked["AlgorithmSpecification"] |= {"ContainerEntrypoint": ["bash", "-e", "/opt/ml/input/data/code/run"]}
        self.call("CreateTrainingJob", **asked)


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

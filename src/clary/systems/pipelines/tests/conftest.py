"""A kernel on a virtual clock, whose wake-ups are followed at once and in order."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clary.kernel.core.clock import VirtualClock
from clary.kernel.core.settings import Settings
from clary.kernel.rooms import Platform

ACCOUNT = "000000000000"
REGION = "us-east-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/any-role"
IMAGE = "python:3.12"


class World:
    """One home, and calls into it."""

    def __init__(self, home: Path) -> None:
        self.clock = VirtualClock()
        self.platform = Platform(Settings.load({}, home=str(home), slots_cpus=1000), self.clock)

    def call(self, operation: str, **params: Any) -> dict[str, Any]:
        answer: Any = self.platform.call(ACCOUNT, REGION, "sagemaker", operation, **params)
        return dict(answer)

    def create(self, name: str, *steps: dict[str, Any], **members: Any) -> str:
        """Create a pipeline of steps; `parameters` are its parameters. Returns its ARN."""
        document = definition(*steps, parameters=members.pop("parameters", ()))
        request = {"ClientRequestToken": token(f"create {name}"), "RoleArn": ROLE, "PipelineDefinition": document}
        return str(self.call("CreatePipeline", PipelineName=name, **request | members)["PipelineArn"])


def token(text: str) -> str:
    return f"{text:-<32}"


def definition(*steps: dict[str, Any], parameters: Any = ()) -> str:
    return json.dumps({"Version": "2020-12-01", "Parameters": list(parameters), "Steps": list(steps)})


def fail(name: str = "End", message: Any = "over", **members: Any) -> dict[str, Any]:
    return {"Name": name, "Type": "Fail", "Arguments": {"ErrorMessage": message}, **members}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.platform.close()

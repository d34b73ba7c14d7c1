"""A kernel on a virtual clock, whose wake-ups are followed at once and in order, and whose jobs end when told to."""

import json
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clary.kernel.core.clock import VirtualClock
from clary.kernel.core.settings import Settings
from clary.kernel.jobs.contract import Failure, HostSpec, Kind, Observation, Outcome, Phase
from clary.kernel.jobs.tests.scripted import ScriptedExecutor
from clary.kernel.objects.uri import parse_s3_uri
from clary.kernel.rooms import Platform
from clary.kernel.rooms.tests.in_process import calling, reconcilers
from clary.systems.pipelines.notices import notices_of

ACCOUNT = "000000000000"
REGION = "us-east-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/any-role"
IMAGE = "python:3.12"
BUCKET = "pipelines"
DRIVEN = ("training", "processing", "batch_transform", "endpoints", "pipelines-observer", "pipelines")

_RESOURCES = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}


class Hosts(ScriptedExecutor):
    """Hosts that run until they are told how to end, or that end at once."""

    def __init__(self, platform: Platform) -> None:
        super().__init__()
        self._platform = platform
        self._clock = platform.clock
        self.ends_at_once = True
        self.fails: Callable[[HostSpec], str] = lambda _: ""
        self.started: list[str] = []
        self._specs: dict[tuple[str, str], HostSpec] = {}

    def at_start(self, spec: HostSpec) -> Observation:
        self.started.append(spec.job)
        self._specs[spec.job, spec.host] = spec
        if spec.kind is not Kind.SERVICE and self.ends_at_once:
            return self._end(spec, self.fails(spec))
        running = Observation(spec.job, spec.host, Phase.RUNNING, {Phase.RUNNING: self._clock.now()})
        return replace(running, healthy=True, socket="/nowhere") if spec.kind is Kind.SERVICE else running

    def end(self, name: str, reason: str = "") -> None:
        """End the hosts whose job's name has this in it."""
        for key, seen in self.seen.items():
            if name in key[0] and not seen.ended:
                spec = self._specs[key]
                self.seen[key] = self._end(spec, reason or self.fails(spec))

    def stop(self, job: str, host: str) -> None:
        if not self.seen[job, host].ended:
            self.seen[job, host] = self._end(self._specs[job, host], "", Outcome.STOPPED)

    def _end(self, spec: HostSpec, reason: str, outcome: Outcome | None = None) -> Observation:
        """Store what the host leaves, wake whoever waits for it, and return what is seen of it then."""
        stored = [output.uri for output in spec.outputs if output.archive]
        for uri in stored:
            self._platform.objects.put_bytes(*parse_s3_uri(uri), b"packed")
        if spec.wake is not None:
            self._platform.wake(spec.wake.topic, spec.wake.key)
        return Observation(
            spec.job,
            spec.host,
            Phase.ENDED,
            {Phase.RUNNING: self._clock.now(), Phase.ENDED: self._clock.now()},
            outcome=outcome or (Outcome.FAILED if reason else Outcome.COMPLETED),
            exit_code=1 if reason else 0,
            failure=Failure.ALGORITHM if reason else None,
            reason=reason,
            outputs=tuple(stored),
        )


class World:
    """One home, calls into it, and a controller that runs when `settle` is called."""

    def __init__(self, home: Path) -> None:
        self.clock = VirtualClock()
        self.platform = Platform(Settings.load({}, home=str(home), slots_cpus=1000, ephemeral=True), self.clock)
        self.executor = Hosts(self.platform)
        self.platform.executor = self.executor
        self.platform.objects.buckets.create(BUCKET, ACCOUNT, REGION)
        self.call = calling(self.platform, "sagemaker", ACCOUNT, REGION)
        self._woken: deque[tuple[str, str | None]] = deque()
        self._reconcilers = reconcilers(self.platform)
        vars(self.platform)["_waker"] = self
        self.around: Callable[[str], AbstractContextManager[None]] = lambda _: nullcontext()

    def wake(self, topic: str, key: str | None = None) -> None:
        """What the platform calls to wake: remembered until `settle`."""
        if (topic, key) not in self._woken:
            self._woken.append((topic, key))

    def settle(self) -> None:
        """Reconcile until nobody wakes anybody any more."""
        for _ in range(10_000):
            if not self._woken:
                return
            topic, key = self._woken.popleft()
            if topic not in DRIVEN:
                continue
            with self.around(topic):
                self._reconcilers[topic](key)
        raise AssertionError("it never settles")

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and the period of the reconcilers with it."""
        self.clock.advance(seconds)
        self.wake("pipelines")
        self.settle()

    def restart(self) -> None:
        """Forget what a controller holds in memory."""
        self._woken.clear()
        notices_of.end(self.platform)
        for topic in DRIVEN:
            self.wake(topic)

    def create(self, name: str, *steps: dict[str, Any], **members: Any) -> str:
        """Create a pipeline of steps; `parameters` are its parameters. Returns its ARN."""
        document = definition(*steps, parameters=members.pop("parameters", ()))
        request = {"ClientRequestToken": token(f"create {name}"), "RoleArn": ROLE, "PipelineDefinition": document}
        return str(self.call("CreatePipeline", PipelineName=name, **request | members)["PipelineArn"])

    def start(self, name: str, number: int = 1, **members: Any) -> str:
        """Start an execution, the `number`th, and return its ARN."""
        request = {"ClientRequestToken": token(f"start {name} {number}"), **members}
        return str(self.call("StartPipelineExecution", PipelineName=name, **request)["PipelineExecutionArn"])

    def run(self, name: str, number: int = 1, **members: Any) -> str:
        """Start an execution and let it go as far as it will."""
        arn = self.start(name, number, **members)
        self.settle()
        return arn

    def status(self, arn: str) -> str:
        return str(self.call("DescribePipelineExecution", PipelineExecutionArn=arn)["PipelineExecutionStatus"])

    def steps(self, arn: str) -> dict[str, dict[str, Any]]:
        """The steps that have begun, in their order, by name."""
        listed = self.call(
            "ListPipelineExecutionSteps", PipelineExecutionArn=arn, MaxResults=100, SortOrder="Ascending"
        )
        return {each["StepName"]: each for each in listed["PipelineExecutionSteps"]}

    def statuses(self, arn: str) -> dict[str, str]:
        return {name: step["StepStatus"] for name, step in self.steps(arn).items()}

    def put(self, key: str, document: Any) -> str:
        self.platform.objects.put_bytes(BUCKET, key, json.dumps(document).encode())
        return f"s3://{BUCKET}/{key}"


def token(text: str) -> str:
    return f"{text:-<32}"


def definition(*steps: dict[str, Any], parameters: Any = ()) -> str:
    return json.dumps({"Version": "2020-12-01", "Parameters": list(parameters), "Steps": list(steps)})


def parameter(name: str, type_: str = "String", default: Any = None) -> dict[str, Any]:
    return {"Name": name, "Type": type_} | ({} if default is None else {"DefaultValue": default})


def fail(name: str = "End", message: Any = "over", **members: Any) -> dict[str, Any]:
    return {"Name": name, "Type": "Fail", "Arguments": {"ErrorMessage": message}, **members}


def train(name: str, *after: str, arguments: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
    """A training step that runs after others."""
    request = {
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
        "ResourceConfig": _RESOURCES,
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "RoleArn": ROLE,
        **(arguments or {}),
    }
    return {"Name": name, "Type": "Training", "Arguments": request, "DependsOn": list(after), **members}


def condition(name: str, left: Any, right: Any, *, then: Any = (), otherwise: Any = (), **members: Any) -> Any:
    comparison = {"Type": "GreaterThanOrEqualTo", "LeftValue": left, "RightValue": right}
    branches = {"IfSteps": list(then), "ElseSteps": list(otherwise)}
    return {"Name": name, "Type": "Condition", "Arguments": {"Conditions": [comparison], **branches}, **members}


def model(name: str, *after: str, **members: Any) -> dict[str, Any]:
    """A step that makes a model: done at once, and cheap."""
    request = {"ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": IMAGE}}
    return {"Name": name, "Type": "Model", "Arguments": request, "DependsOn": list(after), **members}


def get(path: str) -> dict[str, str]:
    return {"Get": path}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.platform.close()

"""Variants to scale: on a kernel with a clock that the test moves, whose servers start at once."""

from typing import Any

import pytest

from clary.kernel.core.clock import VirtualClock
from clary.kernel.jobs.contract import Failure, HostSpec, Observation, Outcome, Phase
from clary.kernel.jobs.tests.scripted import ScriptedExecutor
from clary.kernel.rooms import Platform
from clary.kernel.rooms.tests.in_process import ACCOUNT, REGION, calling, reconcilers
from clary.kernel.telemetry.metrics import Datum

DIMENSION = "sagemaker:variant:DesiredInstanceCount"
RESOURCE = "endpoint/e/variant/v"
TARGET = {"ServiceNamespace": "sagemaker", "ResourceId": RESOURCE, "ScalableDimension": DIMENSION}
XGBOOST = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"


class Machines(ScriptedExecutor):
    """Its hosts are healthy as soon as they are started; those that start while it is `broken` end."""

    broken = False

    def at_start(self, spec: HostSpec) -> Observation:
        if self.broken:
            how = {"outcome": Outcome.FAILED, "failure": Failure.CLIENT, "reason": "no such model"}
            return Observation(spec.job, spec.host, Phase.ENDED, **how)
        return Observation(spec.job, spec.host, Phase.RUNNING, {Phase.RUNNING: 0.0}, healthy=True, socket="/s")

    def stop(self, job: str, host: str) -> None:
        self.forget(job, host)


class World:
    """One endpoint `e` with a variant `v`, the rooms that drive it, and the clock."""

    def __init__(self, platform: Platform, clock: VirtualClock) -> None:
        self.platform = platform
        self.clock = clock
        self.machines = Machines()
        platform.executor = self.machines
        self.reconcilers = reconcilers(platform)

    def call(self, operation: str, service: str = "application-autoscaling", **params: Any) -> dict[str, Any]:
        return calling(self.platform, service)(operation, **params)

    def deploy(self, count: int, **config: Any) -> None:
        container = {"Image": XGBOOST}
        role = f"arn:aws:iam::{ACCOUNT}:role/Anything"
        self.call("CreateModel", "sagemaker", ModelName="m", PrimaryContainer=container, ExecutionRoleArn=role)
        variant = {"VariantName": "v", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": count}
        self.call("CreateEndpointConfig", "sagemaker", EndpointConfigName="c", ProductionVariants=[variant], **config)
        self.call("CreateEndpoint", "sagemaker", EndpointName="e", EndpointConfigName="c")
        self.drive()

    def register(self, minimum: int, maximum: int, **members: Any) -> None:
        self.call("RegisterScalableTarget", **TARGET, MinCapacity=minimum, MaxCapacity=maximum, **members)

    def track(self, target: float, **members: Any) -> dict[str, Any]:
        """Target tracking of invocations."""
        metric = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
        settings = {"TargetValue": target, "PredefinedMetricSpecification": metric, **members}
        return self.call(
            "PutScalingPolicy",
            **TARGET,
            PolicyName="track",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=settings,
        )

    def drive(self) -> None:
        """Let every room do what there is to do, until nothing moves."""
        for _ in range(4):
            self.reconcilers["endpoints"](f"{ACCOUNT}/{REGION}/e")
            self.reconcilers["cloudwatch_alarms"](None)
            self.reconcilers["autoscaling"](f"{ACCOUNT}/{REGION}/{DIMENSION}/{RESOURCE}")

    def pass_time(self, seconds: float, load: float = 0.0, step: float = 10.0) -> None:
        """Let time go by while the endpoint gets `load` invocations a minute."""
        for _ in range(round(seconds / step)):
            data = [Datum("InvocationsPerInstance", {"EndpointName": "e", "VariantName": "v"}, value=0.0)]
            if load:
                data[0] = Datum(data[0].name, data[0].dimensions, value=load * step / 60 / self.count)
            self.platform.metrics.put(ACCOUNT, REGION, "AWS/SageMaker", data)
            self.clock.advance(step)
            self.drive()

    @property
    def count(self) -> int:
        (variant,) = self.call("DescribeEndpoint", "sagemaker", EndpointName="e")["ProductionVariants"]
        return int(variant["DesiredInstanceCount"])

    @property
    def history(self) -> list[dict[str, Any]]:
        return list(self.call("DescribeScalingActivities", ServiceNamespace="sagemaker")["ScalingActivities"])


@pytest.fixture
def clock() -> VirtualClock:
    """A clock that stands at the beginning of a minute."""
    return VirtualClock(1_750_000_020.0)


@pytest.fixture
def world(platform: Platform, clock: VirtualClock) -> World:
    """The endpoint `e` with one instance."""
    made = World(platform, clock)
    made.deploy(1)
    return made


@pytest.fixture
def queueing_world(platform: Platform, clock: VirtualClock) -> World:
    """The endpoint `e`, whose requests wait in a queue."""
    made = World(platform, clock)
    made.deploy(1, AsyncInferenceConfig={"OutputConfig": {"S3OutputPath": "s3://b/answers"}})
    return made

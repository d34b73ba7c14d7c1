"""Targets that are scaled over hours of a virtual clock: bounds, cooldowns, schedules, and what went wrong."""

import contextlib
from typing import Any

import pytest

from clary.kernel.core.errors import AwsError
from clary.kernel.telemetry.metrics import Datum
from clary.support.autoscaling.tests.conftest import ACCOUNT, DIMENSION, REGION, RESOURCE, TARGET, World


def step_policy(world: World, name: str, *steps: tuple[float | None, float | None, int], **settings: Any) -> str:
    adjustments = [
        {
            key: value
            for key, value in (
                ("MetricIntervalLowerBound", low),
                ("MetricIntervalUpperBound", high),
                ("ScalingAdjustment", amount),
            )
            if value is not None
        }
        for low, high, amount in steps
    ]
    configuration = {"AdjustmentType": "ChangeInCapacity", "StepAdjustments": adjustments, **settings}
    made = world.call("PutScalingPolicy", **TARGET, PolicyName=name, StepScalingPolicyConfiguration=configuration)
    return str(made["PolicyARN"])


def backlog_alarm(world: World, name: str, action: str, comparison: str = "GreaterThanThreshold") -> None:
    world.call(
        "PutMetricAlarm",
        "cloudwatch",
        AlarmName=name,
        AlarmActions=[action],
        Namespace="App",
        MetricName="Backlog",
        Statistic="Average",
        Period=60,
        EvaluationPeriods=1,
        Threshold=100.0,
        ComparisonOperator=comparison,
    )


def put_backlog(world: World, value: float) -> None:
    data = [{"MetricName": "Backlog", "Value": value, "Timestamp": world.clock.now() - 60}]
    world.call("PutMetricData", "cloudwatch", Namespace="App", MetricData=data)


def test_bounds_bring_the_count_within_them(world: World) -> None:
    world.register(2, 4)
    world.drive()
    assert world.count == 2
    (activity,) = world.history
    assert activity["StatusCode"] == "Successful"
    assert activity["Cause"] == "minimum capacity was set to 2"
    assert activity["Description"] == "Setting desired instance count to 2."
    world.call("RegisterScalableTarget", **TARGET, MinCapacity=1, MaxCapacity=1)
    world.drive()
    assert world.count == 1
    assert world.history[0]["Cause"] == "maximum capacity was set to 1"


def test_load_scales_out_within_a_minute_and_its_end_scales_in_after_fifteen(world: World) -> None:
    world.register(1, 4)
    world.track(60.0, ScaleOutCooldown=60, ScaleInCooldown=120)
    world.pass_time(60, load=50)
    assert world.count == 1
    world.pass_time(60, load=600)
    assert world.count > 1, "the minute need not be over when its sum is above the target"
    world.pass_time(10 * 60, load=600, step=30)
    assert world.count == 4, "600 would need 10, and 4 are allowed"
    assert [activity["StatusCode"] for activity in world.history] == ["Successful"] * len(world.history)
    assert "above the target of 60" in world.history[0]["Cause"]
    world.pass_time(14 * 60, load=100, step=60)
    assert world.count == 4
    world.pass_time(4 * 60, load=100, step=60)
    assert world.count == 2, "100 invocations need two instances at 60 each"
    assert world.history[0]["Cause"].startswith(f"monitor alarm TargetTracking-{RESOURCE}-AlarmLow-")
    assert world.history[0]["Cause"].endswith("in state ALARM triggered policy track")
    world.pass_time(20 * 60, step=60)
    assert world.count == 1, "no load at all is less than any"


def test_sudden_load_has_its_instances_within_two_minutes(world: World) -> None:
    world.register(1, 20)
    world.track(60.0)
    world.pass_time(120, load=600)
    assert world.count >= 10
    assert world.count <= 12


def test_the_cooldown_after_scaling_out_counts_from_before(world: World) -> None:
    world.register(1, 20)
    metric = {"MetricName": "Busy", "Namespace": "App", "Statistic": "Average"}
    settings = {"TargetValue": 50.0, "CustomizedMetricSpecification": metric, "ScaleOutCooldown": 600}
    world.call(
        "PutScalingPolicy",
        **TARGET,
        PolicyName="busy",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=settings,
    )

    def minutes(count: int, busy: float) -> None:
        for _ in range(count):
            data = [{"MetricName": "Busy", "Value": busy, "Timestamp": world.clock.now()}]
            world.call("PutMetricData", "cloudwatch", Namespace="App", MetricData=data)
            world.clock.advance(60)
            world.drive()

    minutes(1, 90)
    assert world.count == 2
    minutes(2, 90)
    assert world.count == 2, "still 90: as if one had become two, which it has"
    minutes(2, 140)
    assert world.count == 3, "one would have become three"
    minutes(8, 140)
    assert world.count == 3
    minutes(4, 140)
    assert world.count == 9


def test_a_queue_is_followed_to_no_instance_and_back(queueing_world: World) -> None:
    world = queueing_world
    world.register(0, 4)
    metric = {
        "MetricName": "ApproximateBacklogSizePerInstance",
        "Namespace": "AWS/SageMaker",
        "Statistic": "Average",
        "Dimensions": [{"Name": "EndpointName", "Value": "e"}],
    }
    world.call(
        "PutScalingPolicy",
        **TARGET,
        PolicyName="backlog",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={"TargetValue": 5.0, "CustomizedMetricSpecification": metric},
    )

    def wait(seconds: float, waiting: int, step: float = 10.0) -> None:
        for _ in range(round(seconds / step)):
            each = waiting / max(world.count, 1)
            datum = Datum(metric["MetricName"], {"EndpointName": "e"}, each, resolution=1)
            world.platform.metrics.put(ACCOUNT, REGION, "AWS/SageMaker", [datum])
            world.clock.advance(step)
            world.drive()

    wait(120, 3)
    assert world.count == 1
    wait(17 * 60, 0, step=30)
    assert world.count == 0
    wait(600, 4, step=30)
    assert world.count == 0, "4 are fewer than the 5 that an instance is to have"
    wait(20, 12)
    assert world.count >= 2, "nothing but an instance could bring the backlog down: it need not last a minute"
    assert world.history[0]["StatusCode"] == "Successful"


def test_an_alarm_brings_the_first_instance(queueing_world: World) -> None:
    world = queueing_world
    world.register(0, 4)
    first = step_policy(world, "first", (0, None, 1), Cooldown=60)
    world.call(
        "PutMetricAlarm",
        "cloudwatch",
        AlarmName="first",
        Namespace="AWS/SageMaker",
        MetricName="HasBacklogWithoutCapacity",
        Dimensions=[{"Name": "EndpointName", "Value": "e"}],
        Statistic="Average",
        Period=10,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        AlarmActions=[first],
    )
    wanted = [{"VariantName": "v", "DesiredInstanceCount": 0}]
    world.call("UpdateEndpointWeightsAndCapacities", "sagemaker", EndpointName="e", DesiredWeightsAndCapacities=wanted)
    world.drive()
    assert world.count == 0
    for _ in range(2):
        datum = Datum("HasBacklogWithoutCapacity", {"EndpointName": "e"}, 1.0, resolution=1)
        world.platform.metrics.put(ACCOUNT, REGION, "AWS/SageMaker", [datum])
        world.clock.advance(10)
        world.drive()
    assert world.count == 1


def test_suspended_directions_are_not_taken(world: World) -> None:
    world.register(1, 4, SuspendedState={"DynamicScalingOutSuspended": True})
    world.track(60.0)
    world.pass_time(180, load=600)
    assert world.count == 1
    world.call("RegisterScalableTarget", **TARGET, SuspendedState={"DynamicScalingOutSuspended": False})
    world.pass_time(60, load=600)
    assert world.count > 1


def test_steps_follow_their_alarm(world: World) -> None:
    world.register(1, 10)
    arn = step_policy(world, "steps", (0, 100, 1), (100, None, 3), Cooldown=120, MetricAggregationType="Maximum")
    backlog_alarm(world, "backlog", arn)
    described = world.call("DescribeScalingPolicies", ServiceNamespace="sagemaker")["ScalingPolicies"]
    assert [alarm["AlarmName"] for alarm in described[0]["Alarms"]] == ["backlog"]
    put_backlog(world, 150.0)
    world.drive()
    assert world.count == 2
    assert world.history[0]["Cause"] == "monitor alarm backlog in state ALARM triggered policy steps"
    world.clock.advance(60)
    put_backlog(world, 250.0)
    world.drive()
    assert world.count == 4, "within the cooldown, the one added before counts for the three that are asked"
    world.clock.advance(60)
    put_backlog(world, 250.0)
    world.drive()
    assert world.count == 4
    world.clock.advance(120)
    put_backlog(world, 250.0)
    world.drive()
    assert world.count == 7


def test_an_alarm_set_by_hand_runs_its_policy(world: World) -> None:
    world.register(1, 10)
    five = [{"VariantName": "v", "DesiredInstanceCount": 5}]
    world.call("UpdateEndpointWeightsAndCapacities", "sagemaker", EndpointName="e", DesiredWeightsAndCapacities=five)
    world.drive()
    arn = step_policy(world, "down", (None, 0, -2), Cooldown=0)
    backlog_alarm(world, "quiet", arn, "LessThanThreshold")
    world.call("SetAlarmState", "cloudwatch", AlarmName="quiet", StateValue="ALARM", StateReason="by hand")
    world.reconcilers["autoscaling"](f"{ACCOUNT}/{REGION}/{DIMENSION}/{RESOURCE}")
    world.reconcilers["endpoints"](f"{ACCOUNT}/{REGION}/e")
    assert world.count == 3


def test_schedules_set_bounds_when_they_are_due(world: World) -> None:
    world.register(1, 10)
    now = "2025-06-15T15:10:00"  # the clock begins at 15:07
    world.call(
        "PutScheduledAction",
        **TARGET,
        ScheduledActionName="morning",
        Schedule=f"at({now})",
        ScalableTargetAction={"MinCapacity": 3},
    )
    world.call(
        "PutScheduledAction",
        **TARGET,
        ScheduledActionName="evening",
        Schedule="cron(20 17 * * ? *)",
        Timezone="Europe/Berlin",
        ScalableTargetAction={"MinCapacity": 1, "MaxCapacity": 2},
    )
    world.pass_time(120)
    assert world.count == 1
    world.pass_time(60)
    assert world.count == 3
    causes = [activity["Cause"] for activity in world.history]
    assert causes == ["minimum capacity was set to 3", "scheduled action name morning was triggered"]
    assert world.history[1]["Description"] == "Setting min capacity to 3"
    world.pass_time(600)
    assert world.count == 2
    (target,) = world.call("DescribeScalableTargets", ServiceNamespace="sagemaker")["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 2)


def test_what_is_due_while_schedules_are_suspended_passes_by(world: World) -> None:
    world.register(1, 10, SuspendedState={"ScheduledScalingSuspended": True})
    action = {"ScheduledActionName": "often", "ScalableTargetAction": {"MinCapacity": 3}}
    world.call("PutScheduledAction", **TARGET, **action, Schedule="rate(5 minutes)")
    world.pass_time(360)
    world.call("RegisterScalableTarget", **TARGET, SuspendedState={})
    world.drive()
    assert world.count == 1
    world.pass_time(240)
    assert world.count == 3


def test_servers_that_do_not_start_leave_a_change_unfulfilled_and_another_try_for_later(world: World) -> None:
    world.machines.broken = True
    world.register(2, 4)
    world.drive()
    assert world.call("DescribeEndpoint", "sagemaker", EndpointName="e")["EndpointStatus"] == "RollingBack"
    world.pass_time(10)
    assert world.count == 1
    (activity,) = world.history
    assert activity["StatusCode"] == "Unfulfilled"
    assert "no such model" in activity["StatusMessage"]
    world.machines.broken = False
    world.pass_time(50)
    assert world.count == 1
    world.pass_time(20)
    assert world.count == 2
    assert [activity["StatusCode"] for activity in world.history] == ["Successful", "Unfulfilled"]


def test_what_is_under_way_ends_with_its_target(world: World) -> None:
    world.register(2, 4)
    world.reconcilers["autoscaling"](f"{ACCOUNT}/{REGION}/{DIMENSION}/{RESOURCE}")
    assert world.history[0]["StatusCode"] == "InProgress"
    world.call("DeregisterScalableTarget", **TARGET)
    assert world.history[0]["StatusCode"] == "Unfulfilled"
    assert "deregistered" in world.history[0]["StatusMessage"]
    world.drive()
    assert world.count == 2, "what was asked of the endpoint stays asked"


class Killed(BaseException):
    """The process was killed."""


@pytest.mark.parametrize("write", range(1, 8))
def test_a_crash_before_any_write_is_made_good(world: World, monkeypatch: pytest.MonkeyPatch, write: int) -> None:
    """The controller dies just before its n-th write, and another goes on: one change, one note of it."""
    world.register(2, 4)
    apply, writes = world.platform.store.apply, 0

    def dying(changes: Any) -> Any:
        nonlocal writes
        writes += 1
        if writes == write:
            raise Killed
        return apply(changes)

    monkeypatch.setattr(world.platform.store, "apply", dying)
    with contextlib.suppress(Killed):
        world.drive()
    world.drive()
    assert writes > write, "the crash came"
    assert world.count == 2
    assert [activity["StatusCode"] for activity in world.history] == ["Successful"]


def test_a_variant_that_has_become_serverless_is_left_alone(world: World) -> None:
    world.register(2, 3)
    world.drive()
    serverless = {"MemorySizeInMB": 1024, "MaxConcurrency": 1}
    variant = {"VariantName": "v", "ModelName": "m", "ServerlessConfig": serverless}
    world.call("CreateEndpointConfig", "sagemaker", EndpointConfigName="s", ProductionVariants=[variant])
    world.call("UpdateEndpoint", "sagemaker", EndpointName="e", EndpointConfigName="s")
    world.pass_time(60)
    assert world.call("DescribeEndpoint", "sagemaker", EndpointName="e")["EndpointConfigName"] == "s"
    with pytest.raises(AwsError, match="or is serverless"):
        world.register(1, 3)


def test_a_target_goes_with_its_endpoint(world: World) -> None:
    world.register(1, 4)
    alarms = [alarm["AlarmName"] for alarm in world.track(60.0)["Alarms"]]
    assert [name.split("-")[-6] for name in alarms] == ["AlarmHigh", "AlarmLow"]
    world.call("DeleteEndpoint", "sagemaker", EndpointName="e")
    for _ in range(3):
        world.drive()
        world.clock.advance(60)
    with pytest.raises(AwsError):
        world.call("DescribeEndpoint", "sagemaker", EndpointName="e")
    assert world.call("DescribeScalableTargets", ServiceNamespace="sagemaker")["ScalableTargets"] == []
    assert world.call("DescribeScalingPolicies", ServiceNamespace="sagemaker")["ScalingPolicies"] == []
    assert world.call("DescribeAlarms", "cloudwatch")["MetricAlarms"] == []

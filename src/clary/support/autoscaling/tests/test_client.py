"""What an unmodified client sees, on a real server with real model servers to scale."""

import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.kernel.core.ids import short_id
from clary.testing import Server, eventually

DIMENSION = "sagemaker:variant:DesiredInstanceCount"
NAMESPACE = {"ServiceNamespace": "sagemaker"}
SKLEARN = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
BACKLOG = {
    "Namespace": "App",
    "MetricName": "Backlog",
    "Statistic": "Sum",
    "Period": 60,
    "EvaluationPeriods": 1,
    "Threshold": 1.0,
    "ComparisonOperator": "LessThanThreshold",
}
SCRIPT = b"""
def model_fn(model_dir):
    return None

def input_fn(body, content_type):
    return body

def predict_fn(data, model):
    return data

def output_fn(prediction, accept):
    return prediction
"""


@pytest.fixture(scope="module")
def endpoint(server: Server) -> Iterator[str]:
    """An endpoint that echoes, with one instance of the variant `v`."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo("code/inference.py")
        member.size = len(SCRIPT)
        tar.addfile(member, io.BytesIO(SCRIPT))
    name = f"scaled-{short_id(8)}"  # one process may come back to this module and make another
    s3, sagemaker = server.client("s3"), server.client("sagemaker")
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="echo.tar.gz", Body=packed.getvalue())
    container = {
        "Image": SKLEARN,
        "ModelDataUrl": f"s3://{name}/echo.tar.gz",
        "Environment": {"SAGEMAKER_PROGRAM": "inference.py"},
    }
    role = "arn:aws:iam::000000000000:role/Anything"
    sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=role)
    variant = {"VariantName": "v", "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    waiter = sagemaker.get_waiter("endpoint_in_service")
    waiter.wait(EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 180})
    yield name
    sagemaker.delete_endpoint(EndpointName=name)


@pytest.fixture
def scaling(server: Server) -> Any:
    return server.client("application-autoscaling")


@pytest.fixture
def target(scaling: Any, endpoint: str) -> Iterator[dict[str, str]]:
    """The endpoint's variant, registered between 1 and 3."""
    named = {**NAMESPACE, "ResourceId": f"endpoint/{endpoint}/variant/v", "ScalableDimension": DIMENSION}
    scaling.register_scalable_target(**named, MinCapacity=1, MaxCapacity=3, Tags={"team": "a"})
    yield named
    scaling.deregister_scalable_target(**named)
    with pytest.raises(scaling.exceptions.ObjectNotFoundException):
        scaling.deregister_scalable_target(**named)


def track(scaling: Any, target: dict[str, str], **settings: Any) -> Any:
    metric = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
    return scaling.put_scaling_policy(
        **target,
        PolicyName="track",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": 20.0,
            "PredefinedMetricSpecification": metric,
            **settings,
        },
    )


def refused(text: str, operation: Callable[..., Any], **params: Any) -> None:
    with pytest.raises(ClientError) as caught:
        operation(**params)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert text in caught.value.response["Error"]["Message"]


def test_targets_are_registered_described_and_tagged(scaling: Any, target: dict[str, str]) -> None:
    suspended = {"DynamicScalingInSuspended": True}
    arn = scaling.register_scalable_target(**target, MaxCapacity=2, SuspendedState=suspended)["ScalableTargetARN"]
    pages = scaling.get_paginator("describe_scalable_targets").paginate(**NAMESPACE, PaginationConfig={"PageSize": 1})
    (shown,) = [one for page in pages for one in page["ScalableTargets"] if one["ResourceId"] == target["ResourceId"]]
    assert (shown["MinCapacity"], shown["MaxCapacity"], shown["ScalableTargetARN"]) == (1, 2, arn)
    assert shown["SuspendedState"]["DynamicScalingInSuspended"]
    assert not shown["SuspendedState"]["ScheduledScalingSuspended"]
    assert "SageMakerEndpoint" in shown["RoleARN"]
    scaling.tag_resource(ResourceARN=arn, Tags={"stage": "b"})
    scaling.untag_resource(ResourceARN=arn, TagKeys=["team"])
    assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"stage": "b"}
    with pytest.raises(scaling.exceptions.ResourceNotFoundException):
        scaling.list_tags_for_resource(ResourceARN=f"{arn}0")
    with pytest.raises(scaling.exceptions.TooManyTagsException):
        scaling.tag_resource(ResourceARN=arn, Tags={str(number): "" for number in range(50)})


def test_targets_that_cannot_be_scaled_are_refused(scaling: Any, target: dict[str, str]) -> None:
    register = scaling.register_scalable_target
    bounds = {"MinCapacity": 1, "MaxCapacity": 2}
    ecs = {"ServiceNamespace": "ecs", "ResourceId": "service/c/s", "ScalableDimension": "ecs:service:DesiredCount"}
    refused("ServiceNamespace ecs is not supported", register, **ecs, **bounds)
    copies = "sagemaker:variant:DesiredProvisionedConcurrency"
    refused("is not supported", register, **{**target, "ScalableDimension": copies}, **bounds)
    refused("does not belong", register, **{**target, "ScalableDimension": "ecs:service:DesiredCount"}, **bounds)
    refused("expected endpoint/", register, **{**target, "ResourceId": "endpoint/e"}, **bounds)
    refused("was not found", register, **{**target, "ResourceId": "endpoint/none/variant/v"}, **bounds)
    refused("was not found", register, **{**target, "ResourceId": f"{target['ResourceId']}w"}, **bounds)
    refused("must be at least 1", register, **target, MinCapacity=0)
    refused("must not be less than", register, **target, MinCapacity=4)
    refused("tags go with", register, **target, Tags={"a": "b"})
    refused("MaxResults", scaling.describe_scalable_targets, **NAMESPACE, MaxResults=51)
    with pytest.raises(scaling.exceptions.InvalidNextTokenException):
        scaling.describe_scalable_targets(**NAMESPACE, NextToken="nothing of ours")


def test_target_tracking_puts_the_alarms_that_aws_puts(server: Server, scaling: Any, target: dict[str, str]) -> None:
    made = track(scaling, target)
    high, low = sorted(made["Alarms"], key=lambda alarm: alarm["AlarmName"])
    assert high["AlarmName"].startswith(f"TargetTracking-{target['ResourceId']}-AlarmHigh-")
    cloudwatch = server.client("cloudwatch")
    names = [high["AlarmName"], low["AlarmName"]]
    alarms = cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"]
    assert [(one["EvaluationPeriods"], one["Period"], one["Threshold"], one["Statistic"]) for one in alarms] == [
        (3, 60, 20.0, "Sum"),
        (15, 60, 18.0, "Sum"),
    ]
    assert [one["AlarmActions"] for one in alarms] == [[made["PolicyARN"]]] * 2
    assert {one["AlarmArn"] for one in alarms} == {high["AlarmARN"], low["AlarmARN"]}
    again = track(scaling, target, TargetValue=50.0, DisableScaleIn=True)
    assert again["PolicyARN"] == made["PolicyARN"]
    assert [alarm["AlarmName"] for alarm in again["Alarms"]] == [high["AlarmName"]]
    (shown,) = scaling.describe_scaling_policies(**target, PolicyNames=["track"])["ScalingPolicies"]
    assert shown["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 50.0
    assert shown["Alarms"] == again["Alarms"]
    scaling.delete_scaling_policy(**target, PolicyName="track")
    assert cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"] == []
    with pytest.raises(scaling.exceptions.ObjectNotFoundException):
        scaling.delete_scaling_policy(**target, PolicyName="track")


def test_policies_that_cannot_be_followed_are_refused(scaling: Any, target: dict[str, str]) -> None:
    put = scaling.put_scaling_policy
    policy = {**target, "PolicyName": "p", "PolicyType": "TargetTrackingScaling"}
    refused("is required", put, **policy)
    refused("not supported", put, **{**policy, "PolicyType": "PredictiveScaling"})

    def tracking(text: str, **settings: Any) -> None:
        refused(text, put, **policy, TargetTrackingScalingPolicyConfiguration={"TargetValue": 1.0, **settings})

    invocations = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
    customized = {"MetricName": "M", "Namespace": "N", "Statistic": "Average"}
    tracking("either")
    tracking("either", PredefinedMetricSpecification=invocations, CustomizedMetricSpecification=customized)
    tracking("greater than 0", PredefinedMetricSpecification=invocations, TargetValue=0.0)
    tracking("needs Statistic", CustomizedMetricSpecification={"MetricName": "M", "Namespace": "N"})
    alien = {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}
    tracking("does not belong", PredefinedMetricSpecification=alien)
    concurrent = {"PredefinedMetricType": "SageMakerVariantConcurrentRequestsPerModelHighResolution"}
    tracking("not supported", PredefinedMetricSpecification=concurrent)
    track(scaling, target)
    tracking("the same metric already", PredefinedMetricSpecification=invocations)
    steps = {"AdjustmentType": "ChangeInCapacity", "StepAdjustments": [{"ScalingAdjustment": 1}]}
    step_policy = {**target, "PolicyName": "track", "PolicyType": "StepScaling"}
    refused("cannot be changed", put, **step_policy, StepScalingPolicyConfiguration=steps)
    other = {**target, "ResourceId": "endpoint/other/variant/v"}
    with pytest.raises(scaling.exceptions.ObjectNotFoundException):
        put(**other, PolicyName="p", StepScalingPolicyConfiguration=steps)


def test_scheduled_actions_are_put_changed_and_deleted(scaling: Any, target: dict[str, str]) -> None:
    named = {**target, "ScheduledActionName": "nightly"}
    end = datetime(2099, 1, 1, tzinfo=UTC)
    put = scaling.put_scheduled_action
    when = {"Schedule": "cron(0 22 * * ? *)", "Timezone": "Europe/Berlin"}
    put(**named, **when, EndTime=end, ScalableTargetAction={"MaxCapacity": 1})
    put(**named, ScalableTargetAction={"MinCapacity": 1, "MaxCapacity": 2})
    (shown,) = scaling.describe_scheduled_actions(**target)["ScheduledActions"]
    assert (shown["Schedule"], shown["Timezone"]) == ("cron(0 22 * * ? *)", "Europe/Berlin")
    assert shown["ScalableTargetAction"] == {"MinCapacity": 1, "MaxCapacity": 2}
    assert "EndTime" not in shown, "as on AWS, times that are not given again are gone"
    assert ":scheduledAction:" in shown["ScheduledActionARN"]
    refused("expected at(...)", put, **named, Schedule="nightly")
    refused("never due", put, **named, Schedule="at(2020-01-01T00:00:00)")
    refused("time zone", put, **named, Timezone="Mars/Olympus")
    refused("StartTime must be before", put, **named, StartTime=end, EndTime=end - timedelta(days=1))
    refused("must be at least 1", put, **named, ScalableTargetAction={"MinCapacity": 0})
    new = {**target, "ScheduledActionName": "new"}
    refused("Schedule is required", put, **new, ScalableTargetAction={"MinCapacity": 1})
    refused("must give MinCapacity", put, **new, Schedule="rate(1 day)")
    scaling.delete_scheduled_action(**named)
    with pytest.raises(scaling.exceptions.ObjectNotFoundException):
        scaling.delete_scheduled_action(**named)


class Load:
    """Clients that ask an endpoint without a pause, until told to stop, and count what went wrong."""

    def __init__(self, server: Server, endpoint: str) -> None:
        self.answers = 0
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._runtime = server.client("sagemaker-runtime")
        self._endpoint = endpoint
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            try:
                answer = self._runtime.invoke_endpoint(EndpointName=self._endpoint, Body=b"ping")
                assert answer["Body"].read() == b"ping"
                self.answers += 1
            except Exception as error:  # noqa: BLE001 - whatever goes wrong counts
                self.failures.append(repr(error))

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


@pytest.mark.slow
def test_load_brings_servers_and_an_alarm_takes_them_away_without_a_failed_request(
    server: Server, scaling: Any, endpoint: str, target: dict[str, str]
) -> None:
    sagemaker, cloudwatch = server.client("sagemaker"), server.client("cloudwatch")

    def counts() -> tuple[str, int, int]:
        described = sagemaker.describe_endpoint(EndpointName=endpoint)
        (variant,) = described["ProductionVariants"]
        return described["EndpointStatus"], variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]

    assert counts() == ("InService", 1, 1)
    track(scaling, target, ScaleOutCooldown=0)
    load = Load(server, endpoint)
    try:
        eventually(lambda: counts() == ("InService", 3, 3), 300.0)
        scaling.delete_scaling_policy(**target, PolicyName="track")
        steps = {
            "AdjustmentType": "ExactCapacity",
            "StepAdjustments": [{"ScalingAdjustment": 1, "MetricIntervalUpperBound": 0}],
            "Cooldown": 0,
        }
        arn = scaling.put_scaling_policy(**target, PolicyName="one", StepScalingPolicyConfiguration=steps)["PolicyARN"]
        cloudwatch.put_metric_alarm(AlarmName="quiet", AlarmActions=[arn], **BACKLOG)

        def gone() -> bool:
            cloudwatch.set_alarm_state(AlarmName="quiet", StateValue="ALARM", StateReason="nobody is left")
            return counts() == ("InService", 1, 1)

        eventually(gone)
        answered = load.answers
        eventually(lambda: load.answers > answered + 20)
    finally:
        load.stop()
    assert load.failures == []
    history = scaling.describe_scaling_activities(**target)["ScalingActivities"]
    ours = [one for one in history if one["StatusCode"] != "InProgress"]
    assert "monitor alarm quiet in state ALARM triggered policy one" in ours[0]["Cause"]
    assert ours[0]["StatusCode"] == "Successful"
    assert "fulfilled by sagemaker" in ours[0]["StatusMessage"]
    actions = cloudwatch.describe_alarm_history(AlarmName="quiet", HistoryItemType="Action")["AlarmHistoryItems"]
    assert any(item["HistorySummary"].startswith("Successfully executed action") for item in actions)

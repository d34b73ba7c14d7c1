"""Pipelines are started by events and by schedules, once for each, and tell of their executions."""

import json

import pytest

from clary.support.eventbridge.names import Bus
from clary.support.eventbridge.outbox import Outbox
from clary.support.eventbridge.publishing import publish
from clary.support.eventbridge.reconcile import deliver, fire_due
from clary.support.eventbridge.tests.test_crashes import crashing

ROLE = "arn:aws:iam::111122223333:role/any"
PIPELINE = "arn:aws:sagemaker:eu-west-1:111122223333:pipeline/churn"
DEFINITION = {
    "Version": "2020-12-01",
    "Parameters": [{"Name": "Day", "Type": "String"}],
    "Steps": [{"Name": "Stop", "Type": "Fail", "Arguments": {"ErrorMessage": "enough"}}],
}


@pytest.fixture
def sagemaker(caller):
    call = caller("sagemaker")
    text = json.dumps(DEFINITION)
    call("CreatePipeline", PipelineName="churn", PipelineDefinition=text, RoleArn=ROLE, ClientRequestToken="t" * 32)
    return call


def days(sagemaker):
    """The parameter of every execution."""
    listed = sagemaker("ListPipelineExecutions", PipelineName="churn")["PipelineExecutionSummaries"]
    shown = [
        sagemaker("ListPipelineParametersForExecution", PipelineExecutionArn=each["PipelineExecutionArn"])
        for each in listed
    ]
    return [each["PipelineParameters"][0]["Value"] for each in shown]


def test_an_event_starts_a_pipeline_once_however_often_it_is_delivered(call, put, sagemaker, platform):
    parameters = {"PipelineParameterList": [{"Name": "Day", "Value": "$.detail.day"}]}
    call("PutRule", Name="r", EventPattern='{"source": ["shop"]}')
    target = {"Id": "p", "Arn": PIPELINE, "RoleArn": ROLE, "SageMakerPipelineParameters": parameters}
    call("PutTargets", Rule="r", Targets=[target])
    put({"day": "monday"})
    (lane,) = Outbox(platform).waiting()
    crossing = 0
    while crashing(platform, crossing, lambda: deliver(platform, lane)):
        crossing += 1
    assert crossing > 2
    assert days(sagemaker) == ["monday"]
    id = put({"day": "tuesday"})
    event = {"id": id, "source": "shop", "detail": {"day": "tuesday"}, "time": "2026-01-31T00:00:00Z"}
    bus = Bus("111122223333", "eu-west-1", "default")
    publish(platform, bus, [event, event])  # as an observer that is told of a change again
    deliver(platform, lane)
    assert sorted(days(sagemaker)) == ["monday", "tuesday"]
    publish(platform, bus, [{**event, "replay-name": "again"}])
    deliver(platform, lane)
    assert sorted(days(sagemaker)) == ["monday", "tuesday", "tuesday"]


def test_a_schedule_starts_a_pipeline(caller, sagemaker, platform, run):
    parameters = {"PipelineParameterList": [{"Name": "Day", "Value": "each"}]}
    caller("scheduler")(
        "CreateSchedule",
        Name="nightly",
        ScheduleExpression="rate(1 day)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": PIPELINE, "RoleArn": ROLE, "SageMakerPipelineParameters": parameters},
    )
    whole = {"PipelineName": "churn", "PipelineParameters": [{"Name": "Day", "Value": "by any operation"}]}
    caller("scheduler")(
        "CreateSchedule",
        Name="universal",
        ScheduleExpression="rate(1 day)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={
            "Arn": "arn:aws:scheduler:::aws-sdk:sagemaker:startPipelineExecution",
            "RoleArn": ROLE,
            "Input": json.dumps(whole),
        },
    )
    fire_due(platform, None)
    run()
    assert sorted(days(sagemaker)) == ["by any operation", "each"]


def test_an_execution_is_told(call, queue, sagemaker, reconcile, delivered):
    arn, url = queue("runs")
    pattern = {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Model Building Pipeline Execution Status Change"],
        "detail": {"pipelineArn": [PIPELINE]},
    }
    call("PutRule", Name="runs", EventPattern=json.dumps(pattern))
    call("PutTargets", Rule="runs", Targets=[{"Id": "q", "Arn": arn}])
    day = [{"Name": "Day", "Value": "sunday"}]
    asked = {"PipelineName": "churn", "PipelineParameters": day, "ClientRequestToken": "r" * 32}
    started = sagemaker("StartPipelineExecution", **asked)
    reconcile("eventbridge-observer")
    detail = json.loads(delivered(url)[0])["detail"]
    assert detail["pipelineExecutionArn"] == started["PipelineExecutionArn"]
    assert detail["currentPipelineExecutionStatus"] == "Executing"
    assert "previousPipelineExecutionStatus" not in detail

"""What happens to SageMaker's resources is told as SageMaker tells it."""

import json

import pytest

from clary.kernel.store import Change
from clary.kernel.store.contract import Insert, Key, Row
from clary.support.eventbridge import pipelines
from clary.support.eventbridge import sagemaker as sagemaker_events

ROLE = "arn:aws:iam::111122223333:role/any"


@pytest.fixture
def sagemaker(caller):
    return caller("sagemaker")


@pytest.fixture
def create_job(sagemaker):
    def create(name):
        sagemaker(
            "CreateTrainingJob",
            TrainingJobName=name,
            AlgorithmSpecification={
                "TrainingImage": "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1",
                "TrainingInputMode": "File",
            },
            RoleArn=ROLE,
            OutputDataConfig={"S3OutputPath": "s3://bucket/out"},
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            StoppingCondition={"MaxRuntimeInSeconds": 60},
            Tags=[{"Key": "team", "Value": "a"}],
        )

    return create


def test_a_training_job_that_gets_another_status(call, queue, create_job, reconcile, delivered, sagemaker, platform):
    arn, url = queue("jobs")
    pattern = {"source": ["aws.sagemaker"], "detail-type": ["SageMaker Training Job State Change"]}
    call("PutRule", Name="jobs", EventPattern=json.dumps(pattern))
    call("PutTargets", Rule="jobs", Targets=[{"Id": "q", "Arn": arn}])
    create_job("kmeans")
    told = [entry.value.uid for entry in platform.records(Change).all(parent="eventbridge-observer")]
    reconcile("eventbridge-observer")
    (body,) = delivered(url)
    event = json.loads(body)
    described = sagemaker("DescribeTrainingJob", TrainingJobName="kmeans")
    assert event["id"] in told
    assert event["source"] == "aws.sagemaker"
    assert event["resources"] == [described["TrainingJobArn"]]
    detail = event["detail"]
    assert (detail["TrainingJobName"], detail["TrainingJobStatus"]) == ("kmeans", "InProgress")
    assert detail["CreationTime"] == int(described["CreationTime"] * 1000)
    assert detail["SecondaryStatusTransitions"][0]["StartTime"] == int(described["CreationTime"] * 1000)
    assert detail["Tags"] == {"team": "a"}


def test_nobody_is_told_where_no_rule_could_ask(call, create_job, reconcile, platform, monkeypatch):
    call("PutRule", Name="mine", EventPattern='{"source": ["shop"]}')
    create_job("kmeans")
    monkeypatch.setattr("clary.support.eventbridge.sagemaker._event", lambda *_: pytest.fail("an event was made"))
    reconcile("eventbridge-observer")
    assert platform.records(Change).count(parent="eventbridge-observer") == 0


def test_models_and_configurations_are_told_when_they_are_made(call, queue, sagemaker, reconcile, delivered):
    arn, url = queue("jobs")
    call("PutRule", Name="all", EventPattern='{"source": [{"prefix": "aws."}]}')
    call("PutTargets", Rule="all", Targets=[{"Id": "q", "Arn": arn}])
    image = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
    sagemaker("CreateModel", ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": image})
    variant = {"VariantName": "v", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker("CreateEndpointConfig", EndpointConfigName="c", ProductionVariants=[variant])
    sagemaker("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
    reconcile("eventbridge-observer")
    events = {event["detail-type"]: event["detail"] for event in map(json.loads, delivered(url))}
    assert events["SageMaker Model State Change"]["ModelName"] == "m"
    assert events["SageMaker Endpoint Config State Change"]["ProductionVariants"][0]["VariantName"] == "v"
    assert events["SageMaker Endpoint State Change"]["EndpointStatus"] == "CREATING"


def test_pipelines_tell_of_executions_and_steps(platform):
    """The detail has the documented members; what is not known is left out."""

    def change(kind, name, document, status, was):
        place = {"account": "111122223333", "region": "eu-west-1", "parent": "", "version": 1, "schema": 1}
        times = {"created_at": 1_700_000_000.0, "updated_at": 1_700_000_000.0}
        return Change("uid", kind, name, status=status, was=was, document=document, **place, **times)

    execution = {"pipeline": "churn", "modified_at": 1_700_000_060.0, "display_name": "nightly"}
    prefix = "arn:aws:sagemaker:eu-west-1:111122223333"
    told = pipelines.told(platform, change("pipeline_execution", "abc", execution, "Succeeded", "Executing"), prefix)
    assert told.resources == [f"{prefix}:pipeline/churn", f"{prefix}:pipeline/churn/execution/abc"]
    assert told.detail == {
        "pipelineArn": told.resources[0],
        "pipelineExecutionArn": told.resources[1],
        "pipelineExecutionDisplayName": "nightly",
        "currentPipelineExecutionStatus": "Succeeded",
        "previousPipelineExecutionStatus": "Executing",
        "executionStartTime": "2023-11-14T22:13:20Z",
        "executionEndTime": "2023-11-14T22:14:20Z",
    }
    step = {"step": "Train", "type": "Training", "started_at": 1_700_000_000.0, "arn": "arn:job", "ended_at": None}
    of_step = change("pipeline_step", "abc/Train", step, "Executing", "Starting")
    assert pipelines.told(platform, of_step, prefix) is None
    key = Key("pipeline_execution", "111122223333", "eu-west-1", "abc")
    platform.store.apply([Insert(Row(key, b'{"pipeline": "churn"}', 1, "Executing", "churn", 0.0, 0.0, 0))])
    assert pipelines.told(platform, of_step, prefix).detail == {
        "metadata": {"trainingJob": {"arn": "arn:job"}},
        "stepStartTime": "2023-11-14T22:13:20Z",
        "stepName": "Train",
        "stepType": "Training",
        "previousStepStatus": "Starting",
        "currentStepStatus": "Executing",
        "pipelineArn": told.resources[0],
        "pipelineExecutionArn": told.resources[1],
    }


def test_every_kind_that_is_observed_can_be_told(platform):
    room = platform.registry.rooms["clary.support.eventbridge"]
    assert set(room.observes) == {*sagemaker_events.KINDS, "cloudwatch_alarm", "query_execution", "glue_crawl"}
    for kind in sagemaker_events.KINDS - set(pipelines.DETAIL_TYPES):
        assert platform.registry.resource_of(kind).document is not None

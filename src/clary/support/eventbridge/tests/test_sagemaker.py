"""What happens to SageMaker's resources is told as SageMaker tells it."""

import json

import pytest

from clary.kernel.store import Change

ROLE = "arn:aws:iam::111122223333:role/any"


@pytest.fixture
def sagemaker(platform):
    return lambda operation, **params: platform.call("111122223333", "eu-west-1", "sagemaker", operation, **params)


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


def test_a_training_job_that_gets_another_status(call, queue, create_job, reconcile, bodies, sagemaker, platform):
    arn, url = queue("jobs")
    pattern = {"source": ["aws.sagemaker"], "detail-type": ["SageMaker Training Job State Change"]}
    call("PutRule", Name="jobs", EventPattern=json.dumps(pattern))
    call("PutTargets", Rule="jobs", Targets=[{"Id": "q", "Arn": arn}])
    create_job("kmeans")
    told = [entry.value.uid for entry in platform.records(Change).all(parent="eventbridge-observer")]
    reconcile("eventbridge-observer")
    (body,) = bodies(url)
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
    assert platform.records(Change).count() == 0


def test_models_and_configurations_are_told_when_they_are_made(call, queue, sagemaker, reconcile, bodies):
    arn, url = queue("jobs")
    call("PutRule", Name="all", EventPattern='{"source": [{"prefix": "aws."}]}')
    call("PutTargets", Rule="all", Targets=[{"Id": "q", "Arn": arn}])
    image = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
    sagemaker("CreateModel", ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": image})
    variant = {"VariantName": "v", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker("CreateEndpointConfig", EndpointConfigName="c", ProductionVariants=[variant])
    sagemaker("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
    reconcile("eventbridge-observer")
    events = {event["detail-type"]: event["detail"] for event in map(json.loads, bodies(url))}
    assert events["SageMaker Model State Change"]["ModelName"] == "m"
    assert events["SageMaker Endpoint Config State Change"]["ProductionVariants"][0]["VariantName"] == "v"
    assert events["SageMaker Endpoint State Change"]["EndpointStatus"] == "CREATING"

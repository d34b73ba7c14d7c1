"""Tags over a bare kernel, on training jobs: any resource that a room declares behaves alike."""

from dataclasses import replace
from typing import Any

import pytest

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Platform
from clary.kernel.rooms.tests.in_process import Call, Caller

ACCOUNT, REGION = "000000000000", "us-east-1"
ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/tagged"


def tag(key: str, value: str = "v") -> dict[str, str]:
    return {"Key": key, "Value": value}


@pytest.fixture
def call(caller: Caller) -> Call:
    call = caller("sagemaker", ACCOUNT, REGION)
    call(
        "CreateTrainingJob",
        TrainingJobName="tagged",
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/any-role",
        AlgorithmSpecification={"TrainingImage": "python", "TrainingInputMode": "File"},
        OutputDataConfig={"S3OutputPath": "s3://bucket/out"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1},
        Tags=[tag("b", "first"), tag("a")],
    )
    return call


def listed(call: Call, **params: Any) -> dict[str, str]:
    return {one["Key"]: one["Value"] for one in call("ListTags", ResourceArn=ARN, **params)["Tags"]}


def test_tags_come_with_the_resource_change_and_go(call: Call) -> None:
    assert listed(call) == {"a": "v", "b": "first"}
    added = call("AddTags", ResourceArn=ARN, Tags=[tag("b", "second"), tag("c")])["Tags"]
    assert {one["Key"]: one["Value"] for one in added} == listed(call) == {"a": "v", "b": "second", "c": "v"}
    call("DeleteTags", ResourceArn=ARN, TagKeys=["a", "never-there"])
    assert listed(call) == {"b": "second", "c": "v"}


def test_pages_hold_what_is_asked_for(call: Call) -> None:
    call("AddTags", ResourceArn=ARN, Tags=[tag(f"k{number:02}") for number in range(48)])
    assert len(listed(call, MaxResults=50)) == 50
    with pytest.raises(AwsError, match="at most 50 tags"):
        call("AddTags", ResourceArn=ARN, Tags=[tag("one-more")])
    call("AddTags", ResourceArn=ARN, Tags=[tag("k00", "changed")])
    assert listed(call)["k00"] == "changed"


@pytest.mark.parametrize(
    ("arn", "code"),
    [
        (ARN.replace("tagged", "absent"), "ResourceNotFound"),
        (ARN.replace("training-job", "spaceship"), "ValidationException"),
        (ARN.replace(REGION, "eu-west-1"), "AccessDeniedException"),
        (ARN.replace(ACCOUNT, "111111111111"), "AccessDeniedException"),
    ],
)
def test_an_arn_must_name_something_of_ones_own(call: Call, arn: str, code: str) -> None:
    with pytest.raises(AwsError) as caught:
        call("ListTags", ResourceArn=arn)
    assert caught.value.code == code


@pytest.mark.parametrize("tags", [[tag("aws:mine")], [tag("a"), tag("a")]])
def test_keys_that_aws_refuses_are_refused(call: Call, tags: list[dict[str, str]]) -> None:
    with pytest.raises(AwsError, match="key"):
        call("AddTags", ResourceArn=ARN, Tags=tags)
    assert listed(call) == {"a": "v", "b": "first"}


def test_tags_go_with_the_resource_and_do_not_come_back(call: Call, platform: Platform) -> None:
    record = platform.registry.resources["sagemaker", "training-job"].record
    table = platform.records(record).within(ACCOUNT, REGION)
    table.update("tagged", lambda job: replace(job, status="Completed"))
    call("DeleteTrainingJob", TrainingJobName="tagged")
    with pytest.raises(AwsError):
        call("ListTags", ResourceArn=ARN)

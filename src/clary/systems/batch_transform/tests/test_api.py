"""The operations over a bare kernel: what is answered before anything runs."""

import json
from dataclasses import replace
from typing import Any

import pytest

from clary.kernel.auth.policies import Permissions, compile_document
from clary.kernel.auth.principals import Principal
from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Platform
from clary.kernel.rooms.tests.in_process import Call, Caller
from clary.kernel.rooms.tests.worlds import ACCOUNT, REGION
from clary.kernel.store.contract import Key, Replace
from clary.systems.batch_transform.records import TransformJob
from clary.systems.batch_transform.tests.conftest import BUCKET, PYTHON_IMAGE, request

ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:transform-job"


@pytest.fixture
def call(caller: Caller) -> Call:
    call = caller("sagemaker", ACCOUNT, REGION)
    call("CreateModel", ModelName="doubling", PrimaryContainer={"Image": PYTHON_IMAGE})
    return call


def asked(name: str, **members: Any) -> dict[str, Any]:
    return request(name, f"s3://{BUCKET}/in/", **members)


def names(listed: dict[str, Any]) -> list[str]:
    return [one["TransformJobName"] for one in listed["TransformJobSummaries"]]


def test_a_new_job_is_described_with_defaults(call: Call) -> None:
    assert call("CreateTransformJob", **asked("new")) == {"TransformJobArn": f"{ARN}/new"}
    job = call("DescribeTransformJob", TransformJobName="new")
    assert job["TransformJobStatus"] == "InProgress"
    assert (job["TransformInput"]["CompressionType"], job["TransformInput"]["SplitType"]) == ("None", "Line")
    assert job["DataProcessing"] == {"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None"}
    assert "MaxPayloadInMB" not in job
    assert not {name for name in ("FailureReason", "TransformStartTime", "TransformEndTime") if job.get(name)}


def test_a_name_is_given_once_and_needs_a_model(call: Call) -> None:
    call("CreateTransformJob", **asked("once"))
    with pytest.raises(AwsError, match="must be unique") as caught:
        call("CreateTransformJob", **asked("once"))
    assert caught.value.code == "ResourceInUse"
    with pytest.raises(AwsError, match="Could not find model"):
        call("CreateTransformJob", **asked("modelless", ModelName="nowhere"))


@pytest.mark.parametrize("operation", ["DescribeTransformJob", "StopTransformJob"])
def test_a_missing_job_is_not_found(call: Call, operation: str) -> None:
    with pytest.raises(AwsError) as caught:
        call(operation, TransformJobName="nowhere")
    assert caught.value.code == "ResourceNotFound"


def test_lists_show_the_newest_first(call: Call, platform: Platform) -> None:
    for name in ("b-1", "a-1", "c-2"):
        call("CreateTransformJob", **asked(name))
    assert names(call("ListTransformJobs")) == ["c-2", "a-1", "b-1"]
    assert names(call("ListTransformJobs", SortBy="Name", SortOrder="Ascending", NameContains="-1")) == ["a-1", "b-1"]
    first = call("ListTransformJobs", MaxResults=2)
    assert names(call("ListTransformJobs", MaxResults=2, NextToken=first["NextToken"])) == ["b-1"]
    table = platform.records(TransformJob).within(ACCOUNT, REGION)
    entry = table.get("a-1")
    assert entry is not None
    table.replace(entry, entry.value, status="Failed")
    assert names(call("ListTransformJobs", StatusEquals="Failed")) == ["a-1"]


def test_stopping_is_remembered_and_refused_once_ended(call: Call, platform: Platform) -> None:
    call("CreateTransformJob", **asked("stop"))
    call("StopTransformJob", TransformJobName="stop")
    call("StopTransformJob", TransformJobName="stop")
    assert call("DescribeTransformJob", TransformJobName="stop")["TransformJobStatus"] == "Stopping"


def test_a_job_acts_as_the_role_that_was_passed_with_the_model(call: Call, platform: Platform) -> None:
    """Also once that role is gone: nobody gets another one, which may do more, in its place."""
    trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    made = platform.call(ACCOUNT, REGION, "iam", "CreateRole", RoleName="narrow", AssumeRolePolicyDocument=document)
    role: Any = made["Role"]
    call("CreateModel", ModelName="of-role", PrimaryContainer={"Image": PYTHON_IMAGE}, ExecutionRoleArn=role["Arn"])
    platform.call(ACCOUNT, REGION, "iam", "DeleteRole", RoleName="narrow")
    call("CreateTransformJob", **asked("of-role", ModelName="of-role"))
    entry = platform.records(TransformJob).within(ACCOUNT, REGION).get("of-role")
    assert entry is not None
    assert entry.value.role == role["Arn"]


def test_jobs_from_before_models_had_several_containers_are_read(call: Call, platform: Platform) -> None:
    call("CreateTransformJob", **asked("old"))
    key = Key("transform_job", ACCOUNT, REGION, "old")
    row = platform.store.get(key)
    assert row is not None
    document = json.loads(row.body)
    [document["container"]] = document.pop("containers")
    platform.store.apply([Replace(replace(row, body=json.dumps(document).encode(), schema=1))])
    entry = platform.records(TransformJob).within(ACCOUNT, REGION).get("old")
    assert entry is not None
    assert entry.value.containers == [{"Image": PYTHON_IMAGE}]


def test_jobs_are_tagged(call: Call) -> None:
    arn = call("CreateTransformJob", **asked("tagged", Tags=[{"Key": "team", "Value": "a"}]))["TransformJobArn"]
    call("AddTags", ResourceArn=arn, Tags=[{"Key": "more", "Value": "b"}])
    assert {one["Key"]: one["Value"] for one in call("ListTags", ResourceArn=arn)["Tags"]} == {"team": "a", "more": "b"}


def test_who_may_transform_need_not_look_at_the_model(call: Call, platform: Platform) -> None:
    """AWS asks for CreateTransformJob alone; the model's role was passed when the model was made."""
    document = {"Effect": "Allow", "Action": "sagemaker:CreateTransformJob", "Resource": "*"}
    policy = compile_document(json.dumps({"Version": "2012-10-17", "Statement": [document]}), "transform")
    user = Principal("user", ACCOUNT, name="ann", unique_id="AIDA", permissions=Permissions((policy,)))
    ctx = platform.acting_as_root(ACCOUNT, REGION, "sagemaker", "CreateTransformJob")
    restricted = type(ctx)(platform, ctx.operation, user, ACCOUNT, REGION, "request-id")
    assert platform.registry.call(restricted, asked("by-ann"))

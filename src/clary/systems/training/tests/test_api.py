"""The operations over a bare kernel: what is answered before anything runs."""

from datetime import UTC, datetime
from typing import Any

import pytest

from clary.kernel.auth.principals import Principal
from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Platform
from clary.kernel.rooms.tests.in_process import Call, Caller
from clary.kernel.rooms.tests.worlds import ACCOUNT, REGION
from clary.systems.training.records import TrainingJob
from clary.systems.training.tests.conftest import request

ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job"


@pytest.fixture
def call(caller: Caller) -> Call:
    return caller("sagemaker", ACCOUNT, REGION)


def names(listed: dict[str, Any]) -> list[str]:
    return [one["TrainingJobName"] for one in listed["TrainingJobSummaries"]]


def set_status(platform: Platform, name: str, status: str) -> None:
    table = platform.records(TrainingJob).within(ACCOUNT, REGION)
    entry = table.get(name)
    assert entry is not None
    table.replace(entry, entry.value, status=status)


def test_a_new_job_is_described_with_what_the_sdks_need(call: Call) -> None:
    assert call("CreateTrainingJob", **request("new")) == {"TrainingJobArn": f"{ARN}/new"}
    job = call("DescribeTrainingJob", TrainingJobName="new")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("InProgress", "Starting")
    [transition] = job["SecondaryStatusTransitions"]
    assert (transition["Status"], transition["StatusMessage"]) == ("Starting", "Starting the training job")
    assert job["LastModifiedTime"] == job["CreationTime"]
    assert job["OutputDataConfig"]["KmsKeyId"] == ""
    assert (job["HyperParameters"], job["InputDataConfig"], job["Environment"]) == ({}, [], {})
    assert job["StoppingCondition"]["MaxRuntimeInSeconds"] == 60
    assert job["AlgorithmSpecification"]["MetricDefinitions"] == []
    assert "VpcConfig" not in job
    assert "ModelArtifacts" not in job


def test_the_built_in_algorithm_brings_its_metrics(call: Call) -> None:
    image = {"TrainingImage": "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"}
    call("CreateTrainingJob", **request("xgb", AlgorithmSpecification={**image, "TrainingInputMode": "File"}))
    described = call("DescribeTrainingJob", TrainingJobName="xgb")["AlgorithmSpecification"]["MetricDefinitions"]
    assert "validation:auc" in [one["Name"] for one in described]


def test_a_name_is_given_once(call: Call) -> None:
    call("CreateTrainingJob", **request("once"))
    with pytest.raises(AwsError, match="unique within an AWS account and region") as caught:
        call("CreateTrainingJob", **request("once"))
    assert caught.value.code == "ResourceInUse"


@pytest.mark.parametrize(
    "operation", ["DescribeTrainingJob", "StopTrainingJob", "DeleteTrainingJob", "UpdateTrainingJob"]
)
def test_a_missing_job_is_not_found(call: Call, operation: str) -> None:
    with pytest.raises(AwsError, match=r"Requested resource not found\.") as caught:
        call(operation, TrainingJobName="nowhere")
    assert caught.value.code == "ResourceNotFound"


def test_lists_are_filtered_sorted_and_paged(call: Call, platform: Platform) -> None:
    for name in ("b-1", "a-1", "c-2"):
        call("CreateTrainingJob", **request(name))
    assert names(call("ListTrainingJobs")) == ["b-1", "a-1", "c-2"]
    assert names(call("ListTrainingJobs", SortBy="Name")) == ["a-1", "b-1", "c-2"]
    assert names(call("ListTrainingJobs", SortBy="Name", SortOrder="Descending", MaxResults=2)) == ["c-2", "b-1"]
    assert names(call("ListTrainingJobs", NameContains="-1", SortBy="Name")) == ["a-1", "b-1"]
    first = call("ListTrainingJobs", SortBy="Name", MaxResults=2)
    rest = call("ListTrainingJobs", SortBy="Name", MaxResults=2, NextToken=first["NextToken"])
    assert (names(rest), rest.get("NextToken")) == (["c-2"], None)
    set_status(platform, "a-1", "Failed")
    assert names(call("ListTrainingJobs", StatusEquals="Failed")) == ["a-1"]
    now = platform.clock.now()
    assert names(call("ListTrainingJobs", CreationTimeAfter=now + 60)) == []
    assert len(names(call("ListTrainingJobs", CreationTimeBefore=datetime.fromtimestamp(now + 60, UTC)))) == 3
    with pytest.raises(AwsError, match="token"):
        call("ListTrainingJobs", NextToken="invented")


def test_stopping_what_ended_is_refused(call: Call, platform: Platform) -> None:
    call("CreateTrainingJob", **request("stop"))
    call("StopTrainingJob", TrainingJobName="stop")
    call("StopTrainingJob", TrainingJobName="stop")
    job = call("DescribeTrainingJob", TrainingJobName="stop")
    assert [one["Status"] for one in job["SecondaryStatusTransitions"]] == ["Starting", "Stopping"]


def test_an_active_job_is_not_deleted(call: Call) -> None:
    call("CreateTrainingJob", **request("active"))
    with pytest.raises(AwsError, match="stop it") as caught:
        call("DeleteTrainingJob", TrainingJobName="active")
    assert caught.value.code == "ResourceInUse"


def test_updates_change_what_aws_lets_change(call: Call) -> None:
    call("CreateTrainingJob", **request("updated"))
    profiler = {"DisableProfiler": True}
    assert call("UpdateTrainingJob", TrainingJobName="updated", ProfilerConfig=profiler) == {
        "TrainingJobArn": f"{ARN}/updated"
    }
    assert call("DescribeTrainingJob", TrainingJobName="updated")["ProfilerConfig"] == profiler
    with pytest.raises(AwsError, match="warm pool is Available; it is none"):
        call("UpdateTrainingJob", TrainingJobName="updated", ResourceConfig={"KeepAlivePeriodInSeconds": 60})
    with pytest.raises(AwsError, match="Systems Manager"):
        call("UpdateTrainingJob", TrainingJobName="updated", RemoteDebugConfig={"EnableRemoteDebug": True})


def test_regions_keep_their_jobs_apart(call: Call, platform: Platform) -> None:
    call("CreateTrainingJob", **request("here"))
    platform.call(ACCOUNT, "eu-west-1", "sagemaker", "CreateTrainingJob", **request("here"))
    assert names(platform.call(ACCOUNT, "eu-west-1", "sagemaker", "ListTrainingJobs")) == ["here"]
    with pytest.raises(AwsError, match="not found"):
        platform.call("111111111111", REGION, "sagemaker", "DescribeTrainingJob", TrainingJobName="here")


def test_who_is_held_to_policies_needs_a_role_that_is_there(platform: Platform) -> None:
    """The root may name any role; a user only one that exists and that a policy lets pass."""
    directory = platform.keys.directory
    role = directory.role(ACCOUNT, "AmazonSageMaker-ExecutionRole")
    assert role is not None
    ctx = platform.acting_as_root(ACCOUNT, REGION, "sagemaker", "CreateTrainingJob")
    permissions = directory.role_permissions(ACCOUNT, role.value)
    user = Principal("user", ACCOUNT, name="ann", unique_id="AIDA", permissions=permissions)
    restricted = type(ctx)(platform, ctx.operation, user, ACCOUNT, REGION, "request-id")
    with pytest.raises(AwsError, match="Could not assume role") as caught:
        platform.registry.call(restricted, request("by-ann"))
    assert caught.value.code == "ValidationException"
    there = f"arn:aws:iam::{ACCOUNT}:role/service-role/AmazonSageMaker-ExecutionRole"
    platform.registry.call(restricted, request("by-ann", RoleArn=there))

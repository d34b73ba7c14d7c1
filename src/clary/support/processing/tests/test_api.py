"""The operations over a bare kernel: what is answered before anything runs."""

from dataclasses import replace
from typing import Any

import pytest

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Platform
from clary.kernel.rooms.tests.in_process import Call, Caller
from clary.kernel.rooms.tests.worlds import ACCOUNT, REGION
from clary.support.processing.records import ProcessingJob
from clary.support.processing.tests.conftest import request, s3_outputs

ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:processing-job"


@pytest.fixture
def call(caller: Caller) -> Call:
    return caller("sagemaker", ACCOUNT, REGION)


def set_status(platform: Platform, name: str, status: str) -> None:
    table = platform.records(ProcessingJob).within(ACCOUNT, REGION)
    entry = table.get(name)
    assert entry is not None
    table.replace(entry, replace(entry.value, status=status), status=status)


def test_a_new_job_is_described_with_what_the_sdks_need(call: Call) -> None:
    experiment = {"ExperimentName": "e", "TrialName": "t"}
    network = {"VpcConfig": {"SecurityGroupIds": ["sg"], "Subnets": ["sub"]}}
    outputs = {**s3_outputs("s3://b/o", "/opt/ml/processing/output"), "KmsKeyId": "alias/k"}
    asked = request("new", ExperimentConfig=experiment, NetworkConfig=network, ProcessingOutputConfig=outputs)
    assert call("CreateProcessingJob", **asked) == {"ProcessingJobArn": f"{ARN}/new"}
    job = call("DescribeProcessingJob", ProcessingJobName="new")
    assert (job["ProcessingJobStatus"], job["ProcessingInputs"]) == ("InProgress", [])
    assert job["ProcessingResources"]["ClusterConfig"]["InstanceCount"] == 1
    [output] = job["ProcessingOutputConfig"]["Outputs"]
    assert (output["OutputName"], output["S3Output"]["S3Uri"]) == ("out", "s3://b/o")
    assert (job["ExperimentConfig"], job["NetworkConfig"]) == (experiment, network)
    assert job["ProcessingOutputConfig"]["KmsKeyId"] == "alias/k"


def test_a_name_is_given_once_and_unknown_ones_are_not_found(call: Call) -> None:
    call("CreateProcessingJob", **request("once"))
    with pytest.raises(AwsError, match="unique within an AWS account and region") as caught:
        call("CreateProcessingJob", **request("once"))
    assert caught.value.code == "ResourceInUse"
    for operation in ("DescribeProcessingJob", "StopProcessingJob", "DeleteProcessingJob"):
        with pytest.raises(AwsError) as caught:
            call(operation, ProcessingJobName="nobody")
        assert caught.value.code == "ResourceNotFound"


def test_jobs_are_stopped_once_and_deleted_when_they_ended(call: Call, platform: Platform) -> None:
    call("CreateProcessingJob", **request("job", Tags=[{"Key": "team", "Value": "data"}]))
    with pytest.raises(AwsError, match="delete it when it has ended") as caught:
        call("DeleteProcessingJob", ProcessingJobName="job")
    assert caught.value.code == "ResourceInUse"
    for _ in range(2):
        call("StopProcessingJob", ProcessingJobName="job")
    assert call("DescribeProcessingJob", ProcessingJobName="job")["ProcessingJobStatus"] == "Stopping"
    set_status(platform, "job", "Stopped")
    with pytest.raises(AwsError, match="in status Stopped"):
        call("StopProcessingJob", ProcessingJobName="job")
    call("DeleteProcessingJob", ProcessingJobName="job")
    call("CreateProcessingJob", **request("job"))
    assert call("ListTags", ResourceArn=f"{ARN}/job")["Tags"] == [], "a new job has none of the old one's tags"


def test_jobs_are_listed_by_status_and_in_order(call: Call, platform: Platform) -> None:
    for name in ("b", "a", "c"):
        call("CreateProcessingJob", **request(name))
    set_status(platform, "a", "Completed")

    def names(**how: Any) -> list[str]:
        return [one["ProcessingJobName"] for one in call("ListProcessingJobs", **how)["ProcessingJobSummaries"]]

    assert names() == ["b", "a", "c"]
    assert names(SortBy="Name", SortOrder="Descending") == ["c", "b", "a"]
    assert names(StatusEquals="InProgress", SortBy="Name") == ["b", "c"]
    first = call("ListProcessingJobs", MaxResults=2)
    rest = call("ListProcessingJobs", MaxResults=2, NextToken=first["NextToken"])
    assert [one["ProcessingJobName"] for one in rest["ProcessingJobSummaries"]] == ["c"]

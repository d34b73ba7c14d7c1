"""What is accepted, completed and refused."""

from typing import Any

import pytest

from clary.kernel.core.errors import AwsError
from clary.kernel.objects import normal_s3_uri
from clary.systems.training.logic_requests import complete

MINIMAL: dict[str, Any] = {
    "AlgorithmSpecification": {"TrainingImage": "x", "TrainingInputMode": "File"},
    "OutputDataConfig": {"S3OutputPath": "s3://b/out"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
}


def channel(source: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
    place = {"S3DataType": "S3Prefix", "S3Uri": "s3://b/in", **(source or {})}
    return {"ChannelName": "train", "DataSource": {"S3DataSource": place}, **members}


def test_defaults_are_those_of_aws() -> None:
    completed = complete({**MINIMAL, "InputDataConfig": [channel()], "Tags": [{"Key": "a", "Value": "b"}]})
    assert completed["StoppingCondition"] == {"MaxRuntimeInSeconds": 86400}
    assert completed["OutputDataConfig"] == {"KmsKeyId": "", "CompressionType": "GZIP", "S3OutputPath": "s3://b/out"}
    [one] = completed["InputDataConfig"]
    assert (one["CompressionType"], one["RecordWrapperType"]) == ("None", "None")
    assert one["DataSource"]["S3DataSource"]["S3DataDistributionType"] == "FullyReplicated"
    assert "Tags" not in completed
    assert complete(completed) == completed


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"AlgorithmSpecification": {"TrainingInputMode": "File"}}, "TrainingImage"),
        ({"AlgorithmSpecification": {"AlgorithmName": "a", "TrainingInputMode": "File"}}, "AlgorithmName"),
        ({"ResourceConfig": {}}, "ResourceConfig is required"),
        ({"ResourceConfig": {"InstanceCount": 1}}, "InstanceType"),
        ({"ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 0}}, "at least 1"),
        ({"ResourceConfig": {**MINIMAL["ResourceConfig"], "TrainingPlanArn": "arn"}}, "training plans"),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 3_000_000}}, "28 days"),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60}}, "EnableManagedSpotTraining"),
        ({"EnableManagedSpotTraining": True}, "MaxWaitTimeInSeconds is required"),
        ({"OutputDataConfig": {"S3OutputPath": "https://example.com/b"}}, "OutputDataConfig.S3OutputPath"),
        ({"InputDataConfig": [channel(), channel()]}, "more than once"),
        ({"InputDataConfig": [channel({"S3DataType": "AugmentedManifestFile"})]}, "Pipe and AttributeNames"),
        ({"InputDataConfig": [channel({"AttributeNames": ["a"]})]}, "AugmentedManifestFile"),
        ({"InputDataConfig": [channel(RecordWrapperType="RecordIO")]}, "Pipe mode only"),
        ({"InputDataConfig": [channel({"InstanceGroupNames": ["g"]})]}, "instance groups that are not there"),
        ({"InputDataConfig": [{"ChannelName": "a", "DataSource": {}}]}, "no S3DataSource"),
        ({"InputDataConfig": [{"ChannelName": "a", "DataSource": {"FileSystemDataSource": {"x": 1}}}]}, "EFS"),
        ({"CheckpointConfig": {"S3Uri": "s3://b/c", "LocalPath": "/etc"}}, "CheckpointConfig.LocalPath"),
        ({"RemoteDebugConfig": {"EnableRemoteDebug": True}}, "Systems Manager"),
        ({"DebugRuleConfigurations": [{"RuleConfigurationName": "r"}]}, "DebugRuleConfigurations"),
        ({"ServerlessJobConfig": {"BaseModelArn": "a"}}, "ServerlessJobConfig"),
        (
            {"EnableNetworkIsolation": True, "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 2}},
            "isolated hosts",
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused_with_its_name(change: dict[str, Any], words: str) -> None:
    with pytest.raises(AwsError, match=words) as caught:
        complete({**MINIMAL, **change})
    assert caught.value.code == "ValidationException"


def test_members_that_ask_for_nothing_are_not_refused() -> None:
    asked = {"RemoteDebugConfig": {"EnableRemoteDebug": False}, "ProfilerConfig": {"DisableProfiler": True}}
    assert complete({**MINIMAL, **asked, "DebugRuleConfigurations": []})["ProfilerConfig"] == {"DisableProfiler": True}


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("s3://b/k", "s3://b/k"),
        ("https://s3.amazonaws.com/b/k/l", "s3://b/k/l"),
        ("https://s3-eu-west-1.amazonaws.com/b/k", "s3://b/k"),
        ("https://b.s3.eu-west-1.amazonaws.com/k", "s3://b/k"),
    ],
)
def test_urls_of_s3_are_uris_too(text: str, uri: str) -> None:
    assert normal_s3_uri(text, "S3Uri") == uri


@pytest.mark.parametrize("text", ["s3://", "https://[bad", "https://[bad]/x", "http://b.s3.amazonaws.com/k", "b/k", ""])
def test_what_names_no_place_in_s3_is_refused(text: str) -> None:
    with pytest.raises(AwsError, match="does not name a place in S3"):
        normal_s3_uri(text, "S3Uri")

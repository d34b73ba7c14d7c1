"""Search over a bare kernel, with training jobs to be found."""

from typing import Any

import pytest

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms.tests.in_process import Call, Caller

ACCOUNT, REGION = "000000000000", "us-east-1"


@pytest.fixture
def call(caller: Caller) -> Call:
    call = caller("sagemaker", ACCOUNT, REGION)
    for number in range(5):
        call(
            "CreateTrainingJob",
            TrainingJobName=f"job-{number}",
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/any-role",
            AlgorithmSpecification={"TrainingImage": "python", "TrainingInputMode": "File"},
            HyperParameters={"depth": str(number % 3)},
            OutputDataConfig={"S3OutputPath": "s3://bucket/out"},
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1},
            Tags=[{"Key": "even", "Value": str(number % 2 == 0)}],
        )
    return call


def names(answer: dict[str, Any]) -> list[str]:
    return [one["TrainingJob"]["TrainingJobName"] for one in answer["Results"]]


def test_jobs_are_found_by_what_they_are(call: Call) -> None:
    expression = {"Filters": [{"Name": "Tags.even", "Operator": "Equals", "Value": "True"}]}
    assert sorted(names(call("Search", Resource="TrainingJob", SearchExpression=expression))) == [
        "job-0",
        "job-2",
        "job-4",
    ]
    assert names(call("Search", Resource="TrainingJob")) == [f"job-{number}" for number in (4, 3, 2, 1, 0)]


def test_results_are_sorted_and_paged(call: Call) -> None:
    asked = {"Resource": "TrainingJob", "SortBy": "HyperParameters.depth", "SortOrder": "Ascending", "MaxResults": 2}
    found, token = [], None
    for _ in range(3):
        answer = call("Search", **asked, **({"NextToken": token} if token else {}))
        found += names(answer)
        token = answer.get("NextToken")
    assert found == ["job-0", "job-3", "job-1", "job-4", "job-2"]
    assert token is None


def test_properties_are_suggested(call: Call) -> None:
    query = {"PropertyNameQuery": {"PropertyNameHint": "hyper"}}
    answer = call("GetSearchSuggestions", Resource="TrainingJob", SuggestionQuery=query)
    assert answer["PropertyNameSuggestions"] == [{"PropertyName": "HyperParameters.depth"}]


def test_what_cannot_be_searched_is_said(call: Call) -> None:
    with pytest.raises(AwsError, match="cannot search resources of type 'Project'"):
        call("Search", Resource="Project")
    with pytest.raises(AwsError, match="CrossAccount"):
        call("Search", Resource="TrainingJob", CrossAccountFilterOption="CrossAccount")
    with pytest.raises(AwsError, match="token"):
        call("Search", Resource="TrainingJob", NextToken="invented")

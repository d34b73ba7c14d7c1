"""Search expressions over documents."""

from typing import Any

import pytest

from clary.kernel.core.errors import AwsError
from clary.support.search.logic_expressions import check, matches, sort_key

JOB: dict[str, Any] = {
    "TrainingJobName": "churn-7",
    "TrainingJobStatus": "Completed",
    "CreationTime": 1_767_225_600.0,  # 2026-01-01T00:00:00Z
    "EnableManagedSpotTraining": False,
    "ResourceConfig": {"InstanceCount": 2, "InstanceType": "ml.m5.large"},
    "HyperParameters": {"eta": "0.1", "objective": "reg:squarederror", "a.b": "x"},
    "FinalMetricDataList": [{"MetricName": "validation:auc", "Value": 0.93}],
    "Tags": [{"Key": "team", "Value": "red"}],
    "InputDataConfig": [
        {"ChannelName": "train", "DataSource": {"S3DataSource": {"S3Uri": "s3://one/a", "S3DataType": "S3Prefix"}}},
        {"ChannelName": "test", "DataSource": {"S3DataSource": {"S3Uri": "s3://two/b", "S3DataType": "ManifestFile"}}},
    ],
}


def one(name: str, operator: str | None = None, value: str | None = None) -> dict[str, Any]:
    return {"Name": name} | ({"Operator": operator} if operator else {}) | ({"Value": value} if value else {})


@pytest.mark.parametrize(
    "satisfied",
    [
        one("TrainingJobName", None, "churn-7"),
        one("TrainingJobName", "Contains", "churn"),
        one("TrainingJobStatus", "In", "Failed, Completed"),
        one("TrainingJobStatus", "NotEquals", "Failed"),
        one("EnableManagedSpotTraining", "Equals", "false"),
        one("ResourceConfig.InstanceCount", "GreaterThanOrEqualTo", "2"),
        one("HyperParameters.eta", "LessThan", "0.2"),
        one("HyperParameters.eta", "Equals", "0.10"),
        one("HyperParameters.a.b", "Equals", "x"),
        one("Metrics.validation:auc", "GreaterThan", "0.9"),
        one("Tags.team", "Equals", "red"),
        one("Tags.team", "Exists"),
        one("Tags.owner", "NotExists"),
        one("AllTags", "Contains", "re"),
        one("AllTags", "Equals", "team"),
        one("AllParameters", "NotExists"),
        one("CreationTime", "GreaterThan", "2025-12-31T23:59:59Z"),
        one("CreationTime", "LessThan", "1767225601"),
        one("InputDataConfig.DataSource.S3DataSource.S3Uri", "Contains", "two"),
    ],
)
def test_filters_that_hold(satisfied: dict[str, Any]) -> None:
    assert matches(JOB, {"Filters": [satisfied]})


@pytest.mark.parametrize(
    "unsatisfied",
    [
        one("TrainingJobName", None, "churn"),
        one("TrainingJobName", "GreaterThan", "a"),
        one("EnableManagedSpotTraining", "Equals", "true"),
        one("Metrics.validation:auc", "GreaterThan", "0.93"),
        one("Metrics.absent", "LessThan", "1"),
        one("Tags.team", "NotEquals", "red"),
        one("AllTags", "Equals", "blue"),
        one("HyperParameters.objective", "LessThan", "1"),
        one("No.Such.Property", "Equals", "x"),
        one("CreationTime", "Equals", "soon"),
    ],
)
def test_filters_that_do_not(unsatisfied: dict[str, Any]) -> None:
    assert not matches(JOB, {"Filters": [unsatisfied]})


def test_nested_filters_hold_for_one_item_together() -> None:
    def nested(uri: str, kind: str) -> dict[str, Any]:
        source = "InputDataConfig.DataSource.S3DataSource"
        filters = [one(f"{source}.S3Uri", "Contains", uri), one(f"{source}.S3DataType", "Equals", kind)]
        return {"NestedFilters": [{"NestedPropertyName": "InputDataConfig", "Filters": filters}]}

    assert matches(JOB, nested("one", "S3Prefix"))
    assert not matches(JOB, nested("one", "ManifestFile"))


def test_expressions_combine() -> None:
    yes, no = one("Tags.team", "Equals", "red"), one("Tags.team", "Equals", "blue")
    assert matches(JOB, {})
    assert not matches(JOB, {"Filters": [yes, no]})
    assert matches(JOB, {"Filters": [yes, no], "Operator": "Or"})
    assert matches(JOB, {"Filters": [yes], "SubExpressions": [{"Filters": [no, yes], "Operator": "Or"}]})
    assert not matches(JOB, {"Filters": [yes], "SubExpressions": [{"Filters": [no]}]})


@pytest.mark.parametrize("senseless", [one("Tags.team", "Exists", "x"), one("Tags.team", "Equals"), one("A", "In")])
def test_senseless_filters_are_refused(senseless: dict[str, Any]) -> None:
    with pytest.raises(AwsError, match="Value"):
        check({"SubExpressions": [{"Filters": [senseless]}]})


def test_what_lacks_the_property_is_sorted_last() -> None:
    documents = [{"a": "x"}, {}, {"a": 2}, {"a": "10"}, {"a": 1.5}]
    assert sorted(documents, key=lambda document: sort_key(document, "a")) == [
        {"a": 1.5},
        {"a": 2},
        {"a": "10"},
        {"a": "x"},
        {},
    ]

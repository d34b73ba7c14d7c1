"""Metric filters: kept, tried out, and applied to what comes in."""

import pytest

from clary.kernel.core.errors import AwsError
from clary.support.logs.reconcile import apply_metric_filters

HERE = "111122223333", "eu-west-1"


@pytest.fixture
def now(clock):
    return int(clock.now() * 1000)


def metric_filter(call, pattern, value="1", name="f", **transformation):
    call(
        "PutMetricFilter",
        logGroupName="g",
        filterName=name,
        filterPattern=pattern,
        metricTransformations=[
            {"metricName": "M", "metricNamespace": "NS", "metricValue": value, **transformation},
        ],
    )


def values(platform, name="M", dimensions=None):
    (bucket,) = platform.metrics.buckets(*HERE, "NS", name, dimensions or {}, start=0, end=4e9, period=4e9) or [None]
    return sorted(bucket.samples.samples) if bucket else []


@pytest.fixture(autouse=True)
def group(call):
    call("CreateLogGroup", logGroupName="g")


def test_new_events_become_data_once(call, platform, now):
    platform.logs.append(*HERE, "g", "s", [(now, '{"ms": 1}')])
    metric_filter(call, "{ $.ms > 0 }", "$.ms", unit="Milliseconds")
    apply_metric_filters(platform, None)
    assert values(platform) == []
    platform.logs.append(*HERE, "g", "s", [(now, '{"ms": 5}'), (now, '{"ms": -1}'), (now, "none")])
    platform.logs.append(*HERE, "g", "other", [(now, '{"ms": 7.5}')])
    apply_metric_filters(platform, None)
    apply_metric_filters(platform, None)
    assert values(platform) == [(5, 1), (7.5, 1)]
    metric_filter(call, "", "1")
    platform.logs.append(*HERE, "g", "s", [(now, "any")])
    apply_metric_filters(platform, None)
    assert values(platform) == [(1, 1), (5, 1), (7.5, 1)]


def test_dimensions_and_defaults(call, platform, now):
    metric_filter(call, "[host, status, ms]", "$ms", dimensions={"Host": "$host"})
    metric_filter(call, "ERROR", "1", "errors", defaultValue=0)
    platform.logs.append(*HERE, "g", "s", [(now, "a 200 5"), (now, "b 200 7"), (now, "a 500 9")])
    apply_metric_filters(platform, None)
    assert values(platform, dimensions={"Host": "a"}) == [(5, 1), (9, 1)]
    assert values(platform, dimensions={"Host": "b"}) == [(7, 1)]
    assert values(platform) == [(0, 1)]


def test_a_filter_goes_with_its_group(call, platform, now):
    metric_filter(call, "")
    assert call("DescribeLogGroups")["logGroups"][0]["metricFilterCount"] == 1
    platform.logs.delete_group(*HERE, "g")
    call("CreateLogGroup", logGroupName="g")
    platform.logs.append(*HERE, "g", "s", [(now, "x")])
    apply_metric_filters(platform, None)
    assert values(platform) == []
    assert call("DescribeMetricFilters", logGroupName="g")["metricFilters"] == []


def test_filters_list_by_group_prefix_metric_and_page(call, clock):
    for name in ("b1", "b2", "a"):
        metric_filter(call, "x", name=name, metricName=f"M-{name}")
    listed = call("DescribeMetricFilters", logGroupName="g")["metricFilters"]
    assert [each["filterName"] for each in listed] == ["a", "b1", "b2"]
    assert listed[0]["creationTime"] == int(clock.now() * 1000)
    assert listed[0]["metricTransformations"][0]["metricName"] == "M-a"
    first = call("DescribeMetricFilters", filterNamePrefix="b", limit=1)
    rest = call("DescribeMetricFilters", filterNamePrefix="b", nextToken=first["nextToken"])
    assert [each["filterName"] for each in first["metricFilters"] + rest["metricFilters"]] == ["b1", "b2"]
    of_metric = call("DescribeMetricFilters", metricName="M-b2", metricNamespace="NS")["metricFilters"]
    assert [each["filterName"] for each in of_metric] == ["b2"]
    call("DeleteMetricFilter", logGroupName="g", filterName="a")
    with pytest.raises(AwsError, match="metric filter does not exist"):
        call("DeleteMetricFilter", logGroupName="g", filterName="a")


@pytest.mark.parametrize(
    ("pattern", "transformation"),
    [
        ("a:b", {}),
        ("x", {"metricValue": "five"}),
        ("[a]", {"dimensions": {"A": "$a"}, "defaultValue": 0.0}),
        ("[a]", {"dimensions": dict.fromkeys("ABCD", "$a")}),
    ],
)
def test_what_cannot_be_applied_is_refused(call, pattern, transformation):
    with pytest.raises(AwsError) as caught:
        metric_filter(call, pattern, **{"value": transformation.pop("metricValue", "1"), **transformation})
    assert caught.value.code == "InvalidParameterException"


def test_a_pattern_can_be_tried_out(call):
    answer = call("TestMetricFilter", filterPattern="[..., ms > 5]", logEventMessages=["a 3", "a 7", "b 9"])
    assert answer == {
        "matches": [
            {"eventNumber": 2, "eventMessage": "a 7", "extractedValues": {"$ms": "7"}},
            {"eventNumber": 3, "eventMessage": "b 9", "extractedValues": {"$ms": "9"}},
        ]
    }

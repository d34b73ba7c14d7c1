"""Metrics through the API: put, statistics, data, list."""

import pytest

from clary.kernel.core.errors import AwsError

MINUTE = 60
DAY = 24 * 3600


def refused(code, text, call, *args, **params):
    with pytest.raises(AwsError) as caught:
        call(*args, **params)
    assert caught.value.code == code
    assert text in caught.value.message


def span(clock, seconds=600):
    return {"StartTime": clock.now() - seconds, "EndTime": clock.now() + 60}


def stat(name="M", statistic="Sum", period=60, **query):
    metric = {"Namespace": "NS", "MetricName": name}
    return {"Id": "m1", "MetricStat": {"Metric": metric, "Period": period, "Stat": statistic}, **query}


def test_statistics_by_period(call, put, clock):
    for ago, value in ((120, 1.0), (120, 3.0), (60, 5.0)):
        put("M", value, ago, Unit="Seconds", Dimensions=[{"Name": "TrainingJobName", "Value": "j"}])
    answer = call(
        "GetMetricStatistics",
        Namespace="NS",
        MetricName="M",
        Dimensions=[{"Name": "TrainingJobName", "Value": "j"}],
        Period=60,
        Statistics=["Average", "SampleCount", "Maximum"],
        **span(clock),
    )
    assert answer == {
        "Label": "M",
        "Datapoints": [
            {"Timestamp": clock.now() - 120, "Unit": "Seconds", "Average": 2, "SampleCount": 2, "Maximum": 3},
            {"Timestamp": clock.now() - 60, "Unit": "Seconds", "Average": 5, "SampleCount": 1, "Maximum": 5},
        ],
    }


def test_extended_statistics_and_units(call, put, clock):
    call(
        "PutMetricData",
        Namespace="NS",
        MetricData=[
            {"MetricName": "M", "Values": [1.0, 100.0], "Counts": [98.0, 2.0], "Unit": "Count"},
            {
                "MetricName": "M",
                "StatisticValues": {"SampleCount": 2, "Sum": 3, "Minimum": 1, "Maximum": 2},
                "Unit": "Bytes",
            },
        ],
    )
    get = {"Namespace": "NS", "MetricName": "M", "Period": 60, **span(clock)}
    answer = call("GetMetricStatistics", **get, ExtendedStatistics=["p98", "p99", "tm98"])
    (point,) = answer["Datapoints"]
    assert (point["Unit"], point["ExtendedStatistics"]) == ("Count", {"p98": 1, "p99": 100, "tm98": 1})
    both = call("GetMetricStatistics", **get, Statistics=["Sum"])["Datapoints"]
    assert [(point["Unit"], point["Sum"]) for point in both] == [("Bytes", 3), ("Count", 298)]
    only = call("GetMetricStatistics", **get, Statistics=["Sum"], Unit="Bytes")["Datapoints"]
    assert [point["Sum"] for point in only] == [3]


def test_statistics_refuse_what_cannot_be_answered(call, clock):
    get = {"Namespace": "NS", "MetricName": "M", "Statistics": ["Sum"]}
    refused("InvalidParameterCombination", "1,440", call, "GetMetricStatistics", **get, Period=60, **span(clock, DAY))
    refused("InvalidParameterValue", "multiple of 60", call, "GetMetricStatistics", **get, Period=61, **span(clock))
    backwards = {"StartTime": clock.now(), "EndTime": clock.now() - 1}
    refused("ValidationError", "StartTime", call, "GetMetricStatistics", **get, Period=60, **backwards)
    del get["Statistics"]
    refused("InvalidParameterCombination", "either", call, "GetMetricStatistics", **get, Period=60, **span(clock))
    wrong = {**get, "ExtendedStatistics": ["p101"]}
    refused("InvalidParameterValue", "p101", call, "GetMetricStatistics", **wrong, Period=60, **span(clock))


@pytest.mark.parametrize(
    ("code", "datum"),
    [
        ("MissingParameter", {}),
        ("InvalidParameterCombination", {"Value": 1.0, "Values": [1.0]}),
        ("InvalidParameterValue", {"Value": float("nan")}),
        ("InvalidParameterValue", {"Value": 1e200}),
        ("InvalidParameterValue", {"Value": 1.0, "StorageResolution": 30}),
        ("InvalidParameterValue", {"Values": [1.0], "Counts": [1.0, 2.0]}),
        ("InvalidParameterValue", {"Values": [1.0], "Counts": [-1.0]}),
        ("InvalidParameterValue", {"Values": [1.0] * 151}),
        ("InvalidParameterValue", {"StatisticValues": {"SampleCount": 1, "Sum": 1, "Minimum": 2, "Maximum": 1}}),
        ("InvalidParameterValue", {"Value": 1.0, "Timestamp": 1_750_000_020.0 - 15 * DAY}),
        ("InvalidParameterValue", {"Value": 1.0, "Timestamp": 1_750_000_020.0 + 3 * 3600}),
    ],
)
def test_data_without_sense_are_refused_and_nothing_is_kept(call, code, datum):
    data = [{"MetricName": "fine", "Value": 1.0}, {"MetricName": "M", **datum}]
    refused(code, "MetricData.member.2", call, "PutMetricData", Namespace="NS", MetricData=data)
    assert call("ListMetrics")["Metrics"] == []


def test_aws_namespaces_are_reserved(call):
    one = [{"MetricName": "M", "Value": 1.0}]
    refused("InvalidParameterValue", "AWS/", call, "PutMetricData", Namespace="AWS/EC2", MetricData=one)
    refused("InvalidParameterValue", "size", call, "PutMetricData", Namespace="NS", MetricData=one * 1001)
    refused("MissingParameter", "MetricData", call, "PutMetricData", Namespace="NS")


def test_metric_data_of_metrics_and_expressions(call, put, clock):
    for ago, value in ((180, 1.0), (120, 2.0), (60, 3.0)):
        put("M", value, ago)
        put("N", value * 10, ago)
    queries = [
        stat("M", ReturnData=False),
        stat("N") | {"Id": "m2", "Label": "enn"},
        {"Id": "e2", "Expression": "e1 * 2"},
        {"Id": "e1", "Expression": "m1 + m2", "Label": "both", "ReturnData": False},
        {"Id": "every", "Expression": "METRICS()", "Label": "of"},
    ]
    answer = call("GetMetricData", MetricDataQueries=queries, ScanBy="TimestampAscending", **span(clock))
    found = [(each["Id"], each["Label"], each["Values"]) for each in answer["MetricDataResults"]]
    assert found == [
        ("m2", "enn", [10, 20, 30]),
        ("e2", "e2", [22, 44, 66]),
        ("every", "of M", [1, 2, 3]),
        ("every", "of enn", [10, 20, 30]),
    ]
    newest = call("GetMetricData", MetricDataQueries=queries[1:2], **span(clock))["MetricDataResults"][0]
    assert newest["Values"] == [30, 20, 10]
    assert newest["Timestamps"][0] == clock.now() - 60


@pytest.mark.parametrize("moment", [float("nan"), float("inf"), -1.0, 1e17, 1e300])
def test_times_that_no_calendar_has_are_refused(call, clock, moment):
    get = {"Namespace": "NS", "MetricName": "M", "Period": 60, "Statistics": ["Sum"]}
    for span in ({"StartTime": moment, "EndTime": clock.now()}, {"StartTime": clock.now(), "EndTime": moment}):
        refused("InvalidParameterValue", "timestamp", call, "GetMetricStatistics", **get, **span)
        refused("InvalidParameterValue", "timestamp", call, "GetMetricData", MetricDataQueries=[stat()], **span)


def test_metric_data_come_in_pages(call, put, clock):
    for ago in (180, 120, 60):
        put("M", float(ago), ago)
    queries = [stat("M"), stat("none") | {"Id": "none"}, stat("M", "Maximum") | {"Id": "m2"}]
    ask = {"MetricDataQueries": queries, "ScanBy": "TimestampAscending", "MaxDatapoints": 2, **span(clock)}
    first = call("GetMetricData", **ask)
    second = call("GetMetricData", **ask, NextToken=first["NextToken"])
    third = call("GetMetricData", **ask, NextToken=second["NextToken"])
    pages = [
        [(each["Id"], each["Values"], each["StatusCode"]) for each in page["MetricDataResults"]]
        for page in (first, second, third)
    ]
    assert pages == [
        [("m1", [180, 120], "PartialData"), ("none", [], "Complete")],
        [("m1", [60], "Complete"), ("m2", [180], "PartialData")],
        [("m2", [120, 60], "Complete")],
    ]
    assert third["NextToken"] is None
    refused("InvalidNextToken", "NextToken", call, "GetMetricData", **ask, NextToken="x")


@pytest.mark.parametrize(
    ("text", "queries"),
    [
        ("must be unique", [stat(), stat()]),
        ("expected pattern", [stat() | {"Id": "Upper"}]),
        ("either MetricStat or Expression", [{"Id": "a"}]),
        ("no query with the id 'b'", [{"Id": "a", "Expression": "b + 1"}]),
        ("depends on itself", [{"Id": "a", "Expression": "b"}, {"Id": "b", "Expression": "a"}]),
        ("SEARCH is not supported", [{"Id": "a", "Expression": "SEARCH('x', 'Sum')"}]),
        ("SELECT", [{"Id": "a", "Expression": "SELECT AVG(x) FROM y"}]),
        ("single number", [stat(), {"Id": "a", "Expression": "SUM(m1) + 1"}]),
        ("Stat is not valid", [stat(statistic="Median")]),
        ("is not linked", [stat() | {"AccountId": "999999999999"}]),
    ],
)
def test_queries_that_cannot_be_worked_out_are_refused(call, put, clock, text, queries):
    put("M", 1.0, 60)
    refused("ValidationError", text, call, "GetMetricData", MetricDataQueries=queries, **span(clock))


def test_deeply_linked_queries_are_worked_out_once_each(call, put, clock):
    put("M", 1.0, 60)
    chain = [{"Id": f"e{n}", "Expression": f"e{n - 1} + e{n - 2}", "ReturnData": n == 60} for n in range(2, 61)]
    queries = [stat() | {"Id": "e0"}, stat() | {"Id": "e1"}, *chain]
    answer = call("GetMetricData", MetricDataQueries=queries, **span(clock))
    assert answer["MetricDataResults"][-1]["Values"] == [2504730781961]


def test_metrics_list_by_name_dimension_and_activity(call, put, clock):
    put("M", 1.0, Dimensions=[{"Name": "Job", "Value": "a"}, {"Name": "Host", "Value": "x"}])
    put("M", 1.0, ago=4 * 3600, Dimensions=[{"Name": "Job", "Value": "b"}])
    put("N", 1.0)

    def jobs(**params):
        return [
            {each["Name"]: each["Value"] for each in metric["Dimensions"]}.get("Job")
            for metric in call("ListMetrics", **params)["Metrics"]
        ]

    assert sorted(jobs(Namespace="NS", MetricName="M")) == ["a", "b"]
    assert jobs(Dimensions=[{"Name": "Job", "Value": "b"}]) == ["b"]
    assert sorted(jobs(Dimensions=[{"Name": "Job"}])) == ["a", "b"]
    assert sorted(jobs(MetricName="M", RecentlyActive="PT3H")) == ["a"]
    assert jobs(OwningAccount="999999999999") == []
    clock.advance(15 * DAY)
    assert jobs() == []


def test_metrics_list_in_pages_of_500(call, clock):
    for start in range(0, 600, 300):
        data = [{"MetricName": f"m{number:03d}", "Value": 1.0} for number in range(start, start + 300)]
        call("PutMetricData", Namespace="NS", MetricData=data)
    first = call("ListMetrics")
    rest = call("ListMetrics", NextToken=first["NextToken"])
    names = [metric["MetricName"] for metric in first["Metrics"] + rest["Metrics"]]
    assert names == [f"m{number:03d}" for number in range(600)]
    assert rest["NextToken"] is None
    refused("InvalidNextToken", "NextToken", call, "ListMetrics", NextToken="nonsense")

"""What a real client sees over a real socket: models, paginators, waiters, errors."""

from datetime import UTC, datetime, timedelta

import pytest


@pytest.fixture
def cloudwatch(server):
    return server.client("cloudwatch")


@pytest.fixture
def now():
    return datetime.now(UTC)  # noqa: TID251 - the server's clock is the machine's


def test_metrics_go_in_and_come_out_of_every_door(cloudwatch, unique, now):
    namespace = unique("/tests/metrics")
    dimensions = [{"Name": "TrainingJobName", "Value": "j"}]
    data = [{"MetricName": "loss", "Dimensions": dimensions, "Value": value, "Timestamp": now} for value in (1.0, 3.0)]
    cloudwatch.put_metric_data(Namespace=namespace, MetricData=data)
    pages = cloudwatch.get_paginator("list_metrics").paginate(Namespace=namespace)
    metric = {"Namespace": namespace, "MetricName": "loss", "Dimensions": dimensions}
    assert [found for page in pages for found in page["Metrics"]] == [metric]
    span = {"StartTime": now - timedelta(minutes=5), "EndTime": now + timedelta(minutes=5)}
    (point,) = cloudwatch.get_metric_statistics(**metric, **span, Period=60, Statistics=["Average"])["Datapoints"]
    assert (point["Average"], point["Unit"]) == (2.0, "None")
    assert point["Timestamp"] == now.replace(second=0, microsecond=0)
    queries = [
        {"Id": "m", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}, "ReturnData": False},
        {"Id": "e", "Expression": "m * 100"},
    ]
    (result,) = cloudwatch.get_metric_data(MetricDataQueries=queries, **span)["MetricDataResults"]
    assert (result["Id"], result["Values"], result["StatusCode"]) == ("e", [400.0], "Complete")


def test_the_reconciler_of_a_running_server_evaluates_alarms(cloudwatch, unique, now):
    namespace, name = unique("/tests/metrics"), unique("alarm")
    past = now - timedelta(minutes=1)
    cloudwatch.put_metric_data(Namespace=namespace, MetricData=[{"MetricName": "m", "Value": 9.0, "Timestamp": past}])
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace=namespace,
        MetricName="m",
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=5.0,
        ComparisonOperator="GreaterThanThreshold",
    )
    cloudwatch.get_waiter("alarm_exists").wait(
        AlarmNames=[name], StateValue="ALARM", WaiterConfig={"Delay": 1, "MaxAttempts": 180}
    )
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    assert "9" in alarm["StateReason"]
    cloudwatch.delete_alarms(AlarmNames=[name])
    with pytest.raises(cloudwatch.exceptions.ResourceNotFound):
        cloudwatch.delete_alarms(AlarmNames=[name])


def test_errors_are_modelled(cloudwatch, unique):
    with pytest.raises(cloudwatch.exceptions.InvalidParameterValueException):
        cloudwatch.put_metric_data(Namespace="AWS/Mine", MetricData=[{"MetricName": "m", "Value": 1.0}])
    with pytest.raises(cloudwatch.exceptions.ResourceNotFound):
        cloudwatch.get_dashboard(DashboardName=unique("none"))
    with pytest.raises(cloudwatch.exceptions.DashboardInvalidInputError) as caught:
        cloudwatch.put_dashboard(DashboardName="d", DashboardBody="{")
    assert caught.value.response["dashboardValidationMessages"][0]["DataPath"] == "/"

"""Alarms: kept, evaluated by the reconciler, and what they set off."""

import json

import pytest

from clary.kernel.core.errors import AwsError
from clary.support.cloudwatch.reconcile import sweep, watch_alarms

TOPIC = "arn:aws:sns:eu-west-1:111122223333:topic"
ARN = "arn:aws:cloudwatch:eu-west-1:111122223333:alarm:a"


def alarm(call, name="a", **settings):
    given = {
        "Namespace": "NS",
        "MetricName": "M",
        "Statistic": "Average",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 5.0,
        "ComparisonOperator": "GreaterThanThreshold",
        **settings,
    }
    call("PutMetricAlarm", AlarmName=name, **{key: value for key, value in given.items() if value is not None})


def state(call, name="a"):
    (found,) = call("DescribeAlarms", AlarmNames=[name])["MetricAlarms"]
    return found["StateValue"]


def refused(code, text, call, *args, **params):
    with pytest.raises(AwsError) as caught:
        call(*args, **params)
    assert caught.value.code == code
    assert text in caught.value.message


def history(call, **params):
    return [item["HistorySummary"] for item in call("DescribeAlarmHistory", **params)["AlarmHistoryItems"]]


def test_an_alarm_follows_its_metric(call, put, clock, platform):
    alarm(call)
    assert state(call) == "INSUFFICIENT_DATA"
    put("M", 9.0, ago=30)
    watch_alarms(platform, None)
    assert state(call) == "ALARM"
    put("M", 1.0)
    watch_alarms(platform, None)
    assert state(call) == "ALARM", "a period that is not over does not count"
    clock.advance(60)
    watch_alarms(platform, None)
    assert state(call) == "OK"
    clock.advance(300)
    watch_alarms(platform, None)
    assert state(call) == "INSUFFICIENT_DATA"
    (found,) = call("DescribeAlarms")["MetricAlarms"]
    assert found["StateReason"] == "Insufficient Data: 1 datapoint was unknown."
    assert found["StateUpdatedTimestamp"] == clock.now()


def test_an_alarm_on_an_expression(call, put, platform):
    def metric(id, name):
        stat = {"Metric": {"Namespace": "NS", "MetricName": name}, "Period": 60, "Stat": "Sum"}
        return {"Id": id, "MetricStat": stat, "ReturnData": False}

    alarm(
        call,
        Metrics=[metric("bad", "errors"), metric("all", "calls"), {"Id": "rate", "Expression": "100 * bad / all"}],
        Namespace=None,
        MetricName=None,
        Statistic=None,
        Period=None,
    )
    put("calls", 200.0, ago=30)
    put("errors", 12.0, ago=30)
    watch_alarms(platform, None)
    assert state(call) == "ALARM"
    watching = call("DescribeAlarmsForMetric", Namespace="NS", MetricName="errors")["MetricAlarms"]
    assert [found["AlarmName"] for found in watching] == ["a"]


def test_percentiles_with_few_samples_may_be_left_alone(call, put, platform):
    alarm(call, Statistic=None, ExtendedStatistic="p99", EvaluateLowSampleCountPercentile="ignore")
    alarm(call, "b", Statistic=None, ExtendedStatistic="p99")
    put("M", 9.0, ago=30)
    watch_alarms(platform, None)
    assert (state(call), state(call, "b")) == ("INSUFFICIENT_DATA", "ALARM")


def test_a_change_of_state_sets_off_actions_and_is_written_down(call, put, platform, clock):
    alarm(call, AlarmActions=[TOPIC, "arn:aws:automate:eu-west-1:ec2:stop"], AlarmDescription="too high")
    put("M", 9.0, ago=30)
    watch_alarms(platform, None)
    actions = call("DescribeAlarmHistory", AlarmName="a", HistoryItemType="Action")["AlarmHistoryItems"]
    assert len(actions) == 2
    assert {json.loads(item["HistoryData"])["notificationResource"] for item in actions} == {
        TOPIC,
        "arn:aws:automate:eu-west-1:ec2:stop",
    }
    assert any("no action of automate" in item["HistorySummary"] for item in actions)
    clock.advance(1)
    watch_alarms(platform, None)
    assert len(history(call, HistoryItemType="Action")) == 2, "no change, no action"
    assert history(call, HistoryItemType="StateUpdate") == ["Alarm updated from INSUFFICIENT_DATA to ALARM"]
    assert history(call, ScanBy="TimestampAscending")[0] == 'Alarm "a" created'
    clock.advance(31 * 24 * 3600)
    sweep(platform, None)
    assert history(call) == []


def test_actions_can_be_turned_off(call, platform):
    alarm(call, AlarmActions=[TOPIC])
    call("DisableAlarmActions", AlarmNames=["a", "none"])
    call("SetAlarmState", AlarmName="a", StateValue="ALARM", StateReason="try")
    watch_alarms(platform, "111122223333/eu-west-1/a")
    assert history(call, HistoryItemType="Action") == []
    call("EnableAlarmActions", AlarmNames=["a"])
    call("SetAlarmState", AlarmName="a", StateValue="OK", StateReason="try")
    call("SetAlarmState", AlarmName="a", StateValue="ALARM", StateReason="try")
    watch_alarms(platform, "111122223333/eu-west-1/a")
    assert len(history(call, HistoryItemType="Action")) == 1
    refused("ResourceNotFound", "none", call, "SetAlarmState", AlarmName="none", StateValue="OK", StateReason="x")


def test_overwriting_an_alarm_keeps_its_state(call):
    alarm(call)
    call("SetAlarmState", AlarmName="a", StateValue="OK", StateReason="fine")
    alarm(call, Threshold=7.0, Dimensions=[{"Name": "d", "Value": "v"}])
    (found,) = call("DescribeAlarms")["MetricAlarms"]
    assert (found["StateValue"], found["Threshold"]) == ("OK", 7)
    of_metric = {"Namespace": "NS", "MetricName": "M"}
    assert call("DescribeAlarmsForMetric", **of_metric)["MetricAlarms"] == []
    with_dimension = call("DescribeAlarmsForMetric", **of_metric, Dimensions=[{"Name": "d", "Value": "v"}])
    assert len(with_dimension["MetricAlarms"]) == 1


def test_alarms_list_by_prefix_state_action_and_page(call):
    for name in ("b1", "b2", "b3", "c"):
        alarm(call, name, AlarmActions=[TOPIC] if name == "c" else None)
    call("SetAlarmState", AlarmName="b2", StateValue="OK", StateReason="x")

    def names(**params):
        return [found["AlarmName"] for found in call("DescribeAlarms", **params)["MetricAlarms"]]

    assert names(AlarmNamePrefix="b") == ["b1", "b2", "b3"]
    assert names(StateValue="OK") == ["b2"]
    assert names(ActionPrefix="arn:aws:sns:") == ["c"]
    assert names(AlarmTypes=["CompositeAlarm"]) == []
    first = call("DescribeAlarms", MaxRecords=3)
    assert names(NextToken=first["NextToken"]) == ["c"]


def test_deleting_is_all_or_nothing(call):
    alarm(call, "a", Tags=[{"Key": "k", "Value": "v"}])
    refused("ResourceNotFound", "none", call, "DeleteAlarms", AlarmNames=["a", "none"])
    assert state(call) == "INSUFFICIENT_DATA"
    assert call("ListTagsForResource", ResourceARN=ARN) == {"Tags": [{"Key": "k", "Value": "v"}]}
    call("TagResource", ResourceARN=ARN, Tags=[{"Key": "l", "Value": "w"}])
    call("UntagResource", ResourceARN=ARN, TagKeys=["k"])
    assert call("ListTagsForResource", ResourceARN=ARN) == {"Tags": [{"Key": "l", "Value": "w"}]}
    call("DeleteAlarms", AlarmNames=["a"])
    refused("ResourceNotFoundException", "does not exist", call, "ListTagsForResource", ResourceARN=ARN)
    alarm(call)
    assert call("ListTagsForResource", ResourceARN=ARN) == {"Tags": []}


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("Threshold is required", {"Threshold": None}),
        ("anomaly", {"ComparisonOperator": "GreaterThanUpperThreshold"}),
        ("TreatMissingData", {"TreatMissingData": "panic"}),
        ("MetricName is required", {"MetricName": None}),
        ("either Statistic", {"ExtendedStatistic": "p99"}),
        ("not valid", {"Statistic": None, "ExtendedStatistic": "p999"}),
        ("DatapointsToAlarm", {"DatapointsToAlarm": 2}),
        ("more than 1 day", {"EvaluationPeriods": 1441}),
        ("must not be given together", {"Metrics": [{"Id": "a", "Expression": "1"}]}),
    ],
)
def test_settings_that_cannot_be_evaluated_are_refused(call, text, settings):
    refused("ValidationError", text, alarm, call, **settings)


def test_exactly_one_expression_returns_data(call):
    bare = {"Namespace": None, "MetricName": None, "Statistic": None, "Period": None}
    stat = {"Metric": {"Namespace": "NS", "MetricName": "M"}, "Period": 60, "Stat": "Sum"}
    two = [{"Id": "a", "MetricStat": stat}, {"Id": "b", "Expression": "a + 1"}]
    refused("ValidationError", "Exactly one", alarm, call, Metrics=two, **bare)

"""Objects of buckets that ask for it, alarms and queries are told as S3, CloudWatch and Athena tell of them."""

import json

import pytest

BUCKET = "incoming"


@pytest.fixture
def told(call, queue):
    """The URL of a queue that is told of everything of one source."""

    def make(source):
        arn, url = queue("told")
        call("PutRule", Name="told", EventPattern=json.dumps({"source": [source]}))
        call("PutTargets", Rule="told", Targets=[{"Id": "q", "Arn": arn}])
        return url

    return make


def test_objects_come_and_go(caller, told, reconcile, delivered, platform):
    url, s3 = told("aws.s3"), caller("s3")
    place = {"LocationConstraint": "eu-west-1"}
    s3("CreateBucket", Bucket=BUCKET, CreateBucketConfiguration=place)
    topic = "arn:aws:sns:eu-west-1:111122223333:later"
    rules = {
        "EventBridgeConfiguration": {},
        "TopicConfigurations": [{"TopicArn": topic, "Events": ["s3:ObjectRemoved:*"]}],
    }
    s3("PutBucketNotificationConfiguration", Bucket=BUCKET, NotificationConfiguration=rules)
    platform.objects.put_bytes(BUCKET, "in/a.csv", b"1,2\n")
    s3("DeleteObject", Bucket=BUCKET, Key="in/a.csv")
    reconcile("events-objects")
    created, deleted = sorted(map(json.loads, delivered(url)), key=lambda event: event["detail-type"])
    assert (created["detail-type"], created["resources"]) == ("Object Created", [f"arn:aws:s3:::{BUCKET}"])
    assert created["detail"]["bucket"] == {"name": BUCKET}
    assert (created["detail"]["object"]["key"], created["detail"]["object"]["size"]) == ("in/a.csv", 4)
    assert (created["detail"]["reason"], deleted["detail"]["reason"]) == ("PutObject", "DeleteObject")
    assert deleted["detail"]["deletion-type"] == "Permanently Deleted"
    left = [event for _, event in platform.objects.events.waiting()]
    assert [(event["event"], event["event_bridge"]) for event in left] == [("s3:ObjectRemoved:Delete", False)]
    reconcile("events-objects")
    assert delivered(url) == []


def test_an_alarm_that_goes_off(caller, told, reconcile, delivered):
    url, cloudwatch = told("aws.cloudwatch"), caller("cloudwatch")
    cloudwatch(
        "PutMetricAlarm",
        AlarmName="high",
        Namespace="shop",
        MetricName="load",
        Statistic="Average",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanThreshold",
    )
    cloudwatch("SetAlarmState", AlarmName="high", StateValue="ALARM", StateReason="by hand")
    reconcile("eventbridge-observer")
    event = json.loads(delivered(url)[-1])
    assert (event["detail-type"], event["detail"]["alarmName"]) == ("CloudWatch Alarm State Change", "high")
    assert event["resources"] == ["arn:aws:cloudwatch:eu-west-1:111122223333:alarm:high"]
    assert (event["detail"]["state"]["value"], event["detail"]["state"]["reason"]) == ("ALARM", "by hand")
    assert event["detail"]["previousState"]["value"] == "INSUFFICIENT_DATA"
    (metric,) = event["detail"]["configuration"]["metrics"]
    assert metric["metricStat"]["metric"]["namespace"] == "shop"


def test_a_query_that_is_cancelled(caller, told, reconcile, delivered, platform):
    url, athena = told("aws.athena"), caller("athena")
    platform.objects.buckets.create("results", "111122223333", "eu-west-1")
    results = {"OutputLocation": "s3://results/"}
    query = athena("StartQueryExecution", QueryString="SELECT 1", ResultConfiguration=results)["QueryExecutionId"]
    athena("StopQueryExecution", QueryExecutionId=query)
    reconcile("eventbridge-observer")
    started, stopped = [json.loads(each) for each in delivered(url)]
    assert started["detail-type"] == stopped["detail-type"] == "Athena Query State Change"
    assert (started["detail"]["currentState"], started["detail"]["sequenceNumber"]) == ("QUEUED", "1")
    assert stopped["detail"] == {
        "versionId": "0",
        "currentState": "CANCELLED",
        "previousState": "QUEUED",
        "statementType": "DML",
        "queryExecutionId": query,
        "workgroupName": "primary",
        "sequenceNumber": "2",
    }

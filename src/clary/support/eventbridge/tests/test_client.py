"""What real clients see: a training job's end in a queue, a topic and a function; schedules; kill -9 loses nothing."""

import io
import json
import zipfile
from datetime import UTC, datetime

import pytest

from clary.kernel.core.clock import SystemClock
from clary.testing import eventually, kill_role, start_server, stop_server

ACCOUNT = "000000000000"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/for-events"
FUNCTION = "def handler(event, context): print('told of', event['detail']['TrainingJobName'])"


@pytest.fixture
def queue(server, unique):
    """`queue("jobs")`: the URL and ARN of a new queue."""
    sqs = server.client("sqs")

    def make(prefix):
        url = sqs.create_queue(QueueName=unique(prefix))["QueueUrl"]
        return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    return make


def received(client, url):
    """Waits for one message; its body."""

    def look():
        return client.receive_message(QueueUrl=url, WaitTimeSeconds=5).get("Messages")

    (message,) = eventually(look)
    client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return message["Body"]


def test_the_end_of_a_training_job_is_told_to_queue_topic_and_function(server, unique, queue):
    sqs, sns, events = (server.client(name) for name in ("sqs", "sns", "events"))
    job, rule, function = unique("job"), unique("jobs"), unique("told")
    direct, direct_arn = queue("direct")
    behind, behind_arn = queue("behind")
    topic = sns.create_topic(Name=unique("news"))["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=behind_arn, Attributes={"RawMessageDelivery": "true"})
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("app.py", FUNCTION)
    made = server.client("lambda").create_function(
        FunctionName=function,
        Runtime="python3.12",
        Handler="app.handler",
        Role=ROLE,
        Code={"ZipFile": code.getvalue()},
        Timeout=60,
    )
    pattern = {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Training Job State Change"],
        "detail": {"TrainingJobName": [job], "TrainingJobStatus": ["Completed", "Failed"]},
    }
    events.put_rule(Name=rule, EventPattern=json.dumps(pattern))
    template = {"InputPathsMap": {"s": "$.detail.TrainingJobStatus"}, "InputTemplate": '"the job has <s>"'}
    targets = [
        {"Id": "queue", "Arn": direct_arn},
        {"Id": "topic", "Arn": topic, "InputTransformer": template},
        {"Id": "function", "Arn": made["FunctionArn"]},
    ]
    assert events.put_targets(Rule=rule, Targets=targets)["FailedEntryCount"] == 0
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{unique('nowhere')}/train"}}
    server.client("sagemaker").create_training_job(
        TrainingJobName=job,
        RoleArn=ROLE,
        AlgorithmSpecification={
            "TrainingImage": "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1",
            "TrainingInputMode": "File",
        },
        InputDataConfig=[{"ChannelName": "train", "DataSource": source}],
        OutputDataConfig={"S3OutputPath": "s3://nowhere/out"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
    )
    event = json.loads(received(sqs, direct))
    described = server.client("sagemaker").describe_training_job(TrainingJobName=job)
    assert event["detail"]["TrainingJobStatus"] == described["TrainingJobStatus"] == "Failed"
    assert event["detail"]["FailureReason"] == described["FailureReason"]
    assert event["resources"] == [described["TrainingJobArn"]]
    assert received(sqs, behind) == '"the job has Failed"'
    logs, group = server.client("logs"), f"/aws/lambda/{function}"

    def told():
        try:
            return logs.filter_log_events(logGroupName=group, filterPattern=f'"told of {job}"')["events"]
        except logs.exceptions.ResourceNotFoundException:
            return None

    assert eventually(told)
    events.remove_targets(Rule=rule, Ids=["queue", "topic", "function"])
    events.delete_rule(Name=rule)


def test_schedules_call_at_their_time(server, unique, queue):
    sqs, scheduler = server.client("sqs"), server.client("scheduler")
    url, arn = queue("due")
    name = unique("once")
    once = {
        "Name": name,
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "ActionAfterCompletion": "DELETE",
        "Target": {"Arn": arn, "RoleArn": ROLE, "Input": '{"run": "<aws.scheduler.execution-id>"}'},
    }
    scheduler.create_schedule(ScheduleExpression="at(2099-01-01T00:00:00)", **once)
    got = scheduler.get_schedule(Name=name)
    assert (got["Target"]["Arn"], got["State"], got["ScheduleExpressionTimezone"]) == (arn, "ENABLED", "UTC")
    soon = SystemClock().now() + 6  # still to come when the server hears of it
    at = f"at({datetime.fromtimestamp(soon, UTC):%Y-%m-%dT%H:%M:%S})"
    scheduler.update_schedule(ScheduleExpression=at, **once)
    assert len(json.loads(received(sqs, url))["run"]) == 36
    with pytest.raises(scheduler.exceptions.ResourceNotFoundException):
        eventually(lambda: not scheduler.get_schedule(Name=name))
    scheduler.create_schedule(
        Name=name,
        ScheduleExpression="rate(1 hour)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={
            "Arn": "arn:aws:scheduler:::aws-sdk:sqs:sendMessage",
            "RoleArn": ROLE,
            "Input": json.dumps({"QueueUrl": url, "MessageBody": "by any operation"}),
        },
    )
    assert received(sqs, url) == "by any operation"
    scheduler.delete_schedule(Name=name)
    with pytest.raises(scheduler.exceptions.ValidationException):
        scheduler.create_schedule(
            Name=name,
            ScheduleExpression="rate(0 hours)",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": arn, "RoleArn": ROLE},
        )


def test_errors_have_the_names_that_programs_catch(server):
    events = server.client("events")
    with pytest.raises(events.exceptions.ResourceNotFoundException):
        events.describe_rule(Name="nothing")
    with pytest.raises(events.exceptions.InvalidEventPatternException, match="Event pattern is not valid"):
        events.put_rule(Name="nothing", EventPattern="{}")


@pytest.mark.slow
def test_what_was_put_is_delivered_after_kill_9(tmp_path):
    """Kill the gateway and the controller while events are on their way: each arrives at least once."""
    server = start_server(tmp_path / "home", warm_interpreters=False)
    try:
        events, sqs = server.client("events"), server.client("sqs")
        url = sqs.create_queue(QueueName="jobs")["QueueUrl"]
        events.put_rule(Name="all", EventPattern='{"source": ["shop"]}')
        target = {"Id": "q", "Arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:jobs", "InputPath": "$.id"}
        events.put_targets(Rule="all", Targets=[target])
        put = set()
        entry = {"Source": "shop", "DetailType": "order", "Detail": "{}"}

        def tried():
            try:
                return events.put_events(Entries=[entry] * 3)
            except Exception:  # noqa: BLE001 - the gateway is coming back
                return None

        for number in range(30):
            if number % 10 == 5:
                kill_role(server, "controller" if number == 5 else "gateway")
            put |= {each["EventId"] for each in eventually(tried)["Entries"]}
        assert len(put) == 90
        arrived = set()

        def all_there():
            found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=2).get("Messages", [])
            arrived.update(json.loads(message["Body"]) for message in found)
            for message in found:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            return put <= arrived

        eventually(all_there)
    finally:
        stop_server(server)

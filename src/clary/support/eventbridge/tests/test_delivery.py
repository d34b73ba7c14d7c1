"""What rules match reaches their targets, in the form they want, and is never lost."""

import json

import pytest

from clary.kernel.core.errors import AwsError
from clary.support.eventbridge.outbox import Outbox

PATTERN = json.dumps({"source": ["shop"], "detail": {"n": [{"numeric": [">", 0]}]}})


@pytest.fixture
def rule(call, queue):
    """`rule("jobs", InputPath=...)`: the URL of a new queue that is the target of a rule of its name."""

    def make(name, *, pattern=PATTERN, **target):
        arn, url = queue(name)
        name = name.replace(".", "-")
        call("PutRule", Name=name, EventPattern=pattern)
        call("PutTargets", Rule=name, Targets=[{"Id": "q", "Arn": arn, **target}])
        return url

    return make


def test_an_event_reaches_the_targets_of_the_rules_that_match(rule, put, delivered, platform):
    url, other = rule("jobs"), rule("other", pattern='{"source": ["elsewhere"]}')
    put({"n": 0})
    id = put({"n": 1}, Resources=["arn:x"], Time=1_700_000_000)
    (body,) = delivered(url)
    assert json.loads(body) == {
        "version": "0",
        "id": id,
        "detail-type": "order",
        "source": "shop",
        "account": "111122223333",
        "time": "2023-11-14T22:13:20Z",
        "region": "eu-west-1",
        "resources": ["arn:x"],
        "detail": {"n": 1},
    }
    assert delivered(other) == []
    assert Outbox(platform).waiting() == []
    assert [*platform.kv("events").scan(b"c", b"f")] == []


def test_what_a_target_is_sent(rule, put, delivered):
    constant = rule("constant", Input='{"do": "it"}')
    part = rule("part", InputPath="$.detail.n")
    template = {"InputPathsMap": {"n": "$.detail.n"}, "InputTemplate": '{"number": <n>, "text": "n is <n>"}'}
    made = rule("made", InputTransformer=template)
    put({"n": 7})
    assert delivered(constant) == ['{"do": "it"}']
    assert delivered(part) == ["7"]
    assert json.loads(delivered(made)[0]) == {"number": 7, "text": "n is 7"}


def test_a_fifo_queue_gets_its_group(rule, put, taken, sqs):
    url = rule("jobs.fifo", SqsParameters={"MessageGroupId": "g"})
    for number in (1, 2, 3):
        put({"n": number})
    assert [json.loads(each["Body"])["detail"]["n"] for each in taken(url)] == [1, 2, 3]


def test_topics_and_log_groups(call, caller, queue, put, run, delivered, reconcile):
    sns, logs = caller("sns"), caller("logs")
    arn, url = queue("behind")
    topic = sns("CreateTopic", Name="news")["TopicArn"]
    raw = {"RawMessageDelivery": "true"}
    sns("Subscribe", TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=raw)
    logs("CreateLogGroup", logGroupName="/aws/events/all")
    place = "eu-west-1:111122223333"
    targets = [
        {"Id": "topic", "Arn": topic, "InputPath": "$.detail"},
        {"Id": "logs", "Arn": f"arn:aws:logs:{place}:log-group:/aws/events/all", "InputPath": "$.detail"},
        {"Id": "gone", "Arn": f"arn:aws:lambda:{place}:function:gone"},
    ]
    call("PutRule", Name="all", EventPattern=PATTERN)
    call("PutTargets", Rule="all", Targets=targets)
    put({"n": 1})
    run()
    (logged,) = logs("FilterLogEvents", logGroupName="/aws/events/all")["events"]
    assert json.loads(logged["message"]) == {"n": 1}
    reconcile("sns")
    assert [json.loads(body) for body in delivered(url)] == [{"n": 1}]


def test_a_delivery_that_fails_is_retried_and_ends_in_the_dead_letters(call, rule, queue, sqs, put, taken, run, clock):
    dead_arn, dead = queue("dead")
    gone = rule("gone", DeadLetterConfig={"Arn": dead_arn})
    sqs("DeleteQueue", QueueUrl=gone)
    id = put({"n": 1})
    (letter,) = taken(dead)
    assert json.loads(letter["Body"])["id"] == id
    attributes = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
    assert attributes.pop("ERROR_MESSAGE")
    assert attributes == {
        "RULE_ARN": "arn:aws:events:eu-west-1:111122223333:rule/gone",
        "TARGET_ARN": "arn:aws:sqs:eu-west-1:111122223333:gone",
        "ERROR_CODE": "QueueDoesNotExist",
        "RETRY_ATTEMPTS": "0",
    }


def test_what_is_put_on_no_bus_or_wrongly_is_told(call):
    entry = {"Source": "shop", "DetailType": "order", "Detail": "{}"}
    wrong = [
        {**entry, "Source": ""},
        {**entry, "Source": "aws.s3"},
        {**entry, "Detail": "{"},
        {**entry, "Detail": "[]"},
        {**entry, "Detail": '{"a":' * 300 + "1" + "}" * 300},
    ]
    answer = call("PutEvents", Entries=[*wrong, entry])
    assert answer["FailedEntryCount"] == 5
    assert [each.get("ErrorCode") for each in answer["Entries"]] == [
        "InvalidArgument",
        "NotAuthorizedForSourceException",
        "MalformedDetail",
        "MalformedDetail",
        "MalformedDetail",
        None,
    ]
    with pytest.raises(AwsError, match="over the limit"):
        call("PutEvents", Entries=[{**entry, "Detail": json.dumps({"a": "x" * 1_048_576})}])


def test_what_waits_for_a_target_goes_with_it(call, rule, put, platform):
    rule("jobs")
    put({"n": 1})
    assert len(Outbox(platform).waiting()) == 1
    call("RemoveTargets", Rule="jobs", Ids=["q"])
    assert Outbox(platform).waiting() == []
    call("DeleteRule", Name="jobs")
    assert call("ListRules")["Rules"] == []

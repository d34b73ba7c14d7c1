"""Rules and targets: what they may say, how they are listed, and what is wrong with the others."""

import json

import pytest

from clary.kernel.core.errors import AwsError

ROLE = "arn:aws:iam::111122223333:role/any"
PLACE = "eu-west-1:111122223333"
QUEUE = f"arn:aws:sqs:{PLACE}:q"
PATTERN = '{"source": ["shop"]}'


@pytest.fixture
def targets(call):
    """`targets({"Arn": ...})`: put on a rule of its own."""

    def put(*given):
        call("PutRule", Name="r", EventPattern=PATTERN)
        return call("PutTargets", Rule="r", Targets=[{"Id": f"t{n}", **each} for n, each in enumerate(given)])

    return put


def test_rules_are_listed_by_prefix_and_page(call):
    for name in ("a1", "a2", "a3", "b1"):
        call("PutRule", Name=name, EventPattern=PATTERN, Description=f"rule {name}", RoleArn=ROLE)
    first = call("ListRules", NamePrefix="a", Limit=2)
    rest = call("ListRules", NamePrefix="a", Limit=2, NextToken=first["NextToken"])
    assert [rule["Name"] for rule in first["Rules"] + rest["Rules"]] == ["a1", "a2", "a3"]
    assert "NextToken" not in rest
    call("DisableRule", Name="a1")
    shown = call("DescribeRule", Name="a1")
    assert (shown["State"], shown["Description"], shown["RoleArn"]) == ("DISABLED", "rule a1", ROLE)
    assert shown["Arn"] == f"arn:aws:events:{PLACE}:rule/a1"
    with pytest.raises(AwsError, match="Rule none does not exist"):
        call("DescribeRule", Name="none")
    call("DeleteRule", Name="none")


def test_targets_are_kept_as_they_were_put(call, targets):
    given = {"Arn": QUEUE, "InputPath": "$.detail", "RetryPolicy": {"MaximumRetryAttempts": 3}}
    assert targets(given, {"Arn": QUEUE})["FailedEntryCount"] == 0
    listed = call("ListTargetsByRule", Rule="r", Limit=1)
    assert listed["Targets"] == [{"Id": "t0", **given}]
    assert call("ListTargetsByRule", Rule="r", NextToken=listed["NextToken"])["Targets"][0]["Id"] == "t1"
    assert call("ListRuleNamesByTarget", TargetArn=QUEUE)["RuleNames"] == ["r"]
    with pytest.raises(AwsError, match="has targets"):
        call("DeleteRule", Name="r")
    answer = call("RemoveTargets", Rule="r", Ids=["t0", "t1", "t9"])
    assert [each["TargetId"] for each in answer["FailedEntries"]] == ["t9"]
    with pytest.raises(AwsError, match="LimitExceeded"):
        targets(*[{"Arn": QUEUE}] * 6)


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ({"Arn": "queue"}, "not in correct format"),
        ({"Arn": f"arn:aws:ecs:{PLACE}:cluster/c"}, "not supported"),
        ({"Arn": f"arn:aws:kinesis:{PLACE}:stream/s"}, "RoleArn is required"),
        ({"Arn": "arn:aws:sqs:eu-west-1:444455556666:q"}, "RoleArn is required"),
        ({"Arn": f"{QUEUE}.fifo"}, "SqsParameters"),
        ({"Arn": QUEUE, "Input": "{"}, "JSON syntax error"),
        ({"Arn": QUEUE, "Input": "{}", "InputPath": "$"}, "Only one of"),
        ({"Arn": QUEUE, "InputPath": "detail"}, "must begin with"),
        ({"Arn": QUEUE, "InputTransformer": {"InputTemplate": '{"a": <a>}'}}, "contains invalid placeholder a"),
        ({"Arn": QUEUE, "InputTransformer": {"InputTemplate": "{a}"}}, "not valid JSON"),
        ({"Arn": QUEUE, "KinesisParameters": {"PartitionKeyPath": "$.id"}}, "not valid for target"),
        ({"Arn": QUEUE, "DeadLetterConfig": {"Arn": f"{QUEUE}.fifo"}}, "standard queue"),
        ({"Arn": QUEUE, "EcsParameters": {"TaskDefinitionArn": "arn:x"}}, "not supported"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_a_target(targets, target, why):
    with pytest.raises(AwsError, match=why):
        targets(target)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("{", "not JSON"),
        ("[]", "Filter is not an object"),
        ("{}", "Empty objects are not allowed"),
        ('{"a": []}', "Empty arrays are not allowed"),
        ('{"a": "b"}', '"a" must be an object or an array'),
        ('{"a": [{"sounds": "b"}]}', "Unrecognized match type sounds"),
        ('{"a": [{"prefix": 1}]}', "prefix match pattern must be a string"),
        ('{"a": [{"exists": 1}]}', "must be either true or false"),
        ('{"a": [{"numeric": [">", 5, "<", 1]}]}', "Bottom must be less than top"),
        ('{"a": [{"anything-but": ["a", 1]}]}', "mixed type is not supported"),
        ('{"a": [{"wildcard": "a**b"}]}', "Consecutive wildcard characters at pos 1"),
    ],
)
def test_patterns_that_mean_nothing(call, pattern, why):
    for attempt in (
        lambda: call("PutRule", Name="r", EventPattern=pattern),
        lambda: call("TestEventPattern", EventPattern=pattern, Event="{}"),
    ):
        with pytest.raises(AwsError, match=why) as caught:
            attempt()
        assert caught.value.code == "InvalidEventPatternException"
        assert caught.value.message.startswith("Event pattern is not valid. Reason: ")


def test_a_pattern_is_tried_on_an_event(call):
    event = {name: "" for name in ("id", "account", "source", "time", "region", "detail-type")} | {"resources": []}
    for source, result in (("shop", True), ("other", False)):
        shown = json.dumps({**event, "source": source})
        assert call("TestEventPattern", EventPattern=PATTERN, Event=shown)["Result"] is result
    with pytest.raises(AwsError, match="Parameter Event is not valid"):
        call("TestEventPattern", EventPattern=PATTERN, Event="{}")


def test_a_role_must_allow_the_call(call, caller, queue, taken, put, clock):
    """A target's role is who calls: what its policies do not allow fails for good, and says so."""
    iam = caller("iam", region="us-east-1")
    trust = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam("CreateRole", RoleName="sender", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    arn, url = queue("jobs")
    dead_arn, dead = queue("dead")
    call("PutRule", Name="r", EventPattern=PATTERN)
    target = {"Id": "q", "Arn": arn, "RoleArn": role, "DeadLetterConfig": {"Arn": dead_arn}}
    call("PutTargets", Rule="r", Targets=[target])
    put({})
    (letter,) = taken(dead)
    assert "AccessDenied" in letter["MessageAttributes"]["ERROR_CODE"]["StringValue"]
    allow = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    iam("PutRolePolicy", RoleName="sender", PolicyName="p", PolicyDocument=policy)
    clock.advance(2)
    put({})
    assert len(taken(url)) == 1

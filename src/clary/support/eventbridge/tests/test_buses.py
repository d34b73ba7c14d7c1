"""Buses of one's own, and who may put events on them."""

import json

import pytest

from clary.kernel.core.errors import AwsError

THEIRS = "444455556666"


@pytest.fixture
def theirs(caller):
    return caller("events", THEIRS)


def entry(bus, **members):
    return {"Source": "shop", "DetailType": "order", "Detail": "{}", "EventBusName": bus, **members}


def test_buses_come_and_go(call):
    arn = call("CreateEventBus", Name="mine", Description="of mine", Tags=[{"Key": "a", "Value": "b"}])["EventBusArn"]
    with pytest.raises(AwsError, match="ResourceAlreadyExistsException"):
        call("CreateEventBus", Name="mine")
    assert [bus["Name"] for bus in call("ListEventBuses")["EventBuses"]] == ["default", "mine"]
    assert call("UpdateEventBus", Name="mine", Description="other")["Description"] == "other"
    assert call("ListTagsForResource", ResourceARN=arn)["Tags"] == [{"Key": "a", "Value": "b"}]
    made = call("PutRule", Name="all", EventBusName=arn, EventPattern='{"source": ["shop"]}')
    assert made["RuleArn"] == "arn:aws:events:eu-west-1:111122223333:rule/mine/all"
    call("TagResource", ResourceARN=made["RuleArn"], Tags=[{"Key": "x", "Value": "y"}])
    assert call("ListTagsForResource", ResourceARN=made["RuleArn"])["Tags"] == [{"Key": "x", "Value": "y"}]
    with pytest.raises(AwsError, match="has rules"):
        call("DeleteEventBus", Name="mine")
    call("DeleteRule", Name="all", EventBusName="mine")
    call("DeleteEventBus", Name="mine")
    call("DeleteEventBus", Name="mine")
    with pytest.raises(AwsError, match="does not exist"):
        call("DescribeEventBus", Name="mine")
    with pytest.raises(AwsError, match="default"):
        call("DeleteEventBus", Name="default")


def test_an_event_goes_from_bus_to_bus_but_not_on_to_a_third(call, queue, delivered):
    arn, url = queue("end")
    for name in ("one", "two"):
        call("CreateEventBus", Name=name)
        call("PutRule", Name="all", EventBusName=name, EventPattern='{"source": ["shop"]}')
    targets = [{"Id": "q", "Arn": arn}]
    call("PutTargets", Rule="all", EventBusName="two", Targets=targets)
    call("PutTargets", Rule="all", EventBusName="one", Targets=[{"Id": "two", "Arn": _bus("two")}])
    call("PutRule", Name="first", EventPattern='{"source": ["shop"]}')
    call("PutTargets", Rule="first", Targets=[{"Id": "one", "Arn": _bus("one")}])
    (result,) = call("PutEvents", Entries=[entry("one")])["Entries"]
    assert [json.loads(body)["id"] for body in delivered(url)] == [result["EventId"]]
    call("PutEvents", Entries=[entry("default")])
    assert delivered(url) == []


def _bus(name):
    return f"arn:aws:events:eu-west-1:111122223333:event-bus/{name}"


def test_another_account_needs_to_be_let_in(call, theirs, queue, delivered):
    arn, url = queue("jobs")
    call("PutRule", Name="all", EventPattern=json.dumps({"account": [THEIRS]}))
    call("PutTargets", Rule="all", Targets=[{"Id": "q", "Arn": arn}])
    put = {"Entries": [entry(_bus("default"))]}
    assert theirs("PutEvents", **put)["Entries"][0]["ErrorCode"] == "AccessDeniedException"
    call("PutPermission", Action="events:PutEvents", Principal=THEIRS, StatementId="them")
    policy = json.loads(call("DescribeEventBus")["Policy"])
    assert policy["Statement"][0]["Principal"] == {"AWS": f"arn:aws:iam::{THEIRS}:root"}
    assert theirs("PutEvents", **put)["FailedEntryCount"] == 0
    assert json.loads(delivered(url)[0])["account"] == THEIRS
    with pytest.raises(AwsError, match="another account"):
        theirs("PutRule", Name="r", EventBusName=_bus("default"), EventPattern='{"source": ["a"]}')
    call("RemovePermission", StatementId="them")
    assert theirs("PutEvents", **put)["FailedEntryCount"] == 1
    with pytest.raises(AwsError, match="does not exist"):
        call("RemovePermission", StatementId="them")
    statement = {"Effect": "Allow", "Principal": "*", "Action": "events:*", "Resource": _bus("default")}
    call("PutPermission", Policy=json.dumps({"Version": "2012-10-17", "Statement": statement}))
    assert theirs("PutEvents", **put)["FailedEntryCount"] == 0


def test_a_rule_sends_to_another_accounts_bus_as_its_role_and_by_that_bus_policy(call, theirs, caller, queue, run):
    bus = f"arn:aws:events:eu-west-1:{THEIRS}:event-bus/default"
    dead_arn, _ = queue("dead")
    call("PutRule", Name="out", EventPattern='{"source": ["shop"]}')
    target = {"Id": "bus", "Arn": bus, "DeadLetterConfig": {"Arn": dead_arn}}
    with pytest.raises(AwsError, match="RoleArn is required"):
        call("PutTargets", Rule="out", Targets=[target])
    role = "arn:aws:iam::111122223333:role/any"
    call("PutTargets", Rule="out", Targets=[{**target, "RoleArn": role}])
    sqs = caller("sqs", THEIRS)
    made = sqs("CreateQueue", QueueName="theirs")
    theirs("PutRule", Name="in", EventPattern='{"source": ["shop"]}')
    theirs("PutTargets", Rule="in", Targets=[{"Id": "q", "Arn": f"arn:aws:sqs:eu-west-1:{THEIRS}:theirs"}])

    def received():
        call("PutEvents", Entries=[entry("default")])
        run()
        run()
        answer = sqs("ReceiveMessage", QueueUrl=made["QueueUrl"])
        return len(answer.get("Messages", []))

    assert received() == 0
    theirs("PutPermission", Action="events:PutEvents", Principal="111122223333", StatementId="us")
    assert received() == 1

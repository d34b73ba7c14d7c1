"""Rules and schedules fire when they are due: once each time, whatever happens in between."""

import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from clary.kernel.core.errors import AwsError
from clary.kernel.core.settings import Settings
from clary.kernel.rooms import Platform
from clary.kernel.rooms.tests.in_process import calling
from clary.support.eventbridge.reconcile import deliver, fire_due, heal_timers
from clary.support.eventbridge.timers import Timers

ROLE = "arn:aws:iam::111122223333:role/any"
NOW = {"Mode": "OFF"}


@pytest.fixture
def scheduler(caller):
    return caller("scheduler")


@pytest.fixture
def later(platform, clock, delivered):
    """`later(60, url)`: what has come into a queue when so many seconds have passed."""

    def pass_by(seconds, url):
        clock.advance(seconds)
        fire_due(platform, None)
        return delivered(url)

    return pass_by


@pytest.fixture
def schedule(scheduler, queue):
    """`schedule("s", "rate(1 minute)", Input=...)`: the URL of a new queue that a schedule sends to."""

    def make(name, expression, *, target=None, **members):
        arn, url = queue(name)
        scheduler(
            "CreateSchedule",
            Name=name,
            ScheduleExpression=expression,
            FlexibleTimeWindow=members.pop("window", NOW),
            Target={"Arn": arn, "RoleArn": ROLE, "Input": "go", **(target or {})},
            **members,
        )
        return url

    return make


def test_a_rule_with_a_rate_counts_from_when_it_was_put(call, queue, later):
    arn, url = queue("ticks")
    made = call("PutRule", Name="tick", ScheduleExpression="rate(5 minutes)")
    call("PutTargets", Rule="tick", Targets=[{"Id": "q", "Arn": arn}])
    assert later(299, url) == []
    (body,) = later(1, url)
    event = json.loads(body)
    assert (event["source"], event["detail-type"], event["detail"]) == ("aws.events", "Scheduled Event", {})
    assert event["resources"] == [made["RuleArn"]]
    assert later(1, url) == []
    call("PutRule", Name="tick", ScheduleExpression="rate(5 minutes)", Description="the same")
    assert len(later(299, url)) == 1
    call("DisableRule", Name="tick")
    assert later(600, url) == []
    call("EnableRule", Name="tick")
    assert len(later(300, url)) == 1


def test_what_a_rule_cannot_be_scheduled_by(call):
    call("CreateEventBus", Name="mine")
    for wrong in ("rate(1 minutes)", "cron(0 0 * * * *)", "at(2030-01-01T00:00:00)", "hourly"):
        with pytest.raises(AwsError, match="ScheduleExpression is not valid"):
            call("PutRule", Name="r", ScheduleExpression=wrong)
    with pytest.raises(AwsError, match="only on the default event bus"):
        call("PutRule", Name="r", EventBusName="mine", ScheduleExpression="rate(1 hour)")
    with pytest.raises(AwsError, match="must be specified"):
        call("PutRule", Name="r")


def test_due_times_that_passed_while_nothing_ran_fire_once(platform, clock, schedule):
    url = schedule("minutely", "cron(* * * * ? *)")
    platform.close()
    clock.advance(3600)
    again = Platform(Settings.load({}, home=str(platform.settings.home)), clock)
    for _ in range(2):
        fire_due(again, None)
        heal_timers(again, None)
    lane = "arn:aws:scheduler:eu-west-1:111122223333:schedule/default/minutely|"
    deliver(again, lane)
    answer = calling(again, "sqs")("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10)
    assert [message["Body"] for message in answer["Messages"]] == ["go"]
    again.close()


def test_a_timer_that_a_crash_kept_from_being_set_is_set_later(platform, schedule, later):
    url = schedule("s", "rate(1 hour)", StartDate=0)
    Timers(platform).clear("schedule/111122223333/eu-west-1/default/s")
    assert later(7200, url) == []
    heal_timers(platform, None)
    assert later(3600, url) == ["go"]


def test_once_and_then_gone(scheduler, schedule, later, clock):
    moment = datetime.fromtimestamp(clock.now() + 3600, ZoneInfo("America/New_York"))
    url = schedule(
        "once",
        f"at({moment:%Y-%m-%dT%H:%M:%S})",
        ScheduleExpressionTimezone="America/New_York",
        ActionAfterCompletion="DELETE",
    )
    kept = schedule("kept", f"at({datetime.fromtimestamp(clock.now() + 60, UTC):%Y-%m-%dT%H:%M:%S})")
    assert later(3599, url) == []
    assert later(1, url) == ["go"]
    assert later(86_400, kept) == ["go"]
    assert [each["Name"] for each in scheduler("ListSchedules")["Schedules"]] == ["kept"]


def test_rates_start_at_once_and_end(schedule, later, clock):
    url = schedule("s", "rate(1 hour)", EndDate=clock.now() + 7300, target={"Input": "<aws.scheduler.scheduled-time>"})
    start = datetime.fromtimestamp(clock.now(), UTC)
    assert later(0, url) == [f"{start:%Y-%m-%dT%H:%M:%SZ}"]
    assert [len(later(3600, url)) for _ in range(4)] == [1, 1, 0, 0]


def test_a_flexible_window(schedule, later, clock):
    start = clock.now() // 3600 * 3600 + 3600
    url = schedule("s", "cron(0 * * * ? *)", window={"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 30})
    assert later(start - clock.now() + 1800, url) == ["go"]
    assert later(1799, url) == []


def test_without_input_a_schedule_sends_an_event(scheduler, schedule, later):
    url = schedule("s", "rate(1 hour)")
    scheduler(
        "UpdateSchedule",
        Name="s",
        ScheduleExpression="rate(1 hour)",
        FlexibleTimeWindow=NOW,
        Target={"Arn": "arn:aws:sqs:eu-west-1:111122223333:s", "RoleArn": ROLE},
    )
    (body,) = later(0, url)
    event = json.loads(body)
    assert (event["source"], event["detail"]) == ("aws.scheduler", "{}")
    assert event["resources"] == ["arn:aws:scheduler:eu-west-1:111122223333:schedule/default/s"]


def test_a_universal_target_calls_what_it_names(caller, scheduler, sqs, later, queue):
    _, url = queue("unused")
    scheduler(
        "CreateSchedule",
        Name="make",
        ScheduleExpression="rate(1 hour)",
        FlexibleTimeWindow=NOW,
        Target={
            "Arn": "arn:aws:scheduler:::aws-sdk:cloudwatchlogs:createLogGroup",
            "RoleArn": ROLE,
            "Input": '{"LogGroupName": "made-by-schedule"}',
        },
    )
    later(0, url)
    groups = caller("logs")("DescribeLogGroups")["logGroups"]
    assert [group["logGroupName"] for group in groups] == ["made-by-schedule"]
    for wrong, why in (
        ("aws-sdk:nonsense:do", "not a service"),
        ("aws-sdk:sqs:doIt", "not an operation"),
        ("aws-sdk:sqs:getQueueUrl", "only reads"),
    ):
        with pytest.raises(AwsError, match=why):
            scheduler(
                "CreateSchedule",
                Name="wrong",
                ScheduleExpression="rate(1 hour)",
                FlexibleTimeWindow=NOW,
                Target={"Arn": f"arn:aws:scheduler:::{wrong}", "RoleArn": ROLE},
            )


def test_a_schedule_whose_target_is_gone_leaves_a_letter(schedule, sqs, queue, later, platform):
    dead_arn, dead = queue("dead")
    url = schedule("s", "rate(1 hour)", target={"DeadLetterConfig": {"Arn": dead_arn}})
    sqs("DeleteQueue", QueueUrl=url)
    assert later(0, dead) == ["go"]


def test_schedules_are_kept_in_groups(scheduler, schedule):
    made = scheduler("CreateScheduleGroup", Name="mine", Tags=[{"Key": "a", "Value": "b"}], ClientToken="t")
    assert scheduler("CreateScheduleGroup", Name="mine", ClientToken="t") == made
    with pytest.raises(AwsError, match="already exists"):
        scheduler("CreateScheduleGroup", Name="mine", ClientToken="u")
    schedule("a", "rate(1 hour)", GroupName="mine", ClientToken="x", State="DISABLED")
    schedule("a-default", "rate(1 hour)")
    arn = "arn:aws:scheduler:eu-west-1:111122223333:schedule/mine/a"
    assert scheduler("GetSchedule", Name="a", GroupName="mine")["Arn"] == arn
    again = {
        "Name": "a",
        "GroupName": "mine",
        "ScheduleExpression": "rate(1 hour)",
        "FlexibleTimeWindow": NOW,
        "Target": {"Arn": "arn:aws:sqs:eu-west-1:111122223333:a", "RoleArn": ROLE},
    }
    assert scheduler("CreateSchedule", **again, ClientToken="x") == {"ScheduleArn": arn}
    with pytest.raises(AwsError, match="already exists"):
        scheduler("CreateSchedule", **again, ClientToken="y")
    listed = scheduler("ListSchedules", MaxResults=1)
    assert [each["Name"] for each in listed["Schedules"]] == ["a-default"]
    rest = scheduler("ListSchedules", NextToken=listed["NextToken"])
    assert [(each["Name"], each["State"]) for each in rest["Schedules"]] == [("a", "DISABLED")]
    assert scheduler("ListTagsForResource", ResourceArn=made["ScheduleGroupArn"])["Tags"] == [
        {"Key": "a", "Value": "b"}
    ]
    assert [group["Name"] for group in scheduler("ListScheduleGroups")["ScheduleGroups"]] == ["default", "mine"]
    scheduler("DeleteScheduleGroup", Name="mine")
    assert [each["Name"] for each in scheduler("ListSchedules")["Schedules"]] == ["a-default"]
    with pytest.raises(AwsError, match="does not exist"):
        schedule("b", "rate(1 hour)", GroupName="mine")

"""A process that dies anywhere between an event and its target leaves what the next one completes."""

import json
from contextlib import suppress

from clary.kernel.rooms.tests.crossings import Crash, Faulty, Fuse
from clary.support.eventbridge.outbox import Outbox
from clary.support.eventbridge.reconcile import deliver, fire_due, heal_timers
from clary.support.eventbridge.timers import Timers

ROLE = "arn:aws:iam::111122223333:role/any"


def crashing(platform, crossing, work):
    """Do `work`, crashing at one crossing: writes of the room's domain, of records, and calls of other rooms. Says
    whether it crashed."""
    fuse = Fuse(crossing)
    kv, store, registry = platform.kv("events"), platform.store, platform.registry
    platform._kvs["events"] = Faulty(kv, {"write"}, fuse)
    vars(platform)["store"] = Faulty(store, {"apply"}, fuse)
    vars(platform)["registry"] = Faulty(registry, {"call"}, fuse)
    try:
        work()
    except Crash:
        return True
    finally:
        platform._kvs["events"] = kv
        vars(platform)["store"], vars(platform)["registry"] = store, registry
    return False


def lanes(platform):
    for lane in Outbox(platform).waiting():
        deliver(platform, lane)


def test_an_event_is_delivered_wherever_the_delivery_dies(call, queue, put, delivered, platform):
    arn, url = queue("jobs")
    dead_arn, dead = queue("dead")
    gone = "arn:aws:sqs:eu-west-1:111122223333:gone"
    call("PutRule", Name="all", EventPattern='{"source": ["shop"]}')
    targets = [{"Id": "q", "Arn": arn}, {"Id": "g", "Arn": gone, "DeadLetterConfig": {"Arn": dead_arn}}]
    call("PutTargets", Rule="all", Targets=targets)
    crossing, crashed = 0, True
    while crashed:
        id = put({})
        crashed = crashing(platform, crossing, lambda: lanes(platform))
        assert {json.loads(body)["id"] for body in delivered(url)} == {id}
        assert {json.loads(body)["id"] for body in delivered(dead)} == {id}
        assert Outbox(platform).waiting() == []
        crossing += 1
    assert crossing > 8, "the crossings were not counted"


def test_a_schedule_fires_once_wherever_its_firing_dies(queue, delivered, platform, clock, caller):
    arn, url = queue("due")
    scheduler = caller("scheduler")
    crossing, crashed = 0, True
    while crashed:
        scheduler(
            "CreateSchedule",
            Name=f"s{crossing}",
            ScheduleExpression="rate(1 hour)",
            EndDate=clock.now() + 60,
            ActionAfterCompletion="DELETE",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": arn, "RoleArn": ROLE, "Input": f"{crossing}"},
        )
        crashed = crashing(platform, crossing, lambda: fire_due(platform, None))
        fire_due(platform, None)
        heal_timers(platform, None)
        assert delivered(url) == [f"{crossing}"]
        assert scheduler("ListSchedules")["Schedules"] == []
        assert Timers(platform).next_at() is None
        crossing += 1
    assert crossing > 4, "the crossings were not counted"


def test_a_rule_that_dies_between_its_record_and_its_note_is_known_soon(call, queue, put, delivered, platform, clock):
    arn, url = queue("jobs")
    call("PutRule", Name="all", EventPattern='{"source": ["shop"]}')
    put({})
    with suppress(Crash):
        crashing(platform, 3, lambda: call("PutTargets", Rule="all", Targets=[{"Id": "q", "Arn": arn}]))
    clock.advance(6)
    put({})
    assert len(delivered(url)) == 1

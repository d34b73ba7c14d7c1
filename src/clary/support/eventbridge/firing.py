"""What fires by time: the timers of rules and schedules, set when these change, fired when they are due.

What was due while no server ran fires once when one does, however often it was due; then the next time counts.
"""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from clary.kernel.core.arns import partition_of
from clary.kernel.core.clock import iso
from clary.kernel.rooms import Platform
from clary.kernel.store import Entry, Table
from clary.support.eventbridge import publishing
from clary.support.eventbridge.names import Bus, rule_arn
from clary.support.eventbridge.outbox import Post
from clary.support.eventbridge.publishing import deliveries_of, event_of
from clary.support.eventbridge.records import DEFAULT_BUS, ENABLED, Delivery, Rule, Schedule
from clary.support.eventbridge.timers import TOPIC, Timer, Timers
from clary.support.eventbridge.times import fires_at, next_of_rule, next_of_schedule

_IDS = uuid.UUID("0c1c8a63-9d7f-4b06-9a2e-6a1d0f4e1c55")
_JUST_BEFORE = 1e-3


def schedule_arn(entry: Entry[Schedule]) -> str:
    return f"arn:{partition_of(entry.region)}:scheduler:{entry.region}:{entry.account}:schedule/{entry.name}"


def timer_name(entry: Entry[Any]) -> str:
    kind = "rule" if isinstance(entry.value, Rule) else "schedule"
    return f"{kind}/{entry.account}/{entry.region}/{entry.name}"


def set_timer(platform: Platform, entry: Entry[Any]) -> None:
    """Have a rule or schedule fire when it is due next, if it was set anew; not at all when it is disabled."""
    timers = Timers(platform)
    if entry.status != ENABLED or (isinstance(entry.value, Rule) and not entry.value.schedule):
        if timers.get(timer_name(entry)) is not None:
            timers.clear(timer_name(entry))
        return
    kept = timers.get(timer_name(entry))
    if kept is None or kept.since != entry.value.since:
        timers.set(_following(entry, entry.value.since - _JUST_BEFORE))
    platform.wake(TOPIC)


def _following(entry: Entry[Any], after: float) -> Timer:
    """The timer of the next due time after `after`; one that has run out when there is none."""
    value, name = entry.value, timer_name(entry)
    if isinstance(value, Rule):
        due = next_of_rule(value.schedule, value.since, after)
        return Timer(name, value.since, due or 0.0, due)
    due = next_of_schedule(value.request, value.since, after)
    if due is None:
        return Timer(name, value.since, 0.0, None)
    return Timer(name, value.since, due, fires_at(value.request, f"{entry.account}/{entry.region}/{entry.name}", due))


def fire(platform: Platform, timer: Timer) -> None:
    """Store what a due timer sends, for delivery, and set the next."""
    entry = _entry(platform, timer.name)
    if entry is None:
        Timers(platform).clear(timer.name)
        return
    if entry.value.since != timer.since or entry.status != ENABLED:
        set_timer(platform, entry)
        return
    following = _following(entry, max(platform.clock.now(), timer.due))
    if isinstance(entry.value, Rule):
        post = _scheduled_event(platform, entry, timer.due)
    else:
        post = _invocation(platform, entry, timer.due)
    if following.at is None:
        following = replace(following, due=timer.due)  # what `heal` knows one by that has run for the last time
    if not Timers(platform).fire(timer, [post] if post.deliveries else [], following):
        return
    for delivery in post.deliveries:
        platform.wake(publishing.TOPIC, delivery.lane)
    if following.at is None:
        _complete(platform, entry)


def heal(platform: Platform) -> None:
    """Set the timers that a crash kept from being set, and delete the schedules that it kept from being deleted."""
    entries: list[Any] = [
        *platform.records(Rule).all(parent=DEFAULT_BUS, status=ENABLED),
        *platform.records(Schedule).all(status=ENABLED),
    ]
    for entry in entries:
        if isinstance(entry.value, Rule) and not entry.value.schedule:
            continue
        timer = Timers(platform).get(timer_name(entry))
        if timer is None or timer.since != entry.value.since:
            set_timer(platform, entry)
        elif timer.at is None and timer.due:
            _complete(platform, entry)


def _complete(platform: Platform, entry: Entry[Any]) -> None:
    """Delete a schedule that has run for the last time, where it asks for that."""
    if not isinstance(entry.value, Schedule) or entry.value.request.get("ActionAfterCompletion") != "DELETE":
        return
    table = platform.records(Schedule).within(entry.account, entry.region)
    found = table.get(entry.name)
    if found is not None and found.version == entry.version:
        table.delete(entry.name, version=entry.version)
        Timers(platform).clear(timer_name(entry))


def _entry(platform: Platform, name: str) -> Entry[Any] | None:
    kind, account, region, key = name.split("/", 3)
    table: Table[Any] = platform.records(Rule if kind == "rule" else Schedule)
    return table.within(account, region).get(key)


def _scheduled_event(platform: Platform, entry: Entry[Rule], due: float) -> Post:
    arn = rule_arn(entry)
    event = event_of(
        Bus(entry.account, entry.region, entry.value.bus),
        id=_id(arn, entry.value.since, due),
        source="aws.events",
        detail_type="Scheduled Event",
        time=due,
        resources=[arn],
        detail={},
    )
    deliveries = deliveries_of(arn, entry.value.targets, entry.value.roles, platform.clock.now())
    return Post(orjson.dumps(event), deliveries)


def _invocation(platform: Platform, entry: Entry[Schedule], due: float) -> Post:
    arn, now = schedule_arn(entry), platform.clock.now()
    event: Mapping[str, Any] = {
        "version": "0",
        "id": _id(arn, entry.value.since, due),
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": entry.account,
        "time": f"{iso(due)[:19]}Z",
        "region": entry.region,
        "resources": [arn],
        "detail": "{}",
    }
    delivery = Delivery(arn, entry.value.request["Target"], entry.value.role, now, now, scheduled_at=due)
    return Post(orjson.dumps(event), [delivery])


def _id(arn: str, since: float, due: float) -> str:
    return str(uuid.uuid5(_IDS, f"{arn} {since} {due}"))

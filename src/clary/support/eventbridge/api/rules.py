"""Rules: put, describe, list, enable, disable and delete."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from clary.kernel.core.errors import AwsError, validation
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.roles import acting_role
from clary.kernel.rooms.tags import read_tags, tags_with, tags_without
from clary.kernel.store import AlreadyExists, Conflict, Entry
from clary.kernel.wire import page_asked, page_output
from clary.support.eventbridge.book import note_change
from clary.support.eventbridge.firing import set_timer, timer_name
from clary.support.eventbridge.names import Bus, bus_named, get_rule, rule_arn, rule_key, rules_of
from clary.support.eventbridge.patterns import compiled
from clary.support.eventbridge.records import DEFAULT_BUS, DISABLED, ENABLED, Rule
from clary.support.eventbridge.resources import rule_resource
from clary.support.eventbridge.targets import SERVICE
from clary.support.eventbridge.timers import Timers
from clary.support.eventbridge.times import next_of_rule

_MOST_TRIES = 20


@operation("events", "PutRule", resource=rule_resource)
def put_rule(
    ctx: Context,
    Name: str,
    ScheduleExpression: str | None = None,
    EventPattern: str | None = None,
    State: str = ENABLED,
    Description: str | None = None,
    RoleArn: str | None = None,
    Tags: Sequence[Mapping[str, Any]] | None = None,
    EventBusName: str | None = None,
) -> dict[str, Any]:
    """Add a rule, or set one anew, all but its targets and tags; it holds for events from the moment this answers."""
    bus = bus_named(ctx, EventBusName)
    _check(EventPattern, ScheduleExpression, State, bus)
    if RoleArn:
        acting_role(ctx, RoleArn, SERVICE)
    tags = read_tags(Tags)
    asked = Rule(
        name=Name,
        bus=bus.name,
        pattern=EventPattern or "",
        schedule=ScheduleExpression or "",
        description=Description or "",
        role_arn=RoleArn or "",
        created_by=ctx.account,
        since=ctx.platform.clock.now(),
    )
    entry = _put(ctx, bus, asked, State, tags)
    set_timer(ctx.platform, entry)
    note_change(ctx.platform, bus)
    return {"RuleArn": rule_arn(entry)}


def _put(ctx: Context, bus: Bus, asked: Rule, state: str, tags: Mapping[str, str]) -> Entry[Rule]:
    table, key = rules_of(ctx.platform, bus), rule_key(bus.name, asked.name)
    for _ in range(_MOST_TRIES):
        found = table.get(key)
        try:
            if found is None:
                arn = ctx.arn(f"rule/{asked.name}" if bus.name == DEFAULT_BUS else f"rule/{bus.name}/{asked.name}")
                return table.create(key, asked, status=state, parent=bus.name, also=tags_with(ctx, arn, tags))
            kept = found.value
            counts_on = kept.schedule == asked.schedule and found.status == state
            value = replace(
                asked, targets=kept.targets, roles=kept.roles, since=kept.since if counts_on else asked.since
            )
            return table.replace(found, value, status=state)
        except (AlreadyExists, Conflict):
            continue
    raise AwsError("ConcurrentModificationException", f"Rule {asked.name} is being changed by others: try again.")


def _check(pattern: str | None, schedule: str | None, state: str, bus: Bus) -> None:
    if not pattern and not schedule:
        raise validation("Parameter(s) EventPattern or ScheduleExpression must be specified.")
    if pattern:
        compiled(pattern)
    if state not in {ENABLED, DISABLED}:
        raise validation(f"State {state} is not supported by Clary: it records no management events of CloudTrail.")
    if not schedule:
        return
    if bus.name != DEFAULT_BUS:
        raise validation("ScheduleExpression is supported only on the default event bus.")
    try:
        next_of_rule(schedule, 0.0, 0.0)
    except ValueError as error:
        raise validation(f"Parameter ScheduleExpression is not valid. Reason: {error}.") from None


@operation("events", "DescribeRule", resource=rule_resource)
def describe_rule(ctx: Context, Name: str, EventBusName: str | None = None) -> dict[str, Any]:
    """A rule as it is."""
    entry = get_rule(ctx, bus_named(ctx, EventBusName), Name)
    return {**_shown(entry), "CreatedBy": entry.value.created_by}


@operation("events", "ListRules", resource="rule/*")
def list_rules(
    ctx: Context,
    NamePrefix: str | None = None,
    EventBusName: str | None = None,
    NextToken: str | None = None,
    Limit: int | None = None,
) -> dict[str, Any]:
    """The rules of a bus by name, those with a prefix alone when one is given."""
    bus = bus_named(ctx, EventBusName)
    limit, position = page_asked(ctx.operation, {"NextToken": NextToken, "Limit": Limit})
    page = rules_of(ctx.platform, bus).page(
        limit, position, parent=bus.name, name_prefix=rule_key(bus.name, NamePrefix or "")
    )
    return page_output(ctx.operation, [_shown(entry) for entry in page], page.next_token)


@operation("events", "DeleteRule", resource=rule_resource)
def delete_rule(ctx: Context, Name: str, EventBusName: str | None = None, Force: bool = False) -> None:
    """Remove a rule that has no targets any more; one that is not there is no error. No rule needs Force: none is
    managed by another service."""
    bus = bus_named(ctx, EventBusName)
    table, key = rules_of(ctx.platform, bus), rule_key(bus.name, Name)
    while (entry := table.get(key)) is not None:
        if entry.value.targets:
            raise validation("Rule can't be deleted since it has targets.")
        try:
            table.delete(key, version=entry.version, also=tags_without(ctx.platform, rule_arn(entry)))
        except Conflict:
            continue
        note_change(ctx.platform, bus)
        Timers(ctx.platform).clear(timer_name(entry))


@operation("events", "EnableRule", resource=rule_resource)
def enable_rule(ctx: Context, Name: str, EventBusName: str | None = None) -> None:
    """Have a rule match again; its rate counts from now."""
    _switch(ctx, Name, EventBusName, ENABLED)


@operation("events", "DisableRule", resource=rule_resource)
def disable_rule(ctx: Context, Name: str, EventBusName: str | None = None) -> None:
    """Have a rule match nothing; what it has matched is still delivered."""
    _switch(ctx, Name, EventBusName, DISABLED)


def _switch(ctx: Context, name: str, bus_name: str | None, state: str) -> None:
    bus = bus_named(ctx, bus_name)
    now = ctx.platform.clock.now()
    for _ in range(_MOST_TRIES):
        entry = get_rule(ctx, bus, name)
        if entry.status == state:
            break
        try:
            changed = rules_of(ctx.platform, bus).replace(entry, replace(entry.value, since=now), status=state)
        except Conflict:
            continue
        set_timer(ctx.platform, changed)
        break
    note_change(ctx.platform, bus)


def _shown(entry: Entry[Rule]) -> dict[str, Any]:
    rule = entry.value
    return {
        "Name": rule.name,
        "Arn": rule_arn(entry),
        "EventPattern": rule.pattern or None,
        "ScheduleExpression": rule.schedule or None,
        "State": entry.status,
        "Description": rule.description or None,
        "RoleArn": rule.role_arn or None,
        "EventBusName": rule.bus,
    }

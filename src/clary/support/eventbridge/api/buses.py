"""Event buses: create, describe, list, update and delete; and who else may put events on one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from clary.kernel.auth import policies
from clary.kernel.core.arns import partition_of
from clary.kernel.core.errors import AwsError, not_supported, validation
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.tags import read_tags, tags_with, tags_without
from clary.kernel.store import AlreadyExists, Conflict, Entry
from clary.kernel.wire import paginate
from clary.support.eventbridge.names import Bus, bus_named, missing, policy_of, rules_of
from clary.support.eventbridge.records import DEFAULT_BUS, EventBus
from clary.support.eventbridge.resources import bus_resource

_MOST_BUSES = 100
_LARGEST_POLICY_BYTES = 10_240
_MOST_TRIES = 20


@operation("events", "CreateEventBus", resource="event-bus/{Name}")
def create_event_bus(
    ctx: Context,
    Name: str,
    EventSourceName: str | None = None,
    Description: str | None = None,
    KmsKeyIdentifier: str | None = None,
    DeadLetterConfig: Mapping[str, Any] | None = None,
    LogConfig: Mapping[str, Any] | None = None,
    Tags: Sequence[Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Add a bus."""
    if EventSourceName is not None:
        raise not_supported("EventSourceName", "it has no partners that send events")
    _refuse(KmsKeyIdentifier, LogConfig)
    if "/" in Name:
        raise validation("Event bus name must not contain '/'.")
    bus = Bus(ctx.account, ctx.region, Name)
    table = ctx.records(EventBus)
    taken = AwsError("ResourceAlreadyExistsException", f"Event bus {Name} already exists.")
    if Name == DEFAULT_BUS:
        raise taken
    if table.count() >= _MOST_BUSES:
        raise AwsError("LimitExceededException", f"An account has at most {_MOST_BUSES} event buses in a region.")
    made = EventBus(Description or "", (DeadLetterConfig or {}).get("Arn", ""))
    try:
        table.create(Name, made, also=tags_with(ctx, bus.arn, read_tags(Tags)))
    except AlreadyExists:
        raise taken from None
    return {"EventBusArn": bus.arn, "Description": Description, "DeadLetterConfig": DeadLetterConfig}


@operation("events", "DescribeEventBus", resource=bus_resource)
def describe_event_bus(ctx: Context, Name: str | None = None) -> dict[str, Any]:
    """A bus as it is; the default one when none is named."""
    return _shown(_entry(ctx, bus_named(ctx, Name)))


@operation("events", "ListEventBuses", resource="event-bus/*")
def list_event_buses(
    ctx: Context, NamePrefix: str | None = None, NextToken: str | None = None, Limit: int | None = None
) -> dict[str, Any]:
    """The account's buses by name, the default one among them."""
    entries = {entry.name: entry for entry in ctx.records(EventBus).all()}
    entries.setdefault(DEFAULT_BUS, _entry(ctx, bus_named(ctx, None)))
    shown = [_shown(entries[name]) for name in sorted(entries) if name.startswith(NamePrefix or "")]
    asked = {"NextToken": NextToken, "Limit": Limit}
    return paginate(ctx.operation, asked, [_listed(each) for each in shown], key=lambda each: str(each["Name"]))


@operation("events", "UpdateEventBus", resource="event-bus/{Name}")
def update_event_bus(
    ctx: Context,
    Name: str | None = None,
    KmsKeyIdentifier: str | None = None,
    Description: str | None = None,
    DeadLetterConfig: Mapping[str, Any] | None = None,
    LogConfig: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Change what is said of a bus; what is left out stays."""
    _refuse(KmsKeyIdentifier, LogConfig)
    bus = bus_named(ctx, Name)
    letters = None if DeadLetterConfig is None else DeadLetterConfig.get("Arn", "")

    def change(kept: EventBus) -> EventBus:
        return replace(
            kept,
            description=kept.description if Description is None else Description,
            dead_letters=kept.dead_letters if letters is None else letters,
        )

    shown = _shown(_change(ctx, bus, change))
    return {name: shown[name] for name in ("Arn", "Name", "Description", "DeadLetterConfig")}


@operation("events", "DeleteEventBus", resource="event-bus/{Name}")
def delete_event_bus(ctx: Context, Name: str) -> None:
    """Remove a bus that has no rules any more; one that is not there is no error."""
    if Name == DEFAULT_BUS:
        raise validation("Cannot delete event bus default.")
    bus = Bus(ctx.account, ctx.region, Name)
    table = ctx.records(EventBus)
    while table.get(Name) is not None:
        if rules_of(ctx.platform, bus).count(parent=Name):
            raise validation(f"Cannot delete event bus {Name}: it has rules. Delete them first.")
        try:
            table.delete(Name, also=tags_without(ctx.platform, bus.arn))
        except Conflict:
            continue  # its tags changed, or it went, meanwhile


@operation("events", "PutPermission", resource=bus_resource)
def put_permission(
    ctx: Context,
    EventBusName: str | None = None,
    Action: str | None = None,
    Principal: str | None = None,
    StatementId: str | None = None,
    Condition: Mapping[str, Any] | None = None,
    Policy: str | None = None,
) -> None:
    """Let another account put events on a bus, or set the bus's whole policy."""
    bus = bus_named(ctx, EventBusName)
    if Policy is not None:
        if Action or Principal or StatementId or Condition:
            raise validation("Policy can't be given together with Action, Principal, StatementId or Condition.")
        statements = _statements(Policy)
        _change(ctx, bus, lambda kept: replace(kept, statements=statements))
        return
    if not (Action and Principal and StatementId):
        raise validation("Action, Principal and StatementId must be given, or Policy.")
    statement: dict[str, Any] = {
        "Sid": StatementId,
        "Effect": "Allow",
        "Principal": "*" if Principal == "*" else {"AWS": f"arn:{partition_of(bus.region)}:iam::{Principal}:root"},
        "Action": Action,
        "Resource": bus.arn,
    }
    if Condition is not None:
        if Condition["Type"] != "StringEquals" or Condition["Key"] != "aws:PrincipalOrgID":
            raise validation("A Condition has the Type StringEquals and the Key aws:PrincipalOrgID.")
        statement["Condition"] = {"StringEquals": {"aws:PrincipalOrgID": Condition["Value"]}}
    _change(ctx, bus, lambda kept: _within_size({**kept.statements, StatementId: statement}, kept))


@operation("events", "RemovePermission", resource=bus_resource)
def remove_permission(
    ctx: Context, StatementId: str | None = None, RemoveAllPermissions: bool = False, EventBusName: str | None = None
) -> None:
    """Take a statement out of a bus's policy, or all of them."""
    bus = bus_named(ctx, EventBusName)

    def change(kept: EventBus) -> EventBus:
        if RemoveAllPermissions:
            return replace(kept, statements={})
        if StatementId not in kept.statements:
            raise AwsError("ResourceNotFoundException", f"Statement with the provided id does not exist: {StatementId}")
        return replace(kept, statements={id: each for id, each in kept.statements.items() if id != StatementId})

    _change(ctx, bus, change)


def _within_size(statements: dict[str, dict[str, Any]], kept: EventBus) -> EventBus:
    changed = replace(kept, statements=statements)
    if len(policy_of(changed).encode()) > _LARGEST_POLICY_BYTES:
        raise AwsError("PolicyLengthExceededException", f"The policy is longer than {_LARGEST_POLICY_BYTES} bytes.")
    return changed


def _statements(policy: str) -> dict[str, dict[str, Any]]:
    if len(policy.encode()) > _LARGEST_POLICY_BYTES:
        raise AwsError("PolicyLengthExceededException", f"The policy is longer than {_LARGEST_POLICY_BYTES} bytes.")
    try:
        policies.compile_document(policy, "event bus policy")
    except ValueError as error:
        raise validation(f"Policy is not valid: {error}") from None
    found = orjson.loads(policy)["Statement"]
    return {
        str(each.get("Sid") or f"statement-{place}"): each
        for place, each in enumerate(found if isinstance(found, list) else [found])
    }


def _refuse(key: str | None, logs: Mapping[str, Any] | None) -> None:
    if key:
        raise not_supported("KmsKeyIdentifier", "it does not encrypt events at rest: leave it out")
    if logs is not None and logs.get("Level", "OFF") != "OFF":
        raise not_supported("LogConfig", "a bus keeps no log of its own: leave it out")


def _entry(ctx: Context, bus: Bus) -> Entry[EventBus]:
    found = ctx.records(EventBus).get(bus.name)
    if found is None:
        return Entry(EventBus(), bus.name, bus.account, bus.region, "", "", 0.0, 0.0, 0)
    return found


def _change(ctx: Context, bus: Bus, change: Callable[[EventBus], EventBus]) -> Entry[EventBus]:
    table = ctx.records(EventBus)
    for _ in range(_MOST_TRIES):
        changed = table.update(bus.name, change)
        if changed is not None:
            return changed
        if bus.name != DEFAULT_BUS:
            raise missing(f"Event bus {bus.name}")
        try:
            return table.create(bus.name, change(EventBus()))
        except AlreadyExists:
            continue
    raise AwsError("ConcurrentModificationException", f"Event bus {bus.name} is being changed by others: try again.")


def _shown(entry: Entry[EventBus]) -> dict[str, Any]:
    found = entry.value
    times = {"CreationTime": entry.created_at, "LastModifiedTime": entry.updated_at} if entry.version else {}
    return {
        "Name": entry.name,
        "Arn": Bus(entry.account, entry.region, entry.name).arn,
        "Description": found.description or None,
        "DeadLetterConfig": {"Arn": found.dead_letters} if found.dead_letters else None,
        "Policy": policy_of(found) or None,
        **times,
    }


def _listed(shown: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in shown.items() if name != "DeadLetterConfig"}

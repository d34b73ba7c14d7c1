"""Scheduled actions: put, describe, delete. `reconcile` carries them out."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from clary.kernel.core.errors import AwsError, validation
from clary.kernel.core.ids import new_uuid
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.lists import epoch_seconds
from clary.kernel.store import Entry
from clary.kernel.wire import paginate
from clary.support.autoscaling.bounds import check_bounds
from clary.support.autoscaling.capacity import read_capacity
from clary.support.autoscaling.names import (
    NAMESPACE,
    check_namespace,
    find_target,
    missing,
    part_arn,
    scaled,
    target_name,
)
from clary.support.autoscaling.pages import page_members
from clary.support.autoscaling.records import ScheduledAction
from clary.support.autoscaling.times import next_due

_MOST_ACTIONS = 200


@operation("application-autoscaling", "PutScheduledAction")
def put_scheduled_action(
    ctx: Context,
    *,
    ServiceNamespace: str,
    ScheduledActionName: str,
    ResourceId: str,
    ScalableDimension: str,
    Schedule: str | None = None,
    Timezone: str | None = None,
    StartTime: float | datetime | None = None,
    EndTime: float | datetime | None = None,
    ScalableTargetAction: dict[str, int] | None = None,
) -> None:
    """Create a scheduled action, or change one: what is not given stays, but for StartTime and EndTime."""
    target = find_target(ctx, ServiceNamespace, ResourceId, ScalableDimension)
    table = ctx.records(ScheduledAction)
    name = f"{target.name}/{ScheduledActionName}"
    before = table.get(name)
    old = before.value if before else None
    if old is None and table.count(parent=target.name) >= _MOST_ACTIONS:
        raise AwsError("LimitExceededException", f"{ResourceId} has {_MOST_ACTIONS} scheduled actions; delete one.")
    given = ScalableTargetAction or {}
    action = ScheduledAction(
        ScheduledActionName,
        old.arn if old else _arn(ctx, ResourceId, ScheduledActionName),
        Schedule or (old.schedule if old else ""),
        Timezone or (old.timezone if old else ""),
        None if StartTime is None else epoch_seconds(StartTime),
        None if EndTime is None else epoch_seconds(EndTime),
        given.get("MinCapacity") if given or old is None else old.minimum,
        given.get("MaxCapacity") if given or old is None else old.maximum,
    )
    capacity = read_capacity(ctx.call, ResourceId)
    _check(action, may_be_zero=capacity is not None and capacity.may_be_zero)
    now = ctx.platform.clock.now()
    table.put(name, _with_next(action, before.created_at if before else now, now), parent=target.name)
    ctx.platform.wake("autoscaling", f"{ctx.account}/{ctx.region}/{target.name}")


@operation("application-autoscaling", "DescribeScheduledActions")
def describe_scheduled_actions(
    ctx: Context,
    *,
    ServiceNamespace: str,
    ScheduledActionNames: list[str] | None = None,
    ResourceId: str | None = None,
    ScalableDimension: str | None = None,
    MaxResults: int | None = None,
    NextToken: str | None = None,
) -> dict[str, Any]:
    """Scheduled actions, all or those of a resource."""
    check_namespace(ServiceNamespace, ScalableDimension)
    if ScalableDimension and not ResourceId:
        raise validation("ScalableDimension needs ResourceId.")
    parent = target_name(NAMESPACE, ResourceId, scaled(ResourceId).dimension) if ResourceId else None
    found = [
        entry
        for entry in ctx.records(ScheduledAction).all(parent=parent)
        if not ScheduledActionNames or entry.value.name in ScheduledActionNames
    ]
    page = paginate(ctx.operation, page_members(MaxResults, NextToken), found, key=lambda entry: entry.name)
    return {**page, "ScheduledActions": [_describe(entry) for entry in page["ScheduledActions"]]}


@operation("application-autoscaling", "DeleteScheduledAction")
def delete_scheduled_action(
    ctx: Context, ServiceNamespace: str, ScheduledActionName: str, ResourceId: str, ScalableDimension: str
) -> None:
    """Delete a scheduled action; bounds that it has set stay."""
    name = f"{target_name(ServiceNamespace, ResourceId, ScalableDimension)}/{ScheduledActionName}"
    if not ctx.records(ScheduledAction).delete(name):
        what = f"scheduled action named {ScheduledActionName}"
        raise missing(what, ServiceNamespace, ResourceId, ScalableDimension)


def _arn(ctx: Context, resource: str, name: str) -> str:
    return part_arn(ctx, "scheduledAction", new_uuid(), resource, "scheduledActionName", name)


def _check(action: ScheduledAction, *, may_be_zero: bool) -> None:
    if not action.schedule:
        raise validation("Schedule is required to create a scheduled action.")
    if action.minimum is None and action.maximum is None:
        raise validation("ScalableTargetAction must give MinCapacity, MaxCapacity or both.")
    check_bounds(action.minimum, action.maximum, may_be_zero=may_be_zero)
    if action.start is not None and action.end is not None and action.start >= action.end:
        raise validation("StartTime must be before EndTime.")


def _with_next(action: ScheduledAction, created_at: float, now: float) -> ScheduledAction:
    """The action with the time when it is due. Raises ValidationException when it never is."""
    try:
        due = next_due(action, created_at, now)
    except ValueError as error:
        raise validation(f"Schedule is not valid: {error}.") from None
    if due is None:
        raise validation(f"Schedule {action.schedule} is never due: all its times are past, or not before EndTime.")
    return replace(action, next_at=due)


def _describe(entry: Entry[ScheduledAction]) -> dict[str, Any]:
    action = entry.value
    dimension, _, rest = entry.name.partition("/")
    bounds = {"MinCapacity": action.minimum, "MaxCapacity": action.maximum}
    return {
        "ScheduledActionName": action.name,
        "ScheduledActionARN": action.arn,
        "ServiceNamespace": NAMESPACE,
        "Schedule": action.schedule,
        "Timezone": action.timezone or None,
        "ResourceId": rest.removesuffix(f"/{action.name}"),
        "ScalableDimension": dimension,
        "StartTime": action.start,
        "EndTime": action.end,
        "ScalableTargetAction": {name: value for name, value in bounds.items() if value is not None},
        "CreationTime": entry.created_at,
    }

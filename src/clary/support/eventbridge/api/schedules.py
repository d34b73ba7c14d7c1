"""Schedules of EventBridge Scheduler: create, update, get, list and delete."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.core.errors import AwsError, not_supported, validation
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.lists import epoch_seconds
from clary.kernel.store import AlreadyExists, Conflict, Entry
from clary.kernel.wire import page_asked, page_output
from clary.support.eventbridge.firing import schedule_arn, set_timer, timer_name
from clary.support.eventbridge.groups import DEFAULT_GROUP, require_group
from clary.support.eventbridge.outbox import Outbox
from clary.support.eventbridge.records import ENABLED, Schedule
from clary.support.eventbridge.schedule_targets import check_schedule_target
from clary.support.eventbridge.timers import Timers
from clary.support.eventbridge.times import next_of_schedule

_MOST_TRIES = 20


def _resource(ctx: Context, params: Mapping[str, Any]) -> str:
    return f"schedule/{params.get('GroupName') or DEFAULT_GROUP}/{params['Name']}"


@operation("scheduler", "CreateSchedule", resource=_resource)
def create_schedule(
    ctx: Context,
    Name: str,
    GroupName: str = DEFAULT_GROUP,
    State: str = ENABLED,
    ClientToken: str = "",
    **request: Any,
) -> dict[str, Any]:
    """Add a schedule; the same request with the same token again is answered as the first was."""
    require_group(ctx, GroupName)
    schedule = _checked(ctx, Name, GroupName, request, ClientToken)
    table = ctx.records(Schedule)
    key = f"{GroupName}/{Name}"
    try:
        entry = table.create(key, schedule, status=State, parent=GroupName)
    except AlreadyExists:
        found = table.get(key)
        if found is None or not ClientToken or found.value.token != ClientToken:
            raise AwsError("ConflictException", f"Schedule {Name} already exists.", status=409) from None
        entry = found
    else:
        set_timer(ctx.platform, entry)
    return {"ScheduleArn": schedule_arn(entry)}


@operation("scheduler", "UpdateSchedule", resource=_resource)
def update_schedule(
    ctx: Context,
    Name: str,
    GroupName: str = DEFAULT_GROUP,
    State: str = ENABLED,
    ClientToken: str = "",
    **request: Any,
) -> dict[str, Any]:
    """Set all of a schedule anew: what is left out gets its default, as on AWS."""
    table = ctx.records(Schedule)
    for _ in range(_MOST_TRIES):
        found = _get(ctx, GroupName, Name)
        schedule = _checked(ctx, Name, GroupName, request, found.value.token)
        try:
            entry = table.replace(found, schedule, status=State)
        except Conflict:
            continue
        set_timer(ctx.platform, entry)
        return {"ScheduleArn": schedule_arn(entry)}
    raise AwsError("ConflictException", f"Schedule {Name} is being changed by others: try again.", status=409)


@operation("scheduler", "GetSchedule", resource=_resource)
def get_schedule(ctx: Context, Name: str, GroupName: str = DEFAULT_GROUP) -> dict[str, Any]:
    """A schedule as it is."""
    entry = _get(ctx, GroupName, Name)
    return {
        "ActionAfterCompletion": "NONE",
        "ScheduleExpressionTimezone": "UTC",
        **entry.value.request,
        **_summary(entry),
        "Target": entry.value.request["Target"],
    }


@operation("scheduler", "ListSchedules", resource="schedule/*/*")
def list_schedules(
    ctx: Context,
    GroupName: str | None = None,
    NamePrefix: str | None = None,
    State: str | None = None,
    NextToken: str | None = None,
    MaxResults: int | None = None,
) -> dict[str, Any]:
    """Schedules by group and name, of all groups or of one."""
    limit, position = page_asked(ctx.operation, {"NextToken": NextToken, "MaxResults": MaxResults})
    if GroupName is not None:
        require_group(ctx, GroupName)
    shown: list[dict[str, Any]] = []
    last, more = None, False
    for entry in ctx.records(Schedule).scan(after=position, parent=GroupName, status=State):
        if not entry.value.name.startswith(NamePrefix or ""):
            continue
        if len(shown) == limit:
            more = True
            break
        shown.append(_summary(entry))
        last = entry.name
    return page_output(ctx.operation, shown, last if more else None)


@operation("scheduler", "DeleteSchedule", resource=_resource)
def delete_schedule(ctx: Context, Name: str, GroupName: str = DEFAULT_GROUP, ClientToken: str = "") -> None:
    """Remove a schedule, and what of it waits to be tried again."""
    entry = _get(ctx, GroupName, Name)
    ctx.records(Schedule).delete(entry.name)
    Timers(ctx.platform).clear(timer_name(entry))
    Outbox(ctx.platform).drop(f"{schedule_arn(entry)}|")


def _get(ctx: Context, group: str, name: str) -> Entry[Schedule]:
    entry = ctx.records(Schedule).get(f"{group}/{name}")
    if entry is None:
        raise AwsError("ResourceNotFoundException", f"Schedule {name} does not exist.", status=404)
    return entry


def _checked(ctx: Context, name: str, group: str, request: dict[str, Any], token: str) -> Schedule:
    """What is stored of a request. Raises ValidationException."""
    if request.get("KmsKeyArn") is not None:
        raise not_supported("KmsKeyArn", "it does not encrypt schedules at rest: leave it out")
    now = ctx.platform.clock.now()
    for member in ("StartDate", "EndDate"):
        if request.get(member) is not None:
            request[member] = epoch_seconds(request[member])
    start, end = request.get("StartDate"), request.get("EndDate")
    if end is not None and end <= max(now, start or 0.0):
        raise validation("The EndDate you specify must come after the StartDate, and after now.")
    window = request["FlexibleTimeWindow"]
    if (window["Mode"] == "FLEXIBLE") != (window.get("MaximumWindowInMinutes") is not None):
        raise validation("MaximumWindowInMinutes is required when the FlexibleTimeWindow is FLEXIBLE, and only then.")
    try:
        next_of_schedule(request, now, now)
    except ValueError as error:
        raise validation(f"Invalid Schedule Expression {request['ScheduleExpression']}: {error}.") from None
    role = check_schedule_target(ctx, request["Target"])
    return Schedule(name, group, {key: value for key, value in request.items() if value is not None}, role, now, token)


def _summary(entry: Entry[Schedule]) -> dict[str, Any]:
    schedule = entry.value
    return {
        "Arn": schedule_arn(entry),
        "Name": schedule.name,
        "GroupName": schedule.group,
        "State": entry.status,
        "CreationDate": entry.created_at,
        "LastModificationDate": entry.updated_at,
        "Target": {"Arn": schedule.request["Target"]["Arn"]},
    }

"""Groups of schedules: create, get, list and delete, and their tags."""

from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.core.arns import parse_arn
from clary.kernel.core.errors import AwsError, validation
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.tags import add_tags, read_tags, remove_tags, tag_list, tags_of, tags_with, tags_without
from clary.kernel.store import AlreadyExists, Conflict, Entry
from clary.kernel.wire import page_asked, page_output
from clary.support.eventbridge.firing import schedule_arn, timer_name
from clary.support.eventbridge.groups import DEFAULT_GROUP, find_group, group_arn, require_group
from clary.support.eventbridge.outbox import Outbox
from clary.support.eventbridge.records import Schedule, ScheduleGroup
from clary.support.eventbridge.timers import Timers

_ACTIVE = "ACTIVE"


@operation("scheduler", "CreateScheduleGroup", resource="schedule-group/{Name}")
def create_schedule_group(
    ctx: Context, Name: str, Tags: Sequence[Mapping[str, Any]] | None = None, ClientToken: str = ""
) -> dict[str, Any]:
    """Add a group; the same request with the same token again is answered as the first was."""
    arn = group_arn(ctx, Name)
    try:
        if Name == DEFAULT_GROUP:
            raise AlreadyExists
        also = tags_with(ctx, arn, read_tags(Tags))
        ctx.records(ScheduleGroup).create(Name, ScheduleGroup(ClientToken), status=_ACTIVE, also=also)
    except AlreadyExists:
        found = ctx.records(ScheduleGroup).get(Name)
        if found is None or not ClientToken or found.value.token != ClientToken:
            raise AwsError("ConflictException", f"Schedule group {Name} already exists.", status=409) from None
    return {"ScheduleGroupArn": arn}


@operation("scheduler", "GetScheduleGroup", resource="schedule-group/{Name}")
def get_schedule_group(ctx: Context, Name: str) -> dict[str, Any]:
    """A group as it is."""
    return _shown(ctx, require_group(ctx, Name))


@operation("scheduler", "ListScheduleGroups", resource="schedule-group/*")
def list_schedule_groups(
    ctx: Context, NamePrefix: str | None = None, NextToken: str | None = None, MaxResults: int | None = None
) -> dict[str, Any]:
    """The groups by name, the default one first."""
    limit, position = page_asked(ctx.operation, {"NextToken": NextToken, "MaxResults": MaxResults})
    default = find_group(ctx, DEFAULT_GROUP)
    leads = position is None and default is not None and DEFAULT_GROUP.startswith(NamePrefix or "")
    if leads and limit == 1:
        return page_output(ctx.operation, [_shown(ctx, require_group(ctx, DEFAULT_GROUP))], "")
    page = ctx.records(ScheduleGroup).page(limit - leads, position or None, name_prefix=NamePrefix)
    shown = [_shown(ctx, entry) for entry in ([default, *page] if leads else page)]
    return page_output(ctx.operation, shown, page.next_token)


@operation("scheduler", "DeleteScheduleGroup", resource="schedule-group/{Name}")
def delete_schedule_group(ctx: Context, Name: str, ClientToken: str = "") -> None:
    """Remove a group with all its schedules, at once."""
    if Name == DEFAULT_GROUP:
        raise validation("The default schedule group can't be deleted.")
    require_group(ctx, Name)
    for entry in ctx.records(Schedule).all(parent=Name):
        ctx.records(Schedule).delete(entry.name)
        Timers(ctx.platform).clear(timer_name(entry))
        Outbox(ctx.platform).drop(f"{schedule_arn(entry)}|")
    while ctx.records(ScheduleGroup).get(Name) is not None:
        try:
            ctx.records(ScheduleGroup).delete(Name, also=tags_without(ctx.platform, group_arn(ctx, Name)))
        except Conflict:
            continue  # its tags changed, or it went, meanwhile


@operation("scheduler", "TagResource", resource="{ResourceArn}")
def tag_resource(ctx: Context, ResourceArn: str, Tags: Sequence[Mapping[str, Any]]) -> None:
    """Add tags to a group, over values of the same key."""
    _require(ctx, ResourceArn)
    add_tags(ctx.platform, ResourceArn, read_tags(Tags))


@operation("scheduler", "UntagResource", resource="{ResourceArn}")
def untag_resource(ctx: Context, ResourceArn: str, TagKeys: Sequence[str]) -> None:
    """Take tags off a group; keys it lacks are no error."""
    _require(ctx, ResourceArn)
    remove_tags(ctx.platform, ResourceArn, TagKeys)


@operation("scheduler", "ListTagsForResource", resource="{ResourceArn}")
def list_tags_for_resource(ctx: Context, ResourceArn: str) -> dict[str, Any]:
    """The tags of a group."""
    _require(ctx, ResourceArn)
    return {"Tags": tag_list(tags_of(ctx.platform, ResourceArn))}


def _require(ctx: Context, arn: str) -> None:
    parsed = parse_arn(arn)
    if parsed.account != ctx.account or parsed.region != ctx.region:
        raise AwsError("ResourceNotFoundException", f"{arn} does not exist.", status=404)
    require_group(ctx, parsed.resource_name)


def _shown(ctx: Context, entry: Entry[ScheduleGroup]) -> dict[str, Any]:
    return {
        "Arn": group_arn(ctx, entry.name),
        "Name": entry.name,
        "State": _ACTIVE,
        "CreationDate": entry.created_at,
        "LastModificationDate": entry.updated_at,
    }

"""Tags of log groups, by name as it used to be and by ARN as it is now."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation
from clary.kernel.telemetry.log_records import GroupNotFound, LogGroup
from clary.support.logs.lookup import find_group, group_name, invalid, no_group

_MOST_TAGS = 50


@operation("logs", "TagLogGroup", resource="log-group:{logGroupName}")
def tag_log_group(ctx: Context, logGroupName: str, tags: Mapping[str, str]) -> None:
    """Add tags to a group, over values of the same key."""
    _retag(ctx, logGroupName, lambda old: checked_tags({**old, **tags}))


@operation("logs", "UntagLogGroup", resource="log-group:{logGroupName}")
def untag_log_group(ctx: Context, logGroupName: str, tags: list[str]) -> None:
    """Take tags off a group; keys it lacks are no error."""
    _retag(ctx, logGroupName, lambda old: {key: value for key, value in old.items() if key not in tags})


@operation("logs", "ListTagsLogGroup", resource="log-group:{logGroupName}")
def list_tags_log_group(ctx: Context, logGroupName: str) -> dict[str, Any]:
    """The tags of a group."""
    return {"tags": _tags(find_group(ctx, logGroupName))}


@operation("logs", "TagResource", resource="{resourceArn}")
def tag_resource(ctx: Context, resourceArn: str, tags: Mapping[str, str]) -> None:
    """Add tags to a group, over values of the same key."""
    _retag(ctx, group_name(ctx, resourceArn), lambda old: checked_tags({**old, **tags}, "TooManyTagsException"))


@operation("logs", "UntagResource", resource="{resourceArn}")
def untag_resource(ctx: Context, resourceArn: str, tagKeys: list[str]) -> None:
    """Take tags off a group; keys it lacks are no error."""
    untag_log_group(ctx, group_name(ctx, resourceArn), tagKeys)


@operation("logs", "ListTagsForResource", resource="{resourceArn}")
def list_tags_for_resource(ctx: Context, resourceArn: str) -> dict[str, Any]:
    """The tags of a group."""
    return list_tags_log_group(ctx, group_name(ctx, resourceArn))


def checked_tags(tags: Mapping[str, str], too_many: str = "InvalidParameterException") -> dict[str, str]:
    """`tags`, unless a group may not carry them."""
    reserved = next((key for key in tags if key.lower().startswith("aws:")), None)
    if reserved is not None:
        raise invalid(f"Tag key '{reserved}' is not allowed: the prefix aws: is reserved.")
    if len(tags) > _MOST_TAGS:
        raise AwsError(too_many, f"A log group can have at most {_MOST_TAGS} tags; this would make {len(tags)}.")
    return dict(tags)


def _tags(group: LogGroup) -> dict[str, str]:
    return dict(group.attributes.get("tags", {}))


def _retag(ctx: Context, name: str, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
    def retagged(group: LogGroup) -> LogGroup:
        return replace(group, attributes={**group.attributes, "tags": change(_tags(group))})

    try:
        ctx.platform.logs.change_group(ctx.account, ctx.region, name, retagged)
    except GroupNotFound:
        raise no_group() from None

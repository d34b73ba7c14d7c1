"""Tags of rules and buses."""

from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.core.arns import parse_arn
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.tags import add_tags, read_tags, remove_tags, tag_list, tags_of
from clary.support.eventbridge.names import Bus, find_bus, get_rule, missing
from clary.support.eventbridge.records import DEFAULT_BUS


@operation("events", "TagResource", resource="{ResourceARN}")
def tag_resource(ctx: Context, ResourceARN: str, Tags: Sequence[Mapping[str, Any]]) -> None:
    """Add tags to a rule or a bus, over values of the same key."""
    _require(ctx, ResourceARN)
    add_tags(ctx.platform, ResourceARN, read_tags(Tags))


@operation("events", "UntagResource", resource="{ResourceARN}")
def untag_resource(ctx: Context, ResourceARN: str, TagKeys: Sequence[str]) -> None:
    """Take tags off a rule or a bus; keys it lacks are no error."""
    _require(ctx, ResourceARN)
    remove_tags(ctx.platform, ResourceARN, TagKeys)


@operation("events", "ListTagsForResource", resource="{ResourceARN}")
def list_tags_for_resource(ctx: Context, ResourceARN: str) -> dict[str, Any]:
    """The tags of a rule or a bus."""
    _require(ctx, ResourceARN)
    return {"Tags": tag_list(tags_of(ctx.platform, ResourceARN))}


def _require(ctx: Context, text: str) -> None:
    """Raise ResourceNotFoundException unless this is the ARN of a rule or bus of the caller's."""
    arn = parse_arn(text)
    kind, name = arn.resource_type, arn.resource_name
    if (arn.service, arn.account, arn.region) == ("events", ctx.account, ctx.region):
        if kind == "event-bus" and find_bus(ctx.platform, Bus(arn.account, arn.region, name)) is not None:
            return
        if kind == "rule":
            bus, _, rule = name.rpartition("/")
            get_rule(ctx, Bus(arn.account, arn.region, bus or DEFAULT_BUS), rule)
            return
    raise missing(text)

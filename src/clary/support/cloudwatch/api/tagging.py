"""Tags of alarms and dashboards, by ARN."""

from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.core.arns import parse_arn
from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.tags import add_tags, read_tags, remove_tags, tag_list, tags_of
from clary.kernel.store import Entry
from clary.support.cloudwatch.records import Alarm, Dashboard


@operation("cloudwatch", "TagResource", resource="{ResourceARN}")
def tag_resource(ctx: Context, ResourceARN: str, Tags: Sequence[Mapping[str, str]]) -> None:
    """Add tags, over values of the same key."""
    _require(ctx, ResourceARN)
    add_tags(ctx.platform, ResourceARN, read_tags(Tags))


@operation("cloudwatch", "UntagResource", resource="{ResourceARN}")
def untag_resource(ctx: Context, ResourceARN: str, TagKeys: Sequence[str]) -> None:
    """Take tags off; keys that are not there are no error."""
    _require(ctx, ResourceARN)
    remove_tags(ctx.platform, ResourceARN, TagKeys)


@operation("cloudwatch", "ListTagsForResource", resource="{ResourceARN}")
def list_tags_for_resource(ctx: Context, ResourceARN: str) -> dict[str, Any]:
    """The tags there are."""
    _require(ctx, ResourceARN)
    return {"Tags": tag_list(tags_of(ctx.platform, ResourceARN))}


def _require(ctx: Context, text: str) -> None:
    """Raise ResourceNotFoundException unless the ARN is that of an alarm or a dashboard of this account."""
    arn = parse_arn(text)
    found: Entry[Alarm] | Entry[Dashboard] | None = None
    if arn.service == "cloudwatch" and arn.account == ctx.account:
        if arn.resource_type == "alarm" and arn.region == ctx.region:
            found = ctx.records(Alarm).get(arn.resource_name)
        elif arn.resource_type == "dashboard" and not arn.region:
            found = ctx.records(Dashboard).get(arn.resource_name)
    if found is None:
        raise AwsError(
            "ResourceNotFoundException",
            f"The resource {text} does not exist.",
            status=404,
            members={"ResourceType": arn.resource_type, "ResourceId": arn.resource_name},
        )

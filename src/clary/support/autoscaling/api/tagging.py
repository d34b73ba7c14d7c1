"""Tags of scalable targets, by ARN."""

from typing import Any

from clary.kernel.core.arns import parse_arn
from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.tags import MOST_TAGS, add_tags, refuse_tags, remove_tags, tags_of
from clary.support.autoscaling.records import ScalableTarget


@operation("application-autoscaling", "TagResource", resource="{ResourceARN}")
def tag_resource(ctx: Context, ResourceARN: str, Tags: dict[str, str]) -> None:
    """Add tags, over values of the same key."""
    _require(ctx, ResourceARN)
    if len(tags_of(ctx.platform, ResourceARN) | Tags) > MOST_TAGS:
        message = f"A scalable target can have at most {MOST_TAGS} tags."
        raise AwsError("TooManyTagsException", message, members={"ResourceName": ResourceARN})
    refuse_tags(Tags)
    add_tags(ctx.platform, ResourceARN, Tags)


@operation("application-autoscaling", "UntagResource", resource="{ResourceARN}")
def untag_resource(ctx: Context, ResourceARN: str, TagKeys: list[str]) -> None:
    """Take tags off; keys that are not there are no error."""
    _require(ctx, ResourceARN)
    remove_tags(ctx.platform, ResourceARN, TagKeys)


@operation("application-autoscaling", "ListTagsForResource", resource="{ResourceARN}")
def list_tags_for_resource(ctx: Context, ResourceARN: str) -> dict[str, Any]:
    """The tags there are."""
    _require(ctx, ResourceARN)
    return {"Tags": tags_of(ctx.platform, ResourceARN)}


def _require(ctx: Context, text: str) -> None:
    """Raise ResourceNotFoundException unless the ARN is that of a target of this account and region."""
    arn = parse_arn(text)
    identity = arn.resource_name
    here = (arn.service, arn.account, arn.region) == ("application-autoscaling", ctx.account, ctx.region)
    if not here or not any(entry.value.id == identity for entry in ctx.records(ScalableTarget).all()):
        raise AwsError(
            "ResourceNotFoundException",
            f"The scalable target {text} was not found.",
            members={"ResourceName": text},
        )

"""Tags of whatever Glue has, by its ARN."""

from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.core.arns import parse_arn
from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.tags import add_tags, remove_tags, tags_of
from clary.systems.glue_catalog.lookup import allow, folded, invalid, not_found


@operation("glue", "TagResource", resource="{ResourceArn}")
def tag_resource(ctx: Context, ResourceArn: str, TagsToAdd: Mapping[str, str]) -> None:
    """Add tags to a resource, over values of the same key."""
    arn = _tagged(ctx, ResourceArn)
    try:
        add_tags(ctx.platform, arn, TagsToAdd)
    except AwsError as error:
        raise invalid(error.message) from None


@operation("glue", "UntagResource", resource="{ResourceArn}")
def untag_resource(ctx: Context, ResourceArn: str, TagsToRemove: Sequence[str]) -> None:
    """Take tags off a resource; keys it lacks are no error."""
    remove_tags(ctx.platform, _tagged(ctx, ResourceArn), TagsToRemove)


@operation("glue", "GetTags", resource="{ResourceArn}")
def get_tags(ctx: Context, ResourceArn: str) -> dict[str, Any]:
    """The tags of a resource."""
    return {"Tags": tags_of(ctx.platform, _tagged(ctx, ResourceArn))}


def _tagged(ctx: Context, text: str) -> str:
    """The ARN under which a resource keeps its tags. Raises EntityNotFoundException."""
    try:
        arn = parse_arn(text)
    except AwsError as error:
        raise invalid(error.message) from None
    name = folded(arn.resource_name) if arn.resource_type == "database" else arn.resource_name
    allow(ctx, f"{arn.resource_type}/{name}")  # a policy speaks of names as they are stored
    resource = ctx.platform.registry.resources.get(("glue", arn.resource_type))
    mine = (arn.account, arn.region) == (ctx.account, ctx.region)
    if resource is None or not mine or resource.find(ctx, name) is None:
        raise not_found(f"Resource {text} not found: it is not there, or is of a kind that has no tags")
    return resource.arn(ctx, name)

"""Tags of work groups and data catalogs, by their ARN."""

from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.core.arns import parse_arn
from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.tags import add_tags, remove_tags, tag_list, tags_of
from clary.kernel.wire import paginate
from clary.systems.athena.records import AWS_CATALOG, PRIMARY
from clary.systems.athena.refusals import invalid, missing
from clary.systems.athena.tags import check_tags

_ALWAYS_THERE = {("workgroup", PRIMARY), ("datacatalog", AWS_CATALOG.lower())}


@operation("athena", "TagResource", resource="{ResourceARN}")
def tag_resource(ctx: Context, ResourceARN: str, Tags: Sequence[Mapping[str, str]]) -> None:
    """Add tags to a resource, over values of the same key."""
    arn = _tagged(ctx, ResourceARN)
    try:
        add_tags(ctx.platform, arn, check_tags(Tags))
    except AwsError as error:
        raise invalid(error.message) from None


@operation("athena", "UntagResource", resource="{ResourceARN}")
def untag_resource(ctx: Context, ResourceARN: str, TagKeys: Sequence[str]) -> None:
    """Take tags off a resource; keys it lacks are no error."""
    remove_tags(ctx.platform, _tagged(ctx, ResourceARN), TagKeys)


@operation("athena", "ListTagsForResource", resource="{ResourceARN}")
def list_tags_for_resource(
    ctx: Context, ResourceARN: str, NextToken: str | None = None, MaxResults: int | None = None
) -> dict[str, Any]:
    """The tags of a resource, by key."""
    tags = dict(sorted(tags_of(ctx.platform, _tagged(ctx, ResourceARN)).items()))
    return paginate(
        ctx.operation,
        {"NextToken": NextToken, "MaxResults": MaxResults or 75},
        tag_list(tags),
        key=lambda tag: tag["Key"],
    )


def _tagged(ctx: Context, text: str) -> str:
    """The ARN under which a resource keeps its tags. Raises ResourceNotFoundException."""
    try:
        arn = parse_arn(text)
    except AwsError as error:
        raise invalid(error.message) from None
    name = arn.resource_name.lower() if arn.resource_type == "datacatalog" else arn.resource_name
    resource = ctx.platform.registry.resources.get(("athena", arn.resource_type))
    mine = (arn.service, arn.account, arn.region) == ("athena", ctx.account, ctx.region)
    there = (arn.resource_type, name) in _ALWAYS_THERE or (
        resource is not None and resource.find(ctx, name) is not None
    )
    if resource is None or arn.resource_type == "query" or not mine or not there:
        raise missing(f"Resource {text} was not found", text)
    return resource.arn(ctx, name)

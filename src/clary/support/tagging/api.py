"""AddTags, ListTags and DeleteTags: SageMaker tags every kind of resource by its ARN."""

from typing import Any

from clary.kernel.core.arns import Arn, parse_arn
from clary.kernel.core.errors import AwsError, validation
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms import tags as kept
from clary.kernel.rooms.tags import read_tags, remove_tags, tag_list, tags_of
from clary.kernel.wire import paginate


@operation("sagemaker", "AddTags", resource="{ResourceArn}")
def add_tags(ctx: Context, ResourceArn: str, Tags: list[dict[str, str]]) -> dict[str, Any]:
    """Add tags, over values of the same key; answers with all that the resource has now."""
    arn = _existing(ctx, ResourceArn)
    return {"Tags": tag_list(kept.add_tags(ctx.platform, str(arn), read_tags(Tags)))}


@operation("sagemaker", "ListTags", resource="{ResourceArn}")
def list_tags(
    ctx: Context, ResourceArn: str, NextToken: str | None = None, MaxResults: int | None = None
) -> dict[str, Any]:
    arn = _existing(ctx, ResourceArn)
    tags = sorted(tag_list(tags_of(ctx.platform, str(arn))), key=lambda tag: tag["Key"])
    asked = {"NextToken": NextToken, "MaxResults": MaxResults}
    return paginate(ctx.operation, asked, tags, key=lambda tag: tag["Key"])


@operation("sagemaker", "DeleteTags", resource="{ResourceArn}")
def delete_tags(ctx: Context, ResourceArn: str, TagKeys: list[str]) -> None:
    """Take tags off; keys that the resource lacks are no error."""
    remove_tags(ctx.platform, str(_existing(ctx, ResourceArn)), TagKeys)


def _existing(ctx: Context, text: str) -> Arn:
    """The ARN, once it is known to name a resource of the caller's account and region."""
    arn = parse_arn(text)
    if (arn.account, arn.region) != (ctx.account, ctx.region):
        raise AwsError("AccessDeniedException", f"{text} is not a resource of account {ctx.account} in {ctx.region}.")
    resource = ctx.platform.registry.resources.get((arn.service, arn.resource_type))
    if resource is None:
        raise validation(f"{text}: Clary has no SageMaker resources of type {arn.resource_type!r} that carry tags.")
    if resource.find(ctx, arn.resource_name) is None:
        raise resource.not_found(ctx, arn.resource_name)
    return arn

"""Lineage groups: the one that an account has in each region."""

from typing import Any

from clary.kernel.core.arns import parse_arn
from clary.kernel.core.errors import AwsError, validation
from clary.kernel.rooms import Context, operation
from clary.kernel.store.contract import SortColumn
from clary.support.lineage.groups import DEFAULT_GROUP, default_group, group_arn
from clary.support.lineage.pages import listed
from clary.support.lineage.records import LineageGroup


def _given(ctx: Context, params: Any) -> str:
    name = str(params["LineageGroupName"])
    return name if name.startswith("arn:") else f"lineage-group/{name}"


@operation("sagemaker", "DescribeLineageGroup", resource=_given)
def describe_lineage_group(ctx: Context, LineageGroupName: str) -> dict[str, Any]:
    _require_default(ctx, LineageGroupName)
    group = default_group(ctx)
    return {
        "LineageGroupName": group.name,
        "LineageGroupArn": group_arn(ctx),
        "DisplayName": group.value.title,
        "CreationTime": group.created_at,
        "CreatedBy": {},
        "LastModifiedTime": group.updated_at,
        "LastModifiedBy": {},
    }


@operation("sagemaker", "ListLineageGroups")
def list_lineage_groups(ctx: Context, **request: Any) -> dict[str, Any]:
    """The account's own group; nobody shares another with it."""
    default_group(ctx)

    def show(group: Any) -> dict[str, Any]:
        return {
            "LineageGroupArn": group_arn(ctx),
            "LineageGroupName": group.name,
            "DisplayName": group.value.title,
            "CreationTime": group.created_at,
            "LastModifiedTime": group.updated_at,
        }

    sort: SortColumn = "name" if request.get("SortBy") == "Name" else "created_at"
    return listed(ctx, LineageGroup, request, show, sort=sort, descending=False)


@operation("sagemaker", "GetLineageGroupPolicy", resource=_given)
def get_lineage_group_policy(ctx: Context, LineageGroupName: str) -> dict[str, Any]:
    """A group has a policy on AWS when Resource Access Manager shares it; here none is shared, so there is none."""
    _require_default(ctx, LineageGroupName)
    raise AwsError("ResourceNotFound", f"Lineage group {group_arn(ctx)} is not shared: it has no resource policy.")


def _require_default(ctx: Context, name_or_arn: str) -> None:
    name = name_or_arn
    if name_or_arn.startswith("arn:"):
        arn = parse_arn(name_or_arn)
        if (arn.account, arn.region) != (ctx.account, ctx.region):
            raise AwsError("AccessDeniedException", f"{name_or_arn} is not shared with account {ctx.account}.")
        if arn.resource_type != "lineage-group":
            raise validation(f"{name_or_arn} is not the ARN of a lineage group.")
        name = arn.resource_name
    if name != DEFAULT_GROUP:
        raise AwsError("ResourceNotFound", f"Lineage group {name!r} does not exist; the only one is {DEFAULT_GROUP!r}.")

"""Which group or package a request means, and whether the group's resource policy lets the caller have it.

In the owner's account only an explicit deny of the policy matters here: what IAM allows was decided before. Callers of
another account name a group or a version by its ARN, and need the policy's leave.
"""

from typing import Any

from clary.kernel.auth import policies
from clary.kernel.auth.actions import action_of
from clary.kernel.core.arns import parse_arn
from clary.kernel.core.errors import AwsError, validation
from clary.kernel.rooms import Context, Resource
from clary.support.registry.records import ModelPackageGroup

_SHARED = frozenset(
    {
        "BatchDescribeModelPackage",
        "DescribeModelPackageGroup",
        "DescribeModelPackage",
        "ListModelPackages",
        "UpdateModelPackage",
    }
)


def located(ctx: Context, resource: Resource[Any], given: str) -> tuple[Context, str]:
    """The context of the account whose resource is given by name or ARN, and its name there.

    Raises ValidationException for the ARN of another kind or region, AccessDeniedException where the policy says no.
    """
    name, owner = given, ctx
    if given.startswith("arn:"):
        arn = parse_arn(given)
        if (arn.service, arn.resource_type) != (resource.service, resource.type_name):
            raise validation(f"{given} is not the ARN of a {resource.type_name}.")
        if arn.region != ctx.region:
            raise validation(f"ARN should be scoped to correct region: {ctx.region}, not {arn.region} ({given}).")
        name, owner = arn.resource_name, ctx.within(account=arn.account)
    _admit(ctx, owner, name, resource.arn(owner, name))
    return owner, name


def _admit(ctx: Context, owner: Context, name: str, arn: str) -> None:
    foreign = owner.account != ctx.account
    if not foreign and ctx.principal.kind == "root":
        return
    group = owner.records(ModelPackageGroup).get(name.partition("/")[0])
    policy = group.value.policy if group is not None else ""
    outcome = "implicitDeny"
    if policy and not (foreign and ctx.operation.name not in _SHARED):
        outcome = policies.trusts(policy, ctx.principal, action_of(ctx.operation), resource=arn).outcome
    if outcome == "explicitDeny" or (foreign and outcome != "allowed"):
        reason = "with an explicit deny in a" if outcome == "explicitDeny" else "because no"
        raise AwsError(
            "AccessDeniedException",
            f"User: {ctx.principal.arn} is not authorized to perform: {action_of(ctx.operation)} on resource: {arn} "
            f"{reason} resource-based policy" + ("" if outcome == "explicitDeny" else " allows the action"),
        )

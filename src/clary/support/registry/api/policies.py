"""Resource policies of model package groups: who else may see their versions, and who may not."""

from dataclasses import replace
from typing import Any

from clary.kernel.auth import policies
from clary.kernel.core.errors import validation
from clary.kernel.rooms import Context, operation
from clary.support.registry.records import ModelPackageGroup
from clary.support.registry.resources import MODEL_PACKAGE_GROUPS

_RESOURCE = "model-package-group/{ModelPackageGroupName}"


@operation("sagemaker", "PutModelPackageGroupPolicy", resource=_RESOURCE)
def put_model_package_group_policy(ctx: Context, ModelPackageGroupName: str, ResourcePolicy: str) -> dict[str, Any]:
    """Give the group a policy, in place of any it has."""
    try:
        compiled = policies.compile_document(ResourcePolicy, "resource policy")
    except ValueError as error:
        raise validation(f"The resource policy is not valid: {error}") from None
    if any(one.principals is None and one.not_principals is None for one in compiled.statements):
        raise validation("The resource policy is not valid: every statement needs a Principal.")
    _keep(ctx, ModelPackageGroupName, ResourcePolicy)
    return {"ModelPackageGroupArn": MODEL_PACKAGE_GROUPS.arn(ctx, ModelPackageGroupName)}


@operation("sagemaker", "GetModelPackageGroupPolicy", resource=_RESOURCE)
def get_model_package_group_policy(ctx: Context, ModelPackageGroupName: str) -> dict[str, Any]:
    return {"ResourcePolicy": _policy(ctx, ModelPackageGroupName)}


@operation("sagemaker", "DeleteModelPackageGroupPolicy", resource=_RESOURCE)
def delete_model_package_group_policy(ctx: Context, ModelPackageGroupName: str) -> None:
    _policy(ctx, ModelPackageGroupName)
    _keep(ctx, ModelPackageGroupName, "")


def _policy(ctx: Context, name: str) -> str:
    """The group's policy. Raises ValidationException for a group that is missing or has none."""
    policy = MODEL_PACKAGE_GROUPS.get(ctx, name).value.policy
    if not policy:
        raise validation(f"ModelPackageGroup {MODEL_PACKAGE_GROUPS.arn(ctx, name)} has no resource policy.")
    return policy


def _keep(ctx: Context, name: str, policy: str) -> None:
    if ctx.records(ModelPackageGroup).update(name, lambda group: replace(group, policy=policy)) is None:
        raise MODEL_PACKAGE_GROUPS.not_found(ctx, name)

"""Model package groups: what the versions of a model have in common."""

from typing import Any

from clary.kernel.core.errors import AwsError, not_supported
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.lists import list_output
from clary.kernel.rooms.tags import read_tags
from clary.kernel.store import Conflict, Entry
from clary.support.registry.records import ModelPackage, ModelPackageGroup
from clary.support.registry.resources import (
    MODEL_PACKAGE_GROUPS,
    group_asked,
    group_document,
    user_context,
)
from clary.support.registry.sharing import located

_MAX_TRIES = 20


@operation("sagemaker", "CreateModelPackageGroup", resource="model-package-group/{ModelPackageGroupName}")
def create_model_package_group(
    ctx: Context,
    *,
    ModelPackageGroupName: str,
    ModelPackageGroupDescription: str | None = None,
    Tags: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    group = ModelPackageGroup(ModelPackageGroupDescription, user_context(ctx))
    MODEL_PACKAGE_GROUPS.create(ctx, ModelPackageGroupName, group, tags=read_tags(Tags), status="Completed")
    return {"ModelPackageGroupArn": MODEL_PACKAGE_GROUPS.arn(ctx, ModelPackageGroupName)}


@operation("sagemaker", "DescribeModelPackageGroup", resource=group_asked)
def describe_model_package_group(ctx: Context, ModelPackageGroupName: str) -> dict[str, Any]:
    owner, name = located(ctx, MODEL_PACKAGE_GROUPS, ModelPackageGroupName)
    return group_document(owner, MODEL_PACKAGE_GROUPS.get(owner, name))


@operation("sagemaker", "ListModelPackageGroups")
def list_model_package_groups(ctx: Context, **request: Any) -> dict[str, Any]:
    if request.pop("CrossAccountFilterOption", None) == "CrossAccount":
        raise not_supported("CrossAccountFilterOption CrossAccount", "it lists what AWS RAM shares, and there is none.")

    def show(entry: Entry[ModelPackageGroup]) -> dict[str, Any]:
        described = group_document(ctx, entry)
        return {name: value for name, value in described.items() if name != "CreatedBy"}

    return list_output(ctx, ModelPackageGroup, request, show)


@operation("sagemaker", "DeleteModelPackageGroup", resource=group_asked)
def delete_model_package_group(ctx: Context, ModelPackageGroupName: str) -> None:
    """Forget an empty group. Its name may be used again, and its versions are then counted anew."""
    _, name = located(ctx, MODEL_PACKAGE_GROUPS, ModelPackageGroupName)
    for _ in range(_MAX_TRIES):
        entry = MODEL_PACKAGE_GROUPS.get(ctx, name)
        count = ctx.records(ModelPackage).count(parent=name)
        if count:
            raise AwsError(
                "ConflictException",
                f"Model package group {MODEL_PACKAGE_GROUPS.arn(ctx, name)} cannot be deleted: it still contains model "
                f"packages ({count}). Delete them first.",
            )
        try:
            MODEL_PACKAGE_GROUPS.delete(ctx, name, version=entry.version)
        except Conflict:
            continue  # a version was created meanwhile
        return
    raise Conflict(name)

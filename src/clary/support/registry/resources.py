"""The kinds of resource of this room, how they are described, and what authorisation asks about."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, Resource
from clary.kernel.store import Entry
from clary.support.registry.contents import searched
from clary.support.registry.records import ModelCard, ModelPackage, ModelPackageGroup

_CODE = "ValidationException"


def user_context(ctx: Context) -> dict[str, Any]:
    """Who calls, as AWS tells who created or modified something."""
    return {"IamIdentity": {"Arn": ctx.principal.arn, "PrincipalId": ctx.principal.user_id}}


def group_document(ctx: Context, entry: Entry[ModelPackageGroup]) -> dict[str, Any]:
    """What DescribeModelPackageGroup and Search both say of a group."""
    return {
        "ModelPackageGroupName": entry.name,
        "ModelPackageGroupArn": MODEL_PACKAGE_GROUPS.arn(ctx, entry.name),
        "ModelPackageGroupDescription": entry.value.description,
        "CreationTime": entry.created_at,
        "CreatedBy": entry.value.created_by,
        "ModelPackageGroupStatus": "Completed",
    }


def package_document(ctx: Context, entry: Entry[ModelPackage]) -> dict[str, Any]:
    """What DescribeModelPackage, Search and the observers of packages are told of a package.

    As in AWS's events, a version's name is `<group>/<version>`; the SDK asks for it by that.
    """
    package = entry.value
    return {
        **package.definition,
        "ModelPackageName": entry.name,
        "ModelPackageGroupName": package.group or None,
        "ModelPackageVersion": package.number or None,
        "ModelPackageArn": MODEL_PACKAGES.arn(ctx, entry.name),
        "ModelPackageStatus": package.status,
        "ModelPackageStatusDetails": {"ValidationStatuses": package.validations, "ImageScanStatuses": []},
        "CreationTime": entry.created_at,
        "CreatedBy": package.created_by,
        "LastModifiedTime": entry.updated_at,
        "LastModifiedBy": package.modified_by,
    }


def card_document(ctx: Context, entry: Entry[ModelCard]) -> dict[str, Any]:
    """What Search and the observers of cards are told of a card, in its latest version."""
    return {**card_description(ctx, entry), **searched(entry.value.content)}


def card_description(ctx: Context, entry: Entry[ModelCard]) -> dict[str, Any]:
    """What DescribeModelCard says of a card, in its latest version."""
    card = entry.value
    return {
        "ModelCardArn": MODEL_CARDS.arn(ctx, entry.name),
        "ModelCardName": entry.name,
        "ModelCardVersion": card.number,
        "Content": card.content,
        "ModelCardStatus": card.status,
        "SecurityConfig": card.security,
        "CreationTime": entry.created_at,
        "CreatedBy": card.created_by,
        "LastModifiedTime": entry.updated_at,
        "LastModifiedBy": card.modified_by,
    }


MODEL_PACKAGE_GROUPS = Resource(
    "sagemaker",
    "model-package-group",
    ModelPackageGroup,
    missing=(_CODE, "ModelPackageGroup {arn} does not exist."),
    taken=(_CODE, "Model Package Group already exists: {arn}"),
    search="ModelPackageGroup",
    document=group_document,
)
MODEL_PACKAGES = Resource(
    "sagemaker",
    "model-package",
    ModelPackage,
    missing=(_CODE, "ModelPackage {arn} does not exist."),
    taken=(_CODE, "Model Package already exists: {arn}"),
    search="ModelPackage",
    document=package_document,
)
MODEL_CARDS = Resource(
    "sagemaker",
    "model-card",
    ModelCard,
    missing=("ResourceNotFound", "Model card {arn} does not exist."),
    taken=("ConflictException", "Model card already exists: {arn}"),
    search="ModelCard",
    document=card_document,
)


def card_name(ctx: Context, given: str) -> str:
    """The name of a card that is given by its name or ARN. Raises the resource's error for one of another place."""
    if not given.startswith("arn:"):
        return given
    name = given.rpartition("/")[2]
    if MODEL_CARDS.arn(ctx, name) != given:
        raise AwsError("ResourceNotFound", f"Model card {given} does not exist.")
    return name


def card_asked(_: Context, params: Mapping[str, Any]) -> str:
    """The card that a request names, for authorisation."""
    return _asked("model-card", str(params["ModelCardName"]))


def group_asked(_: Context, params: Mapping[str, Any]) -> str:
    """The group that a request names, for authorisation."""
    return _asked("model-package-group", str(params["ModelPackageGroupName"]))


def package_asked(_: Context, params: Mapping[str, Any]) -> str:
    """The package that a request names, for authorisation."""
    return _asked("model-package", str(params["ModelPackageName"]))


def package_to_be(_: Context, params: Mapping[str, Any]) -> str:
    """The package that a request would create; the number of a version is not known beforehand."""
    group = params.get("ModelPackageGroupName")
    return f"model-package/{group.rpartition('/')[2]}/*" if group else f"model-package/{params.get('ModelPackageName')}"


def _asked(kind: str, given: str) -> str:
    return given if given.startswith("arn:") else f"{kind}/{given}"

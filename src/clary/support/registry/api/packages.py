"""Model packages: a model with all that is needed to deploy it, as a version of a group or by a name of its own."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clary.kernel.core.errors import AwsError, validation
from clary.kernel.core.ids import short_id
from clary.kernel.objects import parse_s3_uri
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.lists import list_output
from clary.kernel.rooms.roles import acting_role
from clary.kernel.rooms.tags import read_tags
from clary.kernel.serving.models import require_model_data
from clary.kernel.store import Conflict, Entry
from clary.support.registry.cloning import inference_of
from clary.support.registry.contents import metadata_only
from clary.support.registry.records import ModelPackage
from clary.support.registry.requests import (
    announced,
    check_source,
    check_target,
    complete,
    fingerprint,
    remembered,
    updated,
)
from clary.support.registry.resources import (
    MODEL_PACKAGE_GROUPS,
    MODEL_PACKAGES,
    package_asked,
    package_document,
    package_to_be,
    user_context,
)
from clary.support.registry.sharing import located
from clary.support.registry.validation import ACTIVE, COMPLETED, DELETING, TOPIC, awaiting, profiles
from clary.support.registry.versions import forget_package, made_by, store_package

_MAX_TRIES = 50
_SUMMARY = (
    "ModelPackageGroupName",
    "ModelPackageVersion",
    "ModelPackageArn",
    "ModelPackageDescription",
    "CreationTime",
    "ModelPackageStatus",
    "ModelApprovalStatus",
    "ModelLifeCycle",
    "ModelPackageRegistrationType",
)


@operation("sagemaker", "CreateModelPackage", resource=package_to_be)
def create_model_package(
    ctx: Context, *, ClientToken: str | None = None, Tags: list[dict[str, str]] | None = None, **request: Any
) -> dict[str, Any]:
    """Record a package; a version gets its group's next number. The same token answers with the same package."""
    asked = fingerprint({**request, "Tags": Tags or []})
    name = made_by(ctx, ClientToken, asked) if ClientToken else None
    if name is None:
        name = _create(ctx, request, asked, ClientToken, read_tags(Tags))
    return {"ModelPackageArn": MODEL_PACKAGES.arn(ctx, name)}


@operation("sagemaker", "DescribeModelPackage", resource=package_asked)
def describe_model_package(ctx: Context, ModelPackageName: str, IncludedData: str | None = None) -> dict[str, Any]:
    owner, name = located(ctx, MODEL_PACKAGES, ModelPackageName)
    described = package_document(owner, MODEL_PACKAGES.get(owner, name))
    card = described.get("ModelCard", {})
    if IncludedData == "MetadataOnly" and "ModelCardContent" in card:
        described["ModelCard"] = {**card, "ModelCardContent": metadata_only(card["ModelCardContent"])}
    return described


@operation("sagemaker", "BatchDescribeModelPackage")
def batch_describe_model_package(ctx: Context, ModelPackageArnList: list[str]) -> dict[str, Any]:
    """Describe several versions; what is wrong with one costs the others nothing."""
    found: dict[str, Any] = {}
    errors: dict[str, Any] = {}
    for arn in ModelPackageArnList:
        try:
            owner, name = located(ctx, MODEL_PACKAGES, arn)
            described = package_document(owner, MODEL_PACKAGES.get(owner, name))
        except AwsError as error:
            errors[arn] = {"ErrorCode": error.code, "ErrorResponse": error.message}
            continue
        if not described.get("ModelPackageGroupName"):
            message = f"{arn} is not a version of a model package group."
            errors[arn] = {"ErrorCode": "ValidationException", "ErrorResponse": message}
            continue
        shown = [name for name in (*_SUMMARY, "InferenceSpecification") if name != "ModelLifeCycle"]
        found[arn] = {name: described[name] for name in shown if described.get(name) is not None}
    return {"ModelPackageSummaries": found, "BatchDescribeModelPackageErrorMap": errors}


@operation("sagemaker", "ListModelPackages")
def list_model_packages(ctx: Context, **request: Any) -> dict[str, Any]:
    """Unversioned packages unless asked for others; the versions of a group when one is named."""
    group = request.pop("ModelPackageGroupName", None)
    kind = request.pop("ModelPackageType", "Versioned" if group else "Unversioned")
    approval, part = request.pop("ModelApprovalStatus", None), request.get("NameContains", "")
    filters: dict[str, Any] = {}
    if group:
        ctx, name = located(ctx, MODEL_PACKAGE_GROUPS, group)
        MODEL_PACKAGE_GROUPS.get(ctx, name)
        if kind == "Unversioned":
            raise validation("ModelPackageType Unversioned and ModelPackageGroupName exclude each other.")
        filters["parent"] = name
        if request.get("SortBy") == "Name":
            request["SortBy"] = "CreationTime"  # by numbers, which 10 and 9 as texts are not
    elif kind == "Unversioned":
        filters["parent"] = ""

    def keep(entry: Entry[ModelPackage]) -> bool:
        package = entry.value
        return (
            (kind != "Versioned" or bool(package.group))
            and part in (package.group or entry.name)
            and approval in (None, package.definition.get("ModelApprovalStatus"))
        )

    return list_output(ctx, ModelPackage, request, lambda entry: _summary(ctx, entry), keep=keep, **filters)


@operation("sagemaker", "UpdateModelPackage", resource="{ModelPackageArn}")
def update_model_package(
    ctx: Context, *, ModelPackageArn: str, ClientToken: str | None = None, **request: Any
) -> dict[str, Any]:
    """Change a version: approve or reject it, describe it, add to it. Who observes packages is told of approvals."""
    owner, name = located(ctx, MODEL_PACKAGES, ModelPackageArn)
    asked = fingerprint(request)
    packages, change = owner.records(ModelPackage), None
    for _ in range(_MAX_TRIES):
        entry = MODEL_PACKAGES.get(owner, name)
        package = entry.value
        if not package.group:
            raise validation(f"{ModelPackageArn} is no version of a model package group: only those are updated.")
        updates = remembered(package.updates, ClientToken, asked)
        if updates is None:
            break
        if change is None:
            check_source(request)
            change = _located(ctx, inference_of(ctx, request), "AdditionalInferenceSpecificationsToAdd")
        definition = updated(package.definition, change)
        changed = replace(package, definition=definition, updates=updates, modified_by=user_context(ctx))
        try:
            packages.replace(entry, changed, told=announced(package.definition, definition))
        except Conflict:
            continue
        break
    else:
        raise Conflict(name)
    return {"ModelPackageArn": MODEL_PACKAGES.arn(owner, name)}


@operation("sagemaker", "DeleteModelPackage", resource=package_asked)
def delete_model_package(ctx: Context, ModelPackageName: str) -> None:
    """Forget a package; models made from it, and its data in S3, stay as they are. Its number is not given again.

    One that is being validated is Deleting until what validates it was told to stop.
    """
    _, name = located(ctx, MODEL_PACKAGES, ModelPackageName)

    def delete(package: ModelPackage) -> ModelPackage | None:
        return replace(package, status=DELETING) if package.status in ACTIVE else None

    entry = ctx.records(ModelPackage).update(name, delete, status=lambda package: package.status)
    if entry is not None and entry.status == DELETING:
        _wake(ctx, name)
        return
    forget_package(ctx, name)


def _wake(ctx: Context, name: str) -> None:
    ctx.platform.wake(TOPIC, f"{ctx.account}/{ctx.region}/{name}")


def _create(ctx: Context, request: Mapping[str, Any], asked: str, token: str | None, tags: Mapping[str, str]) -> str:
    check_target(request)
    group = request.get("ModelPackageGroupName")
    if group and tags:
        raise validation("Tags are not for versions of a model package group: they go by the tags of the group.")
    definition = _located(ctx, inference_of(ctx, complete(request)), "AdditionalInferenceSpecifications")
    package = ModelPackage(
        definition=definition,
        status=COMPLETED,
        created_by=user_context(ctx),
        group=located(ctx, MODEL_PACKAGE_GROUPS, group)[1] if group else "",
        token=token or "",
    )
    if profiles(definition):
        if "InferenceSpecification" not in definition:
            raise validation(f"{definition['SourceUri']} is no model or package: there is nothing to validate.")
        role = acting_role(ctx, definition["ValidationSpecification"]["ValidationRole"])
        package = awaiting(package, short_id(), role)
    name = store_package(ctx, request.get("ModelPackageName", ""), package, asked, tags)
    if package.validations:
        _wake(ctx, name)
    return name


def _located(ctx: Context, members: Mapping[str, Any], additional: str) -> dict[str, Any]:
    """The members, with the ETag of each archive of model data, as AWS notes it. Raises ValidationException unless all
    model data is there."""
    kept = dict(members)
    if "InferenceSpecification" in kept:
        kept["InferenceSpecification"] = _located_one(ctx, kept["InferenceSpecification"])
    if additional in kept:
        kept[additional] = [_located_one(ctx, one) for one in kept[additional]]
    return kept


def _located_one(ctx: Context, specification: Mapping[str, Any]) -> dict[str, Any]:
    containers = []
    for container in specification["Containers"]:
        require_model_data(ctx.platform.objects, container, ctx.account)
        noted = dict(container)
        if container.get("ModelDataUrl"):
            bucket, key = parse_s3_uri(container["ModelDataUrl"])
            noted["ModelDataETag"] = ctx.platform.objects.find(bucket, key, account=ctx.account).etag
        containers.append(noted)
    return {**specification, "Containers": containers}


def _summary(ctx: Context, entry: Entry[ModelPackage]) -> dict[str, Any]:
    described = package_document(ctx, entry)
    named = {} if entry.value.group else {"ModelPackageName": entry.name}
    return {**named, **{name: described[name] for name in _SUMMARY if described.get(name) is not None}}

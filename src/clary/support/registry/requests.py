"""What CreateModelPackage and UpdateModelPackage accept: what is refused, and what is kept of the rest. Pure."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from clary.kernel.core.errors import AwsError, not_supported, validation
from clary.support.registry.contents import check_content
from clary.support.registry.schema import PACKAGE_CARD

PENDING_APPROVAL = "PendingManualApproval"

_MOST_SPECIFICATIONS = 15
_MOST_PROPERTIES = 50
_KEPT_UPDATES = 20
_NAMES = frozenset({"ModelPackageName", "ModelPackageGroupName"})
_VERSIONED_ONLY = ("ModelLifeCycle", "SourceUri", "CustomerMetadataProperties", "ModelPackageRegistrationType")


def fingerprint(request: Mapping[str, Any]) -> str:
    """Equal for requests that ask for the same."""
    return hashlib.sha256(orjson.dumps(request, option=orjson.OPT_SORT_KEYS, default=str)).hexdigest()


def check_target(request: Mapping[str, Any]) -> None:
    """Raise ValidationException unless the request names either a package or a group."""
    if request.keys() >= _NAMES:
        raise validation(
            "Both ModelPackageName and ModelPackageGroupName are provided in the input. Cannot determine which one to "
            "use: a version of a group has no name of its own."
        )
    if not _NAMES & request.keys():
        raise validation("Give ModelPackageGroupName for a version of a group, or ModelPackageName for a package.")


def check_source(request: Mapping[str, Any]) -> None:
    """Raise ValidationException where a request names both a source and what it would be the source of."""
    if "SourceUri" in request and "InferenceSpecification" in request:
        raise validation("SourceUri and InferenceSpecification cannot be given together.")


def complete(request: Mapping[str, Any]) -> dict[str, Any]:
    """The members that are kept of a CreateModelPackage request without token and tags, with AWS's defaults.

    Raises ValidationException for what cannot be honoured.
    """
    versioned = "ModelPackageGroupName" in request
    kept = {name: value for name, value in request.items() if name not in _NAMES}
    if kept.get("ManagedStorageType"):
        raise not_supported("ManagedStorageType", "packages are kept in this home alone: leave it out.")
    if kept.get("CertifyForMarketplace"):
        raise not_supported("CertifyForMarketplace", "there is no AWS Marketplace here: leave it out.")
    if "SourceAlgorithmSpecification" in kept:
        raise not_supported("SourceAlgorithmSpecification", "there are no algorithm resources: give the containers.")
    if not versioned:
        given = [name for name in _VERSIONED_ONLY if name in kept]
        if given:
            raise validation(f"{given[0]} is only for versions of a model package group: give ModelPackageGroupName.")
        kept.pop("ModelApprovalStatus", None)  # the SDK sends it always; it does not apply
        if "InferenceSpecification" not in kept:
            raise validation("InferenceSpecification is missing: a package that is no version of a group needs one.")
    check_source(kept)
    if "ValidationSpecification" in kept and not {"InferenceSpecification", "SourceUri"} & kept.keys():
        raise validation("ValidationSpecification needs an InferenceSpecification: there is nothing to validate.")
    _check_card(kept)
    specifications = kept.get("AdditionalInferenceSpecifications", [])
    check_specifications([*_one(kept.get("InferenceSpecification")), *specifications], specifications)
    defaults: dict[str, Any] = {"CertifyForMarketplace": False, "SkipModelValidation": "None"}
    if versioned:
        defaults["ModelApprovalStatus"] = PENDING_APPROVAL
        defaults["ModelPackageRegistrationType"] = "Registered"
    return {**defaults, **kept}


def check_specifications(every: Sequence[Mapping[str, Any]], additional: Sequence[Mapping[str, Any]]) -> None:
    """Raise ValidationException for inference specifications that cannot be kept; those that have names are last."""
    names = [one["Name"] for one in additional]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise validation(f"Additional inference specification {twice[0]} is there more than once: each needs a name.")
    if len(names) > _MOST_SPECIFICATIONS:
        raise validation(
            f"A model package has at most {_MOST_SPECIFICATIONS} additional inference specifications; this would make "
            f"{len(names)}."
        )
    for specification in every:
        for container in specification["Containers"]:
            _check_container(container)


def _check_card(members: Mapping[str, Any]) -> None:
    """Raise ValidationException unless the content of a package's card follows the schema of such cards."""
    content = members.get("ModelCard", {}).get("ModelCardContent")
    if content is not None:
        check_content(content, PACKAGE_CARD, "ModelCardContent")


def _card(kept: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """A package's card after an update of its content, its status, or both."""
    if kept.get("ModelCardStatus") == "Archived" and "ModelCardContent" in given:
        raise validation("Model Card is in Archived state: its content cannot be updated.")
    return {**kept, **given}


def _check_container(container: Mapping[str, Any]) -> None:
    if container.get("ModelDataUrl") and container.get("ModelDataSource"):
        raise validation("Give either ModelDataUrl or ModelDataSource of a container, not both.")
    if container.get("AdditionalS3DataSource"):
        raise not_supported("AdditionalS3DataSource", "use AdditionalModelDataSources, which are fetched.")
    for source in sources(container):
        if not source.startswith("s3://"):
            raise not_supported(f"Model data at {source}", "it must be an S3 URI, as in s3://bucket/model.tar.gz.")


def sources(container: Mapping[str, Any]) -> list[str]:
    """The URIs of a container's model data."""
    found = [container.get("ModelDataUrl"), container.get("ModelDataSource", {}).get("S3DataSource", {}).get("S3Uri")]
    found += [given["S3DataSource"]["S3Uri"] for given in container.get("AdditionalModelDataSources", ())]
    return [uri for uri in found if uri]


def updated(definition: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """The kept members after an UpdateModelPackage request, which has the specification of its source, if any.

    Raises ValidationException.
    """
    kept = dict(definition)
    for name in (
        "ModelApprovalStatus",
        "ApprovalDescription",
        "ModelPackageRegistrationType",
        "InferenceSpecification",
        "SourceUri",
        "ModelLifeCycle",
    ):
        if name in request:
            kept[name] = request[name]
    approval = request.get("ModelApprovalStatus", definition.get("ModelApprovalStatus"))
    if approval != definition.get("ModelApprovalStatus") and "ApprovalDescription" not in request:
        kept.pop("ApprovalDescription", None)  # it told of another status
    _check_card(request)
    if "ModelCard" in request:
        kept["ModelCard"] = _card(kept.get("ModelCard", {}), request["ModelCard"])
    properties = {**kept.get("CustomerMetadataProperties", {}), **request.get("CustomerMetadataProperties", {})}
    for key in request.get("CustomerMetadataPropertiesToRemove", ()):
        properties.pop(key, None)
    if len(properties) > _MOST_PROPERTIES:
        raise validation(
            f"A model package has at most {_MOST_PROPERTIES} CustomerMetadataProperties; this would make "
            f"{len(properties)}."
        )
    kept.pop("CustomerMetadataProperties", None)
    if properties:
        kept["CustomerMetadataProperties"] = properties
    added = request.get("AdditionalInferenceSpecificationsToAdd", [])
    specifications = [*kept.get("AdditionalInferenceSpecifications", []), *added]
    check_specifications([*_one(request.get("InferenceSpecification")), *added], specifications)
    if specifications:
        kept["AdditionalInferenceSpecifications"] = specifications
    return kept


def announced(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether an update is one that AWS tells of by an event: another approval, or another stage of the life cycle."""
    return any(
        before.get(name) != after.get(name) for name in ("ModelApprovalStatus", "ApprovalDescription", "ModelLifeCycle")
    )


def remembered(updates: Sequence[Sequence[str]], token: str | None, asked: str) -> list[list[str]] | None:
    """The tokens of updates with this one; None when it is a repetition. Raises ConflictException for a token that
    asked for something else before."""
    kept = [list(one) for one in updates]
    if token is None:
        return kept
    for known, before in kept:
        if known == token:
            if before != asked:
                raise token_in_use(token)
            return None
    return [*kept, [token, asked]][-_KEPT_UPDATES:]


def token_in_use(token: str) -> AwsError:
    return AwsError(
        "ConflictException", f"ClientToken {token} was used for another request before: give each request its own."
    )


def _one(specification: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    return [specification] if specification else []

"""Validation of packages: their profiles, the model and the transform job of each, and how it comes out. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from clary.kernel.jobs import statuses
from clary.support.registry.records import ModelPackage

PENDING = "Pending"
IN_PROGRESS = "InProgress"
COMPLETED = "Completed"
FAILED = "Failed"
DELETING = "Deleting"
ACTIVE = (PENDING, IN_PROGRESS, DELETING)

TOPIC = "model_package_validation"

_NOT_STARTED = "NotStarted"
_TAKEN = ("ContainerHostname", "Image", "ModelDataUrl", "ModelDataSource", "AdditionalModelDataSources", "Environment")


def profiles(definition: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The profiles that a package is to be validated by; none when it asks for no validation."""
    if definition.get("SkipModelValidation") == "All":
        return []
    return list(definition.get("ValidationSpecification", {}).get("ValidationProfiles", ()))


def awaiting(package: ModelPackage, uid: str, role: str) -> ModelPackage:
    """A new package that is to be validated, as `role`; `uid` names what validates it."""
    waiting = [{"Name": one["ProfileName"], "Status": _NOT_STARTED} for one in profiles(package.definition)]
    return replace(package, status=PENDING, uid=uid, role=role, validations=waiting)


def begun(package: ModelPackage) -> ModelPackage:
    running = [{**one, "Status": IN_PROGRESS} for one in package.validations]
    return replace(package, status=IN_PROGRESS, validations=running)


def name_of(package: ModelPackage, index: int) -> str:
    """What the model and the transform job of a profile are called."""
    return f"model-package-validation-{package.uid}-{index}"


def model_request(package: ModelPackage, name: str) -> dict[str, Any]:
    """CreateModel for the package's own containers, which need not be approved to be validated."""
    containers = package.definition["InferenceSpecification"]["Containers"]
    return {
        "ModelName": name,
        "Containers": [{member: one[member] for member in _TAKEN if one.get(member)} for one in containers],
        "ExecutionRoleArn": package.role,
    }


def job_request(package: ModelPackage, index: int, name: str) -> dict[str, Any]:
    """CreateTransformJob for a profile."""
    definition = profiles(package.definition)[index]["TransformJobDefinition"]
    return {**definition, "TransformJobName": name, "ModelName": name}


def outcome(job: Mapping[str, Any]) -> dict[str, Any] | None:
    """How a profile came out by its transform job; None while that runs."""
    status = job["TransformJobStatus"]
    if status in statuses.ACTIVE:
        return None
    if status == statuses.COMPLETED:
        return {"Status": COMPLETED}
    return failure(job.get("FailureReason") or f"The transform job was {status.lower()}.")


def failure(reason: str) -> dict[str, Any]:
    return {"Status": FAILED, "FailureReason": reason}


def concluded(package: ModelPackage, outcomes: Sequence[Mapping[str, Any]]) -> ModelPackage:
    """The package once all its profiles have come out."""
    details = [{**one, **told} for one, told in zip(package.validations, outcomes, strict=True)]
    failed = any(one["Status"] == FAILED for one in details)
    return replace(package, status=FAILED if failed else COMPLETED, validations=details)

"""Containers that name a model package: what they stand for, once the package may be deployed."""

from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.core.errors import validation
from clary.kernel.rooms import Context

_BESIDE = frozenset({"ModelPackageName", "InferenceSpecificationName", "ContainerHostname", "Environment", "Mode"})
_TAKEN = ("Image", "ModelDataUrl", "ModelDataSource", "AdditionalModelDataSources", "ContainerHostname", "Environment")


def resolved(ctx: Context, containers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The containers, each that names a model package replaced by the package's own.

    Like AWS, refuse a version that is not approved, and a package whose validation has not succeeded. Raises
    ValidationException for what a package cannot be deployed with, and what describing it raises.
    """
    found: list[dict[str, Any]] = []
    for container in containers:
        found += _of_package(ctx, container) if container.get("ModelPackageName") else [dict(container)]
    return found


def _of_package(ctx: Context, container: Mapping[str, Any]) -> list[dict[str, Any]]:
    beside = sorted(container.keys() - _BESIDE)
    if beside or container.get("Mode") == "MultiModel":
        raise validation(
            f"{beside[0] if beside else 'Mode MultiModel'} cannot be given beside ModelPackageName: the package says "
            "what serves it."
        )
    package = ctx.call("sagemaker", "DescribeModelPackage", {"ModelPackageName": container["ModelPackageName"]})
    _require_deployable(package)
    specification = _specification(package, container.get("InferenceSpecificationName"))
    taken = [{name: one[name] for name in _TAKEN if one.get(name)} for one in specification["Containers"]]
    if len(taken) == 1:
        only = taken[0]
        only.pop("ContainerHostname", None)  # AWS ignores that of a single container; it is the model's to name
        if container.get("ContainerHostname"):
            only["ContainerHostname"] = container["ContainerHostname"]
        environment = {**only.get("Environment", {}), **container.get("Environment", {})}
        return [{**only, "Environment": environment}]
    given = [name for name in ("ContainerHostname", "Environment") if container.get(name)]
    if given:
        raise validation(
            f"{given[0]} cannot be given beside {package['ModelPackageArn']}, which has {len(taken)} containers: "
            "create a version whose containers say so."
        )
    return taken


def _require_deployable(package: Mapping[str, Any]) -> None:
    arn, status = package["ModelPackageArn"], package["ModelPackageStatus"]
    if status != "Completed":
        raise validation(f"ModelPackage {arn} cannot be deployed: its ModelPackageStatus is {status}, not Completed.")
    approval = package.get("ModelApprovalStatus")
    if package.get("ModelPackageGroupName") and approval != "Approved":
        raise validation(
            f"ModelPackage {arn} cannot be deployed: its ModelApprovalStatus is {approval}, not Approved. Approve it "
            "with UpdateModelPackage first."
        )


def _specification(package: Mapping[str, Any], name: str | None) -> Mapping[str, Any]:
    """The inference specification of this name, or the package's own. Raises ValidationException without one."""
    arn = package["ModelPackageArn"]
    additional = {one["Name"]: one for one in package.get("AdditionalInferenceSpecifications") or ()}
    found: Mapping[str, Any] | None = additional.get(name) if name else package.get("InferenceSpecification")
    if found is None:
        raise validation(
            f"ModelPackage {arn} has no additional inference specification {name}."
            if name
            else f"ModelPackage {arn} has no InferenceSpecification: give it one with UpdateModelPackage."
        )
    return found

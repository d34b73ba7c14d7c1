"""From an inference component's request to its copies, and from its record to what is described of it. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clary.kernel.core.errors import not_supported, validation
from clary.kernel.core.ids import new_id
from clary.kernel.serving.routes import SERIAL
from clary.kernel.store import Entry
from clary.systems.endpoints.fleets import DOWNLOAD_TIMEOUT_SECONDS, STARTUP_TIMEOUT_SECONDS
from clary.systems.endpoints.instances import new_instance
from clary.systems.endpoints.records import Endpoint, Fleet, InferenceComponent, Model, Variant

_HOST = "primary"
_LEAST_OUTSTANDING = "LEAST_OUTSTANDING_REQUESTS"


def check_specification(specification: Mapping[str, Any]) -> None:
    """Raise ValidationException for a Specification that no component of ours can have."""
    if specification.get("BaseInferenceComponentName"):
        raise not_supported("BaseInferenceComponentName", "deploy the adapter merged with its base, as one model.")
    if "InstanceType" in specification:
        raise not_supported("Specification.InstanceType", "variants have one instance type; leave it out.")
    if ("ModelName" in specification) == ("Container" in specification):
        raise validation("Specification must name either a ModelName or a Container.")
    if "Container" in specification and not specification["Container"].get("Image"):
        raise validation("Specification.Container.Image is missing: name the image that serves the model.")
    asked = specification.get("ComputeResourceRequirements")
    if not asked:
        raise validation("Specification.ComputeResourceRequirements is missing: say what one copy needs.")
    if "AcceleratorPartitionType" in asked:
        raise not_supported("AcceleratorPartitionType", "accelerators are given whole; leave it out.")
    if asked.get("MaxMemoryRequiredInMb", asked["MinMemoryRequiredInMb"]) < asked["MinMemoryRequiredInMb"]:
        raise validation(
            f"MaxMemoryRequiredInMb {asked['MaxMemoryRequiredInMb']} must not be less than MinMemoryRequiredInMb "
            f"{asked['MinMemoryRequiredInMb']}."
        )


def build_copies(specification: Mapping[str, Any], model: Model | None, host: Variant, count: int, now: float) -> Fleet:
    """`count` copies of what a Specification asks for, on the instances of `host`; `model` is the one it names."""
    startup = specification.get("StartupParameters", {})
    variant = Variant(
        name=host.name,
        model=specification.get("ModelName", ""),
        containers={_HOST: container_of(specification, model)},
        mode=SERIAL,
        role=host.role or (model.role if model else ""),
        isolated=host.isolated or bool(model and model.definition.get("EnableNetworkIsolation")),
        instance_type=host.instance_type,
        desired_count=count,
        desired_weight=1.0,
        current_weight=1.0,
        routing=_LEAST_OUTSTANDING,
        startup_timeout_seconds=startup.get("ContainerStartupHealthCheckTimeoutInSeconds", STARTUP_TIMEOUT_SECONDS),
        download_timeout_seconds=startup.get("ModelDataDownloadTimeoutInSeconds", DOWNLOAD_TIMEOUT_SECONDS),
        instances=[new_instance([_HOST]) for _ in range(count)],
    )
    return Fleet(new_id(), "", now, [variant])


def container_of(specification: Mapping[str, Any], model: Model | None) -> dict[str, Any]:
    """The ContainerDefinition that serves a component, from its own container and the model it names."""
    if model is not None:
        return model.containers[0]
    given = specification["Container"]
    container = {"Image": given["Image"], "Environment": given.get("Environment", {})}
    if given.get("ArtifactUrl"):
        container["ModelDataUrl"] = given["ArtifactUrl"]
    return container


def follow(component: InferenceComponent, copies: Endpoint) -> InferenceComponent:
    """The component after its copies have gone on; what was being deployed is its Specification once it serves."""
    if component.deploying is None or copies.deploying is not None:
        return replace(component, copies=copies)
    switched = copies.serving != component.copies.serving and not copies.failure_reason
    specification = component.deploying if switched else component.specification
    return replace(component, copies=copies, specification=specification, deploying=None)


def component_document(entry: Entry[InferenceComponent]) -> dict[str, Any]:
    """What DescribeInferenceComponent says besides ARNs."""
    component, variant = entry.value, entry.value.current
    document = {
        "InferenceComponentName": entry.name,
        "EndpointName": component.endpoint,
        "VariantName": component.variant,
        "FailureReason": component.copies.failure_reason or None,
        "Specification": _shown(component.specification, entry.updated_at),
        "RuntimeConfig": _runtime(variant) if variant else None,
        "CreationTime": entry.created_at,
        "LastModifiedTime": entry.updated_at,
        "InferenceComponentStatus": component.copies.status,
    }
    return {member: value for member, value in document.items() if value is not None}


def _shown(specification: Mapping[str, Any], resolved_at: float) -> dict[str, Any]:
    """A Specification as it is described: with the image that was deployed."""
    if "Container" not in specification:
        return dict(specification)
    container = {**specification["Container"]}
    container["DeployedImage"] = {"SpecifiedImage": container.pop("Image"), "ResolutionTime": resolved_at}
    return {**specification, "Container": container}


def _runtime(variant: Variant) -> dict[str, int]:
    healthy = sum(instance.healthy_since is not None for instance in variant.instances)
    return {"DesiredCopyCount": variant.desired_count, "CurrentCopyCount": healthy}

"""From a configuration and its models to a fleet of servers, and from a fleet to what DescribeEndpoint says."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from clary.kernel.core.errors import validation
from clary.kernel.core.ids import new_id
from clary.kernel.serving.routes import SERIAL
from clary.systems.endpoints.capture_config import capture_rules
from clary.systems.endpoints.instances import new_instance
from clary.systems.endpoints.records import EndpointConfig, Fleet, Instance, Model, Variant

STARTUP_TIMEOUT_SECONDS = 600.0
DOWNLOAD_TIMEOUT_SECONDS = 3600.0
_RECORDED = ("VolumeSizeInGB", "InferenceAmiVersion", "ManagedInstanceScaling", "RoutingConfig")
_SHOWN = ("ManagedInstanceScaling", "RoutingConfig")


def build_fleet(name: str, config: EndpointConfig, models: Mapping[str, Model], now: float) -> Fleet:
    """The fleet that the configuration `name` asks for; `models` holds every model it names."""
    definition = config.definition
    isolated = bool(definition.get("EnableNetworkIsolation"))
    variants = [
        _variant(given, models.get(given.get("ModelName", "")), isolated, config.role, shadow=shadow)
        for member, shadow in (("ProductionVariants", False), ("ShadowProductionVariants", True))
        for given in definition.get(member, ())
    ]
    capture, asynchronous = definition.get("DataCaptureConfig"), definition.get("AsyncInferenceConfig")
    return Fleet(new_id(), name, now, variants, capture, asynchronous)


def _variant(given: Mapping[str, Any], model: Model | None, isolated: bool, role: str, *, shadow: bool) -> Variant:
    """A variant of a model, or, without one, instances that are shared by inference components."""
    weight = given.get("InitialVariantWeight", 1.0)
    serverless = given.get("ServerlessConfig")
    # One instance at least shows that the model can be served; a serverless variant lets it go when nobody asks.
    provisioned = max(1, serverless.get("ProvisionedConcurrency", 0)) if serverless else 1
    count = given.get("InitialInstanceCount", provisioned)
    containers = model.containers if model else []
    named = {_hostname(one, number, several=len(containers) > 1): one for number, one in enumerate(containers, start=1)}
    return Variant(
        name=given["VariantName"],
        model=given.get("ModelName", ""),
        containers=named,
        mode=model.mode if model else SERIAL,
        role=role or (model.role if model else ""),
        isolated=isolated or bool(model and model.definition.get("EnableNetworkIsolation")),
        instance_type=given.get("InstanceType", ""),
        desired_count=count,
        desired_weight=weight,
        current_weight=weight,
        routing=given.get("RoutingConfig", {}).get("RoutingStrategy", "LEAST_OUTSTANDING_REQUESTS"),
        startup_timeout_seconds=given.get("ContainerStartupHealthCheckTimeoutInSeconds", STARTUP_TIMEOUT_SECONDS),
        download_timeout_seconds=given.get("ModelDataDownloadTimeoutInSeconds", DOWNLOAD_TIMEOUT_SECONDS),
        serverless=serverless,
        options={member: given[member] for member in _RECORDED if member in given},
        shadow=shadow,
        instances=[new_instance(named) for _ in range(count)],
    )


def _hostname(container: Mapping[str, Any], number: int, *, several: bool) -> str:
    """What a model's container is called: as it says, or as AWS calls it."""
    given: str | None = container.get("ContainerHostname")
    return given or (f"container-{number}" if several else "primary")


def retain(fleet: Fleet, before: Fleet, excluded: Collection[str]) -> Fleet:
    """The fleet with the counts, weights and data capture there are now, but for the properties `excluded`."""
    current = {variant.name: variant for variant in reversed(before.variants)}

    def keep(variant: Variant) -> Variant:
        old = current.get(variant.name)
        if old is None:
            return variant
        if "DesiredWeight" not in excluded:
            variant = replace(variant, desired_weight=old.desired_weight, current_weight=old.current_weight)
        if "DesiredInstanceCount" not in excluded and not (variant.serverless or old.serverless):
            # Nothing would bring back a variant without instances whose requests wait in no queue.
            count = old.desired_count or (0 if fleet.asynchronous else variant.desired_count)
            instances: list[Instance] = [new_instance(variant.containers) for _ in range(count)]
            variant = replace(variant, desired_count=count, instances=instances)
        return variant

    capture = fleet.capture if "DataCaptureConfig" in excluded else before.capture
    return replace(fleet, variants=[keep(variant) for variant in fleet.variants], capture=capture)


def check_captured(fleet: Fleet) -> None:
    """Raise ValidationException for a fleet that was to retain data capture which its configuration could not have."""
    if capture_rules(fleet.capture) is None:
        return
    if fleet.asynchronous or not all(variant.containers for variant in fleet.variants):
        raise validation(
            f"Data are captured, and with configuration {fleet.config} they cannot be: name DataCaptureConfig in "
            "ExcludeRetainedVariantProperties."
        )


def summaries(fleet: Fleet, *, shadow: bool = False) -> list[dict[str, Any]]:
    """ProductionVariantSummary of every production variant, or of every shadow variant."""
    return [
        {
            "VariantName": variant.name,
            **_images(variant, fleet),
            "CurrentWeight": variant.current_weight,
            "DesiredWeight": variant.desired_weight,
            **_size(variant),
            **{member: variant.options[member] for member in _SHOWN if member in variant.options},
        }
        for variant in fleet.variants
        if variant.shadow == shadow
    ]


def _images(variant: Variant, fleet: Fleet) -> dict[str, Any]:
    images = [
        {"SpecifiedImage": container["Image"], "ResolutionTime": fleet.created_at}
        for container in variant.containers.values()
    ]
    return {"DeployedImages": images} if images else {}


def _size(variant: Variant) -> dict[str, Any]:
    """How large a variant is and shall be: in instances, or in requests at once."""
    if variant.serverless:
        return {"CurrentServerlessConfig": variant.serverless, "DesiredServerlessConfig": variant.serverless}
    return {
        "CurrentInstanceCount": sum(instance.healthy_since is not None for instance in variant.instances),
        "DesiredInstanceCount": variant.desired_count,
    }

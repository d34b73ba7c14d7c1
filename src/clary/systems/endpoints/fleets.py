"""From a configuration and its models to a fleet of servers, and from a fleet to what DescribeEndpoint says."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from clary.kernel.core.ids import new_id
from clary.systems.endpoints.deploy import new_instance
from clary.systems.endpoints.records import EndpointConfig, Fleet, Instance, Model, Variant

_STARTUP_TIMEOUT_SECONDS = 600.0
_DOWNLOAD_TIMEOUT_SECONDS = 3600.0
_RECORDED = ("VolumeSizeInGB", "InferenceAmiVersion", "ManagedInstanceScaling", "RoutingConfig")
_SHOWN = ("ManagedInstanceScaling", "RoutingConfig")


def build_fleet(name: str, config: EndpointConfig, models: Mapping[str, Model], now: float) -> Fleet:
    """The fleet that the configuration `name` asks for; `models` holds every model it names."""
    definition = config.definition
    isolated = bool(definition.get("EnableNetworkIsolation"))
    variants = [
        _variant(given, models[given["ModelName"]], isolated, config.role) for given in definition["ProductionVariants"]
    ]
    return Fleet(new_id(), name, now, variants)


def _variant(given: Mapping[str, Any], model: Model, isolated: bool, role: str) -> Variant:
    weight = given.get("InitialVariantWeight", 1.0)
    serverless = given.get("ServerlessConfig")
    # One instance at least shows that the model can be served; a serverless variant lets it go when nobody asks.
    provisioned = max(1, serverless.get("ProvisionedConcurrency", 0)) if serverless else 1
    count = given.get("InitialInstanceCount", provisioned)
    containers = {hostname(number, given, model): given for number, given in enumerate(model.containers, start=1)}
    return Variant(
        name=given["VariantName"],
        model=given["ModelName"],
        containers=containers,
        mode=model.mode,
        role=role or model.role,
        isolated=isolated or bool(model.definition.get("EnableNetworkIsolation")),
        instance_type=given.get("InstanceType", ""),
        desired_count=count,
        desired_weight=weight,
        current_weight=weight,
        routing=given.get("RoutingConfig", {}).get("RoutingStrategy", "LEAST_OUTSTANDING_REQUESTS"),
        startup_timeout_seconds=given.get("ContainerStartupHealthCheckTimeoutInSeconds", _STARTUP_TIMEOUT_SECONDS),
        download_timeout_seconds=given.get("ModelDataDownloadTimeoutInSeconds", _DOWNLOAD_TIMEOUT_SECONDS),
        serverless=serverless,
        options={member: given[member] for member in _RECORDED if member in given},
        instances=[new_instance(containers) for _ in range(count)],
    )


def hostname(number: int, container: Mapping[str, Any], model: Model) -> str:
    """What a model's container is called: as it says, or as AWS calls it."""
    given: str | None = container.get("ContainerHostname")
    return given or ("primary" if len(model.containers) == 1 else f"container-{number}")


def retain(fleet: Fleet, before: Fleet, excluded: Collection[str]) -> Fleet:
    """The fleet with the counts and weights its variants have now, but for the properties `excluded`."""
    current = {variant.name: variant for variant in before.variants}

    def keep(variant: Variant) -> Variant:
        old = current.get(variant.name)
        if old is None:
            return variant
        if "DesiredWeight" not in excluded:
            variant = replace(variant, desired_weight=old.desired_weight, current_weight=old.current_weight)
        if "DesiredInstanceCount" not in excluded and not (variant.serverless or old.serverless):
            instances: list[Instance] = [new_instance(variant.containers) for _ in range(old.desired_count)]
            variant = replace(variant, desired_count=old.desired_count, instances=instances)
        return variant

    return replace(fleet, variants=[keep(variant) for variant in fleet.variants])


def summaries(fleet: Fleet) -> list[dict[str, Any]]:
    """ProductionVariantSummary of every variant."""
    return [
        {
            "VariantName": variant.name,
            "DeployedImages": [
                {"SpecifiedImage": container["Image"], "ResolutionTime": fleet.created_at}
                for container in variant.containers.values()
            ],
            "CurrentWeight": variant.current_weight,
            "DesiredWeight": variant.desired_weight,
            **_size(variant),
            **{member: variant.options[member] for member in _SHOWN if member in variant.options},
        }
        for variant in fleet.variants
    ]


def _size(variant: Variant) -> dict[str, Any]:
    """How large a variant is and shall be: in instances, or in requests at once."""
    if variant.serverless:
        return {"CurrentServerlessConfig": variant.serverless, "DesiredServerlessConfig": variant.serverless}
    return {
        "CurrentInstanceCount": sum(instance.healthy_since is not None for instance in variant.instances),
        "DesiredInstanceCount": variant.desired_count,
    }


def pending(fleet: Fleet) -> dict[str, Any]:
    """PendingDeploymentSummary of the fleet that is being deployed."""
    variants = [
        {
            **summary,
            **({"InstanceType": variant.instance_type} if variant.instance_type else {}),
            "VariantStatus": [{"Status": "Creating", "StartTime": fleet.created_at}],
        }
        for summary, variant in zip(summaries(fleet), fleet.variants, strict=True)
    ]
    return {"EndpointConfigName": fleet.config, "ProductionVariants": variants, "StartTime": fleet.created_at}

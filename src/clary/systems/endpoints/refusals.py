"""What AWS documents and this room does not do yet: refused with a reason, never ignored."""

from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.core.errors import AwsError, not_supported, validation
from clary.systems.endpoints.capture_config import check_capture

_VARIANT_MEMBERS = frozenset(
    {
        "VariantName",
        "ServerlessConfig",
        "ModelName",
        "InitialInstanceCount",
        "InstanceType",
        "InitialVariantWeight",
        "VolumeSizeInGB",
        "ModelDataDownloadTimeoutInSeconds",
        "ContainerStartupHealthCheckTimeoutInSeconds",
        "RoutingConfig",
        "InferenceAmiVersion",
        "EnableSSMAccess",
        "ManagedInstanceScaling",
    }
)
_CONTAINER_MEMBERS = frozenset(
    {
        "ContainerHostname",
        "Image",
        "ImageConfig",
        "Mode",
        "MultiModelConfig",
        "ModelDataUrl",
        "ModelDataSource",
        "AdditionalModelDataSources",
        "Environment",
    }
)
_DATA_SOURCE_MEMBERS = frozenset({"S3Uri", "S3DataType", "CompressionType", "ModelAccessConfig"})
_ROUTING = frozenset({"LEAST_OUTSTANDING_REQUESTS", "RANDOM"})


def check_model(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The containers of a CreateModel request. Raises ValidationException for what cannot be served."""
    primary, several = request.get("PrimaryContainer"), request.get("Containers") or []
    if primary and several:
        raise validation("Give either PrimaryContainer or Containers, not both.")
    containers: list[dict[str, Any]] = [primary] if primary else several
    if not containers:
        raise validation("A model needs a container: give PrimaryContainer, or Containers for several.")
    for container in containers:
        _check_container(container)
    mode = request.get("InferenceExecutionConfig", {}).get("Mode", "Serial")
    _check_names(containers, mode)
    _check_multi_model(containers, mode)
    return containers


def _check_container(container: Mapping[str, Any]) -> None:
    _only(container, _CONTAINER_MEMBERS, "a container's")
    if not container.get("Image"):
        raise validation("Image is missing: the container must name the image that serves the model.")
    if container.get("ImageConfig", {}).get("RepositoryAccessMode") == "Vpc":
        raise not_supported("RepositoryAccessMode Vpc", "images are resolved on this machine; use Platform.")
    _check_model_data(container)


def _check_names(containers: Sequence[Mapping[str, Any]], mode: str) -> None:
    names = [container["ContainerHostname"] for container in containers if container.get("ContainerHostname")]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise validation(f"ContainerHostname {twice[0]} is given more than once: each container needs its own.")
    if mode == "Direct" and len(names) < len(containers):
        raise validation("InferenceExecutionConfig.Mode Direct needs a ContainerHostname for every container.")
    if mode == "Serial" and 0 < len(names) < len(containers):
        raise validation("Give every container a ContainerHostname, or none.")


def _check_multi_model(containers: Sequence[Mapping[str, Any]], mode: str) -> None:
    """Raise ValidationException unless there is at most one multi-model container, with a prefix of models."""
    for container in containers:
        if "MultiModelConfig" in container and container.get("Mode") != "MultiModel":
            raise validation("MultiModelConfig is for containers of Mode MultiModel: leave it out, or set that Mode.")
    many = [container for container in containers if container.get("Mode") == "MultiModel"]
    if len(many) > 1:
        raise validation("A model can have only one container of Mode MultiModel.")
    if many and mode == "Direct":
        raise validation("Containers that are invoked directly cannot be of Mode MultiModel: use SingleModel.")
    for container in many:
        if container.get("ModelDataSource"):
            raise validation("ModelDataSource cannot be used with Mode MultiModel: give the prefix as ModelDataUrl.")
        if not container.get("ModelDataUrl", "").endswith("/"):
            raise validation(
                f"ModelDataUrl {container.get('ModelDataUrl', '')!r} must be an S3 prefix that ends with a slash: with "
                "Mode MultiModel it says where the archives of all models lie."
            )


def _check_model_data(container: Mapping[str, Any]) -> None:
    url, source = container.get("ModelDataUrl"), container.get("ModelDataSource")
    if url and source:
        raise validation("Give either ModelDataUrl or ModelDataSource, not both.")
    if url and not url.startswith("s3://"):
        raise not_supported(f"ModelDataUrl {url}", "it must be an S3 URI, as in s3://bucket/model.tar.gz.")
    if source:
        if not source.get("S3DataSource"):
            raise validation("ModelDataSource needs S3DataSource.")
        _check_source(source["S3DataSource"])
    channels = [given["ChannelName"] for given in container.get("AdditionalModelDataSources", ())]
    if len(set(channels)) < len(channels):
        raise validation(f"ChannelName repeats among AdditionalModelDataSources: {', '.join(channels)}.")
    for given in container.get("AdditionalModelDataSources", ()):
        _check_source(given["S3DataSource"])


def _check_source(source: Mapping[str, Any]) -> None:
    _only(source, _DATA_SOURCE_MEMBERS, "S3DataSource's")
    kind, compression, uri = source["S3DataType"], source["CompressionType"], source["S3Uri"]
    if not uri.startswith("s3://"):
        raise not_supported(f"S3Uri {uri}", "it must be an S3 URI, as in s3://bucket/prefix/.")
    if compression == "Gzip" and kind != "S3Object":
        raise validation("CompressionType Gzip needs S3DataType S3Object: one tar.gz archive.")
    if compression == "None" and kind == "S3Prefix" and not uri.endswith("/"):
        raise validation(f"S3Uri {uri} must end with a slash: with S3DataType S3Prefix it names a prefix.")


def check_config(
    variants: Sequence[Mapping[str, Any]],
    capture: Mapping[str, Any] | None,
    shadows: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Raise ValidationException for variants, or data capture, that no endpoint of ours can have."""
    if shadows and (len(variants) > 1 or len(shadows) > 1):
        raise validation(
            "An endpoint with shadows has one variant in ProductionVariants and one in ShadowProductionVariants; "
            f"there are {len(variants)} and {len(shadows)}."
        )
    names: set[str] = set()
    if len(variants) + len(shadows) > 1 and any("ServerlessConfig" in variant for variant in (*variants, *shadows)):
        raise validation("A serverless variant must be the only one of its endpoint.")
    for variant in (*variants, *shadows):
        name = variant["VariantName"]
        if name in names:
            raise validation(f"Variant name {name} is given more than once: each variant needs a name of its own.")
        names.add(name)
        _check_variant(variant, name)
    if capture:
        check_capture(capture)
    if shadows or (capture and capture.get("EnableCapture", True)):
        what = "ShadowProductionVariants" if shadows else "DataCaptureConfig with EnableCapture"
        for variant in (*variants, *shadows):
            if "ModelName" not in variant:
                raise not_supported(f"{what} beside inference components", "give each variant a ModelName.")


def _check_variant(variant: Mapping[str, Any], name: str) -> None:
    _only(variant, _VARIANT_MEMBERS, f"variant {name}'s")
    if "ServerlessConfig" in variant:
        check_serverless(variant["ServerlessConfig"], name)
        given = sorted({"InstanceType", "InitialInstanceCount", "ManagedInstanceScaling"} & variant.keys())
        if given:
            raise validation(f"Variant {name} is serverless: leave out {', '.join(given)}.")
    elif not variant.get("InstanceType"):
        raise validation(f"InstanceType of variant {name} is missing.")
    if variant.get("EnableSSMAccess"):
        raise not_supported(f"EnableSSMAccess of variant {name}", "model servers are processes of this machine.")
    _check_scaling(variant, name)
    routing = variant.get("RoutingConfig", {})
    if routing and routing["RoutingStrategy"] not in _ROUTING:
        raise not_supported(f"RoutingStrategy {routing['RoutingStrategy']}", f"use {' or '.join(sorted(_ROUTING))}.")


def _check_scaling(variant: Mapping[str, Any], name: str) -> None:
    scaling = variant.get("ManagedInstanceScaling", {})
    if scaling.get("Status") != "ENABLED":
        return
    if variant.get("ModelName"):
        raise validation(
            f"ManagedInstanceScaling of variant {name} is for inference components, and it serves model "
            f"{variant['ModelName']}: scale its instances with Application Auto Scaling."
        )
    if "ScaleInPolicy" in scaling:
        raise not_supported(f"ManagedInstanceScaling.ScaleInPolicy of variant {name}", "leave it out.")
    least, most = scaling.get("MinInstanceCount", 1), scaling.get("MaxInstanceCount")
    if most is None:
        raise validation(f"ManagedInstanceScaling of variant {name} needs MaxInstanceCount.")
    if least > most:
        raise validation(f"MinInstanceCount {least} of variant {name} must not be more than MaxInstanceCount {most}.")


def check_serverless(config: Mapping[str, Any], name: str) -> None:
    """Raise ValidationException for a ServerlessConfig, whole, that no variant can have."""
    memory, most = config["MemorySizeInMB"], config["MaxConcurrency"]
    if memory % 1024:
        raise validation(f"MemorySizeInMB {memory} of variant {name} must be 1024, 2048, 3072, 4096, 5120 or 6144.")
    if config.get("ProvisionedConcurrency", 0) > most:
        raise validation(
            f"ProvisionedConcurrency {config['ProvisionedConcurrency']} of variant {name} must not be more than its "
            f"MaxConcurrency {most}."
        )


def check_invocation(**members: str | None) -> None:
    """Raise ValidationError for what an invocation asks of an endpoint and this room does not do."""
    given = [name for name, value in members.items() if value is not None]
    if given:
        raise AwsError("ValidationError", f"{given[0]} is not supported by Clary: leave it out.")


def _only(given: Mapping[str, Any], known: frozenset[str], whose: str) -> None:
    unknown = sorted(given.keys() - known)
    if unknown:
        raise not_supported(f"{whose[0].upper()}{whose[1:]} {', '.join(unknown)}", "leave it out.")

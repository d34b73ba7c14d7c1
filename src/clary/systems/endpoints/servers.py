"""From an instance of a variant to the host that runs its model server, in SageMaker's container contract. Pure."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.images import Runtime
from clary.kernel.jobs.contract import ML_ROOT, HostSpec, Kind, LogTarget, OnDemand, Resources, Wake
from clary.kernel.jobs.instance_types import GIB
from clary.kernel.serving.models import model_sources
from clary.systems.endpoints.measures import NAMESPACE
from clary.systems.endpoints.records import Instance, Variant
from clary.systems.endpoints.usage import NAMESPACE as INSTANCE_NAMESPACE

_SOCKET = "serve.sock"
_USABLE_MEMORY = 0.9  # a server that minds its memory does so before the system kills it
_STOP_GRACE_SECONDS = 35.0  # the inference server finishes what it has begun within 30


def log_group(endpoint: str) -> str:
    return f"/aws/sagemaker/Endpoints/{endpoint}"


def component_log_group(component: str) -> str:
    return f"/aws/sagemaker/InferenceComponents/{component}"


def server_spec(
    instance: Instance,
    variant: Variant,
    host: str,
    runtime: Runtime,
    *,
    log_group: str,
    account: str,
    region: str,
    resources: Resources,
    wake: Wake,
    environment: Mapping[str, str],
    role: str = "",
    endpoint: str = "",
) -> HostSpec:
    """What to start for the container `host`. `environment` is what the platform gives: region, endpoint, credentials;
    `role` limits what S3 gives; the metrics of a server of many models are those of `endpoint`.

    The server listens on a Unix socket, which is private to this machine's user and reachable without a network.
    """
    container = variant.containers[host]
    many = serves_many(container)
    stream = f"{variant.name}/{instance.id}"
    return HostSpec(
        job=instance.job,
        host=host,
        kind=Kind.SERVICE,
        argv=runtime.serve,
        account=account,
        region=region,
        role=role,
        environment={
            **environment,
            **runtime.environment,
            "SM_NUM_CPUS": str(resources.cpus),
            "SM_NUM_GPUS": str(len(resources.gpus)),
            "SM_MEMORY_BYTES": str(int(resources.memory_bytes * _USABLE_MEMORY)),
            **({"SAGEMAKER_MULTI_MODEL": "true"} if many else {}),
            **container.get("Environment", {}),
            "CLARY_BIND_UNIX_SOCKET": f"{ML_ROOT}/{_SOCKET}",
        },
        models=model_sources({**container, "ModelDataUrl": None} if many else container),
        on_demand=_on_demand(container, variant, endpoint) if many else None,
        log=LogTarget(log_group, stream if len(instance.hosts) == 1 else f"{stream}/{host}"),
        resources=resources,
        stop_grace_seconds=_STOP_GRACE_SECONDS,
        network=not variant.isolated,
        socket=_SOCKET,
        warm=runtime.warm,
        wake=wake,
    )


def serves_many(container: Mapping[str, Any]) -> bool:
    """Whether a container is a multi-model one, whose ModelDataUrl is where all its models lie."""
    return container.get("Mode") == "MultiModel"


def keeps_models(container: Mapping[str, Any]) -> bool:
    """Whether a multi-model container keeps its models loaded, as far as there is room."""
    return str(container.get("MultiModelConfig", {}).get("ModelCacheSetting", "Enabled")) == "Enabled"


def multi_model_container(containers: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The name of the multi-model container among them; there is one at most."""
    return next((name for name, container in containers.items() if serves_many(container)), None)


def _on_demand(container: Mapping[str, Any], variant: Variant, endpoint: str) -> OnDemand:
    return OnDemand(
        uri=container["ModelDataUrl"],
        keep=keeps_models(container),
        disk_bytes=variant.options.get("VolumeSizeInGB", 0) * GIB,
        download_timeout_seconds=variant.download_timeout_seconds,
        load_timeout_seconds=variant.startup_timeout_seconds,
        metric_namespace=NAMESPACE,
        count_namespace=INSTANCE_NAMESPACE,
        metric_dimensions={"EndpointName": endpoint, "VariantName": variant.name},
    )

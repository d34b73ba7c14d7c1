"""From an instance of a variant to the host that runs its model server, in SageMaker's container contract. Pure."""

from collections.abc import Mapping

from clary.kernel.images import Runtime
from clary.kernel.jobs.contract import ML_ROOT, HostSpec, Kind, LogTarget, Resources, Wake
from clary.kernel.serving.models import model_sources
from clary.systems.endpoints.records import Instance, Variant

_SOCKET = "serve.sock"
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
) -> HostSpec:
    """What to start for the container `host`. `environment` is what the platform gives: region, endpoint, credentials;
    `role` limits what S3 gives.

    The server listens on a Unix socket, which is private to this machine's user and reachable without a network.
    """
    container = variant.containers[host]
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
            **container.get("Environment", {}),
            "CLARY_BIND_UNIX_SOCKET": f"{ML_ROOT}/{_SOCKET}",
        },
        models=model_sources(container),
        log=LogTarget(log_group, stream if len(instance.hosts) == 1 else f"{stream}/{host}"),
        resources=resources,
        stop_grace_seconds=_STOP_GRACE_SECONDS,
        network=not variant.isolated,
        socket=_SOCKET,
        warm=runtime.warm,
        wake=wake,
    )

"""From an instance of a variant to the host that runs its model server, in SageMaker's container contract. Pure."""

from collections.abc import Mapping

from clary.kernel.images import Runtime
from clary.kernel.jobs.contract import ML_ROOT, HostSpec, Kind, LogTarget, ModelSource, Resources, Wake
from clary.systems.endpoints.deploy import HOST
from clary.systems.endpoints.records import Instance, Variant

_SOCKET = "serve.sock"
_STOP_GRACE_SECONDS = 35.0  # the inference server finishes what it has begun within 30


def log_group(endpoint: str) -> str:
    return f"/aws/sagemaker/Endpoints/{endpoint}"


def server_spec(
    instance: Instance,
    variant: Variant,
    runtime: Runtime,
    *,
    endpoint: str,
    account: str,
    region: str,
    resources: Resources,
    wake: Wake,
    environment: Mapping[str, str],
    role: str = "",
) -> HostSpec:
    """What to start. `environment` is what the platform gives: region, endpoint, credentials; `role` limits what S3
    gives.

    The server listens on a Unix socket, which is private to this machine's user and reachable without a network.
    """
    return HostSpec(
        job=instance.job,
        host=HOST,
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
            **variant.container.get("Environment", {}),
            "CLARY_BIND_UNIX_SOCKET": f"{ML_ROOT}/{_SOCKET}",
        },
        models=_models(variant),
        log=LogTarget(log_group(endpoint), f"{variant.name}/{instance.id}"),
        resources=resources,
        stop_grace_seconds=_STOP_GRACE_SECONDS,
        network=not variant.isolated,
        socket=_SOCKET,
        warm=runtime.warm,
        wake=wake,
    )


def _models(variant: Variant) -> tuple[ModelSource, ...]:
    url = variant.container.get("ModelDataUrl")
    if url:
        return (ModelSource(url, archive=True),)
    source = variant.container.get("ModelDataSource", {}).get("S3DataSource")
    return (ModelSource(source["S3Uri"], archive=source["CompressionType"] == "Gzip"),) if source else ()

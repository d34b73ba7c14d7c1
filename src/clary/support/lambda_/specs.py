"""From an instance of a function to the host that runs it. Pure."""

from collections.abc import Mapping

from clary.kernel.jobs.contract import ML_ROOT, HostSpec, Kind, LogTarget, Package, Resources, Wake
from clary.kernel.jobs.slots import Machine
from clary.support.lambda_.instances import HOST, Instance
from clary.support.lambda_.records import Function, Version

INIT_SECONDS = 10.0  # what an import may take beside the function's timeout, in the runtime too

_MIB = 1024**2
_MIB_PER_CPU = 1769  # as AWS gives CPUs by memory
_BESIDE_BYTES = 160 * _MIB  # of the server around the function, and what was imported ahead of time
_SOCKET = "function.sock"


def function_spec(
    instance: Instance,
    name: str,
    value: Function | Version,
    *,
    account: str,
    region: str,
    machine: Machine,
    wake: Wake,
    environment: Mapping[str, str],
    provisioned: bool,
) -> HostSpec:
    """What to start. `environment` is what the platform gives: region, endpoint, credentials of the role."""
    made = value.configuration
    group = made["LoggingConfig"]["LogGroup"]
    return HostSpec(
        job=instance.job,
        host=HOST,
        kind=Kind.SERVICE,
        argv=("python", "-m", "clary.runtime", "function"),
        account=account,
        region=region,
        environment={
            "TZ": ":UTC",
            **((made.get("Environment") or {}).get("Variables") or {}),
            **environment,
            "_HANDLER": made["Handler"],
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{made['Runtime']}",
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_VERSION": instance.version,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(made["MemorySize"]),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "provisioned-concurrency" if provisioned else "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": group,
            "AWS_LAMBDA_LOG_STREAM_NAME": instance.stream,
            "CLARY_FUNCTION_TIMEOUT_SECONDS": str(made["Timeout"]),
            "CLARY_BIND_UNIX_SOCKET": f"{ML_ROOT}/{_SOCKET}",
        },
        packages=(
            Package(value.code["uri"], "task"),
            *(Package(layer["Uri"], "opt") for layer in made.get("Layers") or ()),
        ),
        log=LogTarget(group, instance.stream),
        resources=_resources(made["MemorySize"], machine),
        stop_grace_seconds=made["Timeout"] + INIT_SECONDS,
        socket=_SOCKET,
        warm="python:boto3",
        wake=wake,
        cwd=f"{ML_ROOT}/task",
    )


def _resources(memory_mb: int, machine: Machine) -> Resources:
    """The limits of an instance: CPUs as threads of libraries, in proportion to its memory, and what it may take."""
    cpus = min(max(1, round(memory_mb / _MIB_PER_CPU)), machine.cpus)
    return Resources(cpus, memory_mb * _MIB + _BESIDE_BYTES)

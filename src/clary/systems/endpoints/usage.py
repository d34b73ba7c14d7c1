"""CloudWatch metrics of the servers of an endpoint: what an instance uses of its processors, memory and disk. Pure.

Names, units and dimensions are AWS's, in the namespace of endpoint instances. An instance is one sample: the sum of its
containers. Of a model with several containers, each is told apart as well.
"""

from collections.abc import Mapping

from clary.kernel.jobs.usage import Place, Usage
from clary.kernel.telemetry.metrics import Datum
from clary.systems.endpoints.records import Instance, Variant

NAMESPACE = "/aws/sagemaker/Endpoints"


def utilization(
    endpoint: str,
    variant: Variant,
    used: Mapping[Place, Usage],
    *,
    memory_bytes: int,
    disk_bytes: int,
) -> list[Datum]:
    """The metrics of a variant whose instances have so much memory each, on a disk of so many bytes."""
    dimensions = {"EndpointName": endpoint, "VariantName": variant.name}
    data = []
    for instance in variant.instances:
        by_host = _of(instance, used)
        if by_host:
            data += _data(list(by_host.values()), dimensions, memory_bytes, disk_bytes)
        if len(instance.hosts) > 1:
            for host, usage in by_host.items():
                data += _data([usage], {**dimensions, "ContainerName": host}, memory_bytes)
    return data


def _of(instance: Instance, used: Mapping[Place, Usage]) -> dict[str, Usage]:
    return {host: used[instance.job, host] for host in instance.hosts if (instance.job, host) in used}


def _data(
    usages: list[Usage], dimensions: Mapping[str, str], memory_bytes: int, disk_bytes: int | None = None
) -> list[Datum]:
    values = {
        "CPUUtilization": sum(usage.cpu_percent for usage in usages),
        "MemoryUtilization": _percent(sum(usage.memory_bytes for usage in usages), memory_bytes),
    }
    if disk_bytes is not None:
        values["DiskUtilization"] = _percent(sum(usage.disk_bytes for usage in usages), disk_bytes)
    return [Datum(name, dimensions, value=value, unit="Percent") for name, value in values.items()]


def _percent(part: int, whole: int) -> float:
    return min(100.0 * part / whole, 100.0)

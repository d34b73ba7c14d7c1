"""Report what serves, so that it has metrics even when nobody asks it anything, and what it uses of the machine."""

import shutil

from clary.kernel.jobs.usage import UsageMeter
from clary.kernel.rooms import OnePerPlatform, Platform, reconciler
from clary.kernel.telemetry.metrics import Datum
from clary.systems.endpoints import usage
from clary.systems.endpoints.deploy import IN_SERVICE
from clary.systems.endpoints.driving import executor_of, resources_of
from clary.systems.endpoints.measures import NAMESPACE, no_invocations, no_invocations_of_component
from clary.systems.endpoints.records import Endpoint, InferenceComponent

_METRICS_EVERY_SECONDS = 30.0  # so that no minute goes without
_USAGE_EVERY_SECONDS = 60.0

_meter_of = OnePerPlatform(lambda platform: UsageMeter(platform.settings.home, platform.clock))


@reconciler("endpoint_metrics", every_seconds=_METRICS_EVERY_SECONDS)
def report(platform: Platform, key: str | None) -> None:
    """Report that variants serve, so that those without any requests have metrics too."""
    served: dict[tuple[str, str], list[Datum]] = {}
    for entry in platform.records(Endpoint).all():
        fleet = entry.value.serving
        if fleet is None or fleet.asynchronous is not None:  # those report their backlog instead
            continue
        for variant in fleet.variants:
            served.setdefault((entry.account, entry.region), []).append(no_invocations(entry.name, variant.name))
    for component in platform.records(InferenceComponent).all(status=IN_SERVICE):
        data = served.setdefault((component.account, component.region), [])
        data.append(no_invocations_of_component(component.name))
    for (account, region), data in served.items():
        platform.metrics.put(account, region, NAMESPACE, data)


@reconciler("endpoint_usage", every_seconds=_USAGE_EVERY_SECONDS)
def measure(platform: Platform, key: str | None) -> None:
    """Report what the servers of all endpoints use of this machine."""
    executor = executor_of(platform)
    meter = _meter_of(platform)
    entries = platform.records(Endpoint).all()
    jobs = {job: hosts for entry in entries for job, hosts in entry.value.jobs.items()}
    looked = [executor.observe(job, host) for job, hosts in jobs.items() for host in hosts]
    used = meter.measure([seen for seen in looked if seen is not None])
    disk_bytes = shutil.disk_usage(platform.settings.home).total
    data: dict[tuple[str, str], list[Datum]] = {}
    for entry in entries:
        for variant in [variant for fleet in entry.value.fleets for variant in fleet.variants]:
            memory_bytes = resources_of(platform, variant).memory_bytes
            data.setdefault((entry.account, entry.region), []).extend(
                usage.utilization(entry.name, variant, used, memory_bytes=memory_bytes, disk_bytes=disk_bytes)
            )
    for (account, region), some in data.items():
        platform.metrics.put(account, region, usage.NAMESPACE, some)

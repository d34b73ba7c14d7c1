"""Report what serves, so that it has metrics even when nobody asks it anything."""

from clary.kernel.rooms import Platform, reconciler
from clary.kernel.telemetry.metrics import Datum
from clary.systems.endpoints.deploy import IN_SERVICE
from clary.systems.endpoints.measures import NAMESPACE, no_invocations, no_invocations_of_component
from clary.systems.endpoints.records import Endpoint, InferenceComponent

_METRICS_EVERY_SECONDS = 30.0  # so that no minute goes without


@reconciler("endpoint_metrics", every_seconds=_METRICS_EVERY_SECONDS)
def report(platform: Platform, key: str | None) -> None:
    """Report that variants serve, so that those without any requests have metrics too."""
    served: dict[tuple[str, str], list[Datum]] = {}
    for entry in platform.records(Endpoint).all():
        for variant in entry.value.serving.variants if entry.value.serving else ():
            served.setdefault((entry.account, entry.region), []).append(no_invocations(entry.name, variant.name))
    for component in platform.records(InferenceComponent).all(status=IN_SERVICE):
        data = served.setdefault((component.account, component.region), [])
        data.append(no_invocations_of_component(component.name))
    for (account, region), data in served.items():
        platform.metrics.put(account, region, NAMESPACE, data)

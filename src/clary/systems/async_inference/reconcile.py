"""Keep the dispatcher running, and report how much waits for it."""

from clary.kernel.rooms import Platform, reconciler
from clary.kernel.serving.routes import DOMAIN, Route, all_routes
from clary.kernel.telemetry.metrics import Datum
from clary.systems.async_inference.backlog import Backlog
from clary.systems.async_inference.dispatch import dispatcher_of
from clary.systems.async_inference.records import TOPIC
from clary.systems.async_inference.reports import NAMESPACE

_METRICS_EVERY_SECONDS = 5.0


@reconciler(TOPIC, every_seconds=5.0)
def reconcile(platform: Platform, key: str | None) -> None:
    """Have what is queued sent."""
    dispatcher_of(platform).wake()


@reconciler("async_inference_backlog", every_seconds=_METRICS_EVERY_SECONDS)
def report(platform: Platform, key: str | None) -> None:
    """Report what waits for each asynchronous endpoint, which its scaling follows; also that nothing does."""
    backlog = Backlog(platform)
    now = platform.clock.now()
    found: dict[tuple[str, str], list[Datum]] = {}
    for account, region, name, route in all_routes(platform.kv(DOMAIN)):
        if route.asynchronous is not None:
            queue = f"{account}/{region}/{name}/{route.revision}"
            found.setdefault((account, region), []).extend(backlog_metrics(backlog, queue, name, route, now))
    for (account, region), data in found.items():
        platform.metrics.put(account, region, NAMESPACE, data)


def backlog_metrics(backlog: Backlog, queue: str, name: str, route: Route, now: float) -> list[Datum]:
    """The metrics AWS documents for the queue of an endpoint, of this moment.

    They are of high resolution, so that alarms may have periods of 10 s. The instances that count are those there are
    to be: the ones that start just now will soon take their part. While traffic shifts, a variant has two fleets, each
    of which counts by its share.
    """
    size, oldest = backlog.size(queue), backlog.first(queue, 1)
    instances = sum(target.share * target.count for target in route.targets)
    values = {
        "ApproximateBacklogSize": (float(size), "Count"),
        "ApproximateBacklogSizePerInstance": (size / max(instances, 1), "Count"),
        "ApproximateAgeOfOldestRequest": (now - oldest[0].received_at if oldest else 0.0, "Seconds"),
        "HasBacklogWithoutCapacity": (float(size > 0 and instances == 0), "Count"),
    }
    dimensions = {"EndpointName": name}
    return [Datum(metric, dimensions, value, unit=unit, resolution=1) for metric, (value, unit) in values.items()]

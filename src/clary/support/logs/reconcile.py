"""Apply metric filters to what came in, and take from the disk what is deleted or past its retention."""

from collections.abc import Callable
from dataclasses import replace

from clary.kernel.rooms import Platform, reconciler
from clary.kernel.store import Entry
from clary.kernel.telemetry.log_records import LogGroup
from clary.support.logs.patterns import compile_pattern
from clary.support.logs.records import MetricFilter
from clary.support.logs.transformations import data_of

_ARRIVALS_AT_ONCE = 100


@reconciler("logs", every_seconds=3600.0)
def sweep(platform: Platform, key: str | None) -> None:
    """Delete what nobody can read any more."""
    platform.logs.sweep()


@reconciler("logs_metric_filters", every_seconds=5.0)
def apply_metric_filters(platform: Platform, key: str | None) -> None:
    """Bring every metric filter up to the last arrival in its group.

    How far a filter has come is written after its data: a crash in between counts those events twice, never not at
    all.
    """
    for entry in platform.records(MetricFilter).all():
        group = platform.logs.get_group(entry.account, entry.region, entry.value.group_name)
        if group is None or group.id != entry.value.group_id:
            platform.records(MetricFilter).within(entry.account, entry.region).delete(entry.name)
        elif platform.logs.last_arrival(group) > entry.value.applied:
            _apply(platform, entry, group)


def _apply(platform: Platform, entry: Entry[MetricFilter], group: LogGroup) -> None:
    kept = entry.value
    pattern = compile_pattern(kept.pattern)
    table = platform.records(MetricFilter).within(entry.account, entry.region)
    applied = kept.applied
    while arrivals := platform.logs.arrivals(group, applied, _ARRIVALS_AT_ONCE):
        events = (event for arrival in arrivals for event in platform.logs.arrived_events(arrival))
        data = data_of(pattern, kept.transformation, events)
        namespace = str(kept.transformation["metricNamespace"])
        platform.metrics.put(entry.account, entry.region, namespace, data)
        applied = arrivals[-1].number
        table.update(entry.name, _moved_to(kept, applied))


def _moved_to(kept: MetricFilter, applied: int) -> Callable[[MetricFilter], MetricFilter | None]:
    """The change to `applied`, unless the filter was put again meanwhile and starts from a place of its own."""

    def change(now: MetricFilter) -> MetricFilter | None:
        same = replace(now, applied=0) == replace(kept, applied=0)
        return replace(now, applied=max(now.applied, applied)) if same else None

    return change

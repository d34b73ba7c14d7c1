"""What the room keeps in the record store. Groups, streams and events are the kernel's telemetry."""

from dataclasses import dataclass, field

from clary.kernel.store import record


@record("logs_metric_filter", version=1)
@dataclass(frozen=True, slots=True)
class MetricFilter:
    """A metric filter, named `<group>:<filter>`, its parent the group's name.

    `applied` is the last arrival in the group that it has seen; `group_id` tells a group from a later one of the
    same name.
    """

    group_name: str
    group_id: int
    filter_name: str
    pattern: str
    transformation: dict[str, object] = field(default_factory=dict)
    applied: int = 0

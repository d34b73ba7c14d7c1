"""What metrics are made of: units, the data that are reported, series, and the buckets that answers hold.

Times are epoch seconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from clary.kernel.telemetry.statistics import Distribution, StatisticSet

UNITS = (
    *("None", "Seconds", "Microseconds", "Milliseconds", "Bytes", "Kilobytes", "Megabytes", "Gigabytes", "Terabytes"),
    *("Bits", "Kilobits", "Megabits", "Gigabits", "Terabits", "Percent", "Count"),
    *("Bytes/Second", "Kilobytes/Second", "Megabytes/Second", "Gigabytes/Second", "Terabytes/Second"),
    *("Bits/Second", "Kilobits/Second", "Megabits/Second", "Gigabits/Second", "Terabits/Second", "Count/Second"),
)
"""The units CloudWatch knows. A stored point names its unit by the place in this tuple: only ever add to its end."""


@dataclass(frozen=True, slots=True)
class Datum:
    """What is reported at once: one `value`, or `values` with their `counts` (1 each when absent), or a summary.

    Without a `timestamp` it is of now. `resolution` is 60 or 1 second.
    """

    name: str
    dimensions: Mapping[str, str] = field(default_factory=dict)
    value: float | None = None
    values: Sequence[float] = ()
    counts: Sequence[float] = ()
    summary: StatisticSet | None = None
    timestamp: float | None = None
    unit: str = "None"
    resolution: int = 60


@dataclass(frozen=True, slots=True)
class Series:
    """A metric: all data of one namespace, name and set of dimensions; those before `compact_until` are compact."""

    id: int
    namespace: str
    name: str
    dimensions: dict[str, str]
    compact_until: float = 0.0


@dataclass(frozen=True, slots=True)
class Bucket:
    """The samples of one period from `start` on; `unit` is None where units were not kept apart."""

    start: float
    unit: str | None
    samples: Distribution

"""Statistics of samples, by the names CloudWatch gives them. Pure.

    SampleCount Average Sum Minimum Maximum
    p99  p99.9                      percentile (nearest rank: the smallest sample that so many reach or stay under)
    tm95  TM(5%:95%)  TM(:300)      mean of what lies between two percentiles or two values
    tc95  TC(..)  ts95  TS(..)      count and sum of the same
    wm95  WM(..)                    mean with what lies outside pulled in to the bounds
    PR(:300)  PR(100:2000)          per cent of the samples between two values
    IQM                             TM(25%:75%)

Bounds given as values exclude the lower and include the upper one, as CloudWatch does.
"""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

SIMPLE_STATISTICS = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")

_SHORT = re.compile(r"(p|tm|tc|ts|wm)(\d{1,3}(?:\.\d{1,10})?)")
_LONG = re.compile(r"(TM|TC|TS|WM|PR)\(\s*([-\d.]*)(%?)\s*:\s*([-\d.]*)(%?)\s*\)")


@dataclass(frozen=True, slots=True)
class StatisticSet:
    """Samples that were summed up before they were reported."""

    count: float
    total: float
    minimum: float
    maximum: float


@dataclass(slots=True)
class Distribution:
    """Samples as (value, count) pairs, and sets of samples of which only a summary is known."""

    samples: list[tuple[float, float]] = field(default_factory=list)
    sets: list[StatisticSet] = field(default_factory=list)

    def add_set(self, summary: StatisticSet) -> None:
        """Take in a summary; one whose samples must all be equal counts as samples."""
        if summary.minimum == summary.maximum:
            self.samples.append((summary.minimum, summary.count))
        else:
            self.sets.append(summary)

    def merge(self, other: "Distribution") -> None:
        self.samples.extend(other.samples)
        self.sets.extend(other.sets)

    @property
    def count(self) -> float:
        return math.fsum(count for _, count in self.samples) + math.fsum(part.count for part in self.sets)

    @property
    def total(self) -> float:
        return math.fsum(value * count for value, count in self.samples) + math.fsum(part.total for part in self.sets)

    @property
    def minimum(self) -> float:
        return min([value for value, _ in self.samples] + [part.minimum for part in self.sets])

    @property
    def maximum(self) -> float:
        return max([value for value, _ in self.samples] + [part.maximum for part in self.sets])

    @property
    def average(self) -> float:
        count = self.count
        return self.total / count if count else 0.0


Statistic = Callable[[Distribution], float | None]
"""What a statistic makes of samples; None where only summaries are known and it needs the samples."""


def statistic(name: str) -> Statistic:
    """The statistic called `name`. Raises ValueError when there is none."""
    if name in _SIMPLE:
        return _SIMPLE[name]
    if name == "IQM":
        name = "TM(25%:75%)"
    short = _SHORT.fullmatch(name)
    if short is not None:
        percent = float(short[2])
        if percent > 100:
            raise ValueError(f"{name} asks for more than 100 per cent")
        if short[1] == "p":
            return _of_samples(lambda samples: percentile(samples, percent))
        return _trimmed(short[1].upper(), _Bounds(0.0, percent, in_percent=True))
    long = _LONG.fullmatch(name)
    if long is None:
        raise ValueError(f"{name} is not a statistic")
    bounds = _bounds(name, long[2], long[3], long[4], long[5])
    if long[1] == "PR":
        if bounds.in_percent:
            raise ValueError(f"{name} needs values, not percentiles")
        return _of_samples(lambda samples: _percentile_rank(samples, bounds))
    return _trimmed(long[1], bounds)


def percentile(samples: list[tuple[float, float]], percent: float) -> float | None:
    """The nearest-rank percentile of samples sorted by value."""
    total = sum(count for _, count in samples)
    wanted = total * percent / 100
    seen = 0.0
    for value, count in samples:
        seen += count
        if seen >= wanted - 1e-9 * total:
            return value
    return samples[-1][0] if samples else None


@dataclass(frozen=True, slots=True)
class _Bounds:
    low: float
    high: float
    in_percent: bool


def _bounds(name: str, low: str, low_percent: str, high: str, high_percent: str) -> _Bounds:
    if not low and not high:
        raise ValueError(f"{name} needs a bound")
    in_percent = bool(low_percent or high_percent)
    if in_percent and ((low and not low_percent) or (high and not high_percent)):
        raise ValueError(f"{name} mixes percentiles and values")
    lowest, highest = (0.0, 100.0) if in_percent else (-math.inf, math.inf)
    bounds = _Bounds(float(low) if low else lowest, float(high) if high else highest, in_percent)
    if not bounds.low < bounds.high or (in_percent and not 0 <= bounds.low < bounds.high <= 100):
        raise ValueError(f"{name} has its bounds out of order or out of range")
    return bounds


def _of_samples(look: Callable[[list[tuple[float, float]]], float | None]) -> Statistic:
    return lambda known: None if known.sets or not known.samples else look(sorted(known.samples))


def _trimmed(kind: str, bounds: _Bounds) -> Statistic:
    if kind == "WM":
        return _of_samples(lambda samples: _mean(_pulled_in(samples, bounds)))

    def look(samples: list[tuple[float, float]]) -> float | None:
        kept = _kept(samples, bounds)
        count = math.fsum(count for _, count in kept)
        total = math.fsum(value * count for value, count in kept)
        if kind == "TC":
            return count
        return total if kind == "TS" else (total / count if count else None)

    return _of_samples(look)


def _kept(samples: list[tuple[float, float]], bounds: _Bounds) -> list[tuple[float, float]]:
    if not bounds.in_percent:
        return [(value, count) for value, count in samples if bounds.low < value <= bounds.high]
    total = math.fsum(count for _, count in samples)
    first, last = total * bounds.low / 100, total * bounds.high / 100
    kept = []
    seen = 0.0
    for value, count in samples:
        inside = min(seen + count, last) - max(seen, first)
        seen += count
        if inside > 0:
            kept.append((value, inside))
    return kept


def _pulled_in(samples: list[tuple[float, float]], bounds: _Bounds) -> list[tuple[float, float]]:
    low, high = bounds.low, bounds.high
    if bounds.in_percent:
        low = percentile(samples, low) or 0.0 if low else samples[0][0]
        high = percentile(samples, high) or 0.0
    return [(min(max(value, low), high), count) for value, count in samples]


def _percentile_rank(samples: list[tuple[float, float]], bounds: _Bounds) -> float:
    total = math.fsum(count for _, count in samples)
    return 100 * math.fsum(count for _, count in _kept(samples, bounds)) / total if total else 0.0


def _mean(samples: Iterable[tuple[float, float]]) -> float | None:
    pairs = list(samples)
    count = math.fsum(count for _, count in pairs)
    return math.fsum(value * count for value, count in pairs) / count if count else None


_SIMPLE: dict[str, Statistic] = {
    "SampleCount": lambda known: known.count,
    "Average": lambda known: known.average,
    "Sum": lambda known: known.total,
    "Minimum": lambda known: known.minimum,
    "Maximum": lambda known: known.maximum,
}

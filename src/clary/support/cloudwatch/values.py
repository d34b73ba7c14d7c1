"""Metric math: the values it works on. Pure.

A value is a number, a series, or a list of series. Two series meet where both have a point; a number meets every
point of a series, and every series of a list.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from clary.support.cloudwatch.expressions import ExpressionError


@dataclass(frozen=True, slots=True)
class Series:
    """Points by epoch second, oldest first, `period` seconds apart where none is missing."""

    label: str
    period: float
    points: Mapping[float, float]


Value = float | Series | list[Series]
Argument = Value | str


@dataclass(frozen=True, slots=True)
class Setting:
    """What an expression is worked out in: the values of other queries by id, and the range asked for.

    `metrics` are the ids of those queries that name a metric. `grid` gives the times a full series of a period has.
    """

    values: Mapping[str, Value]
    metrics: Sequence[str]
    grid: Callable[[float], Sequence[float]]
    period: float


Function = Callable[[Setting, Sequence[Argument]], Value]


def map_points(value: Value, change: Callable[[float], float | None]) -> Value:
    """Apply `change` to every number of a value; points it gives None for go."""
    if isinstance(value, list):
        return [_mapped(series, change) for series in value]
    if isinstance(value, Series):
        return _mapped(value, change)
    changed = change(value)
    if changed is None:
        raise ExpressionError("the result is not a number")
    return changed


def combine(left: Value, right: Value, change: Callable[[float, float], float | None]) -> Value:
    """Apply `change` to the numbers of two values where they meet."""
    if isinstance(left, list) and isinstance(right, list):
        raise ExpressionError("two arrays of time series cannot be combined")
    if isinstance(left, list):
        return [_series(combine(series, right, change)) for series in left]
    if isinstance(right, list):
        return [_series(combine(left, series, change)) for series in right]
    if isinstance(left, Series) and isinstance(right, Series):
        both = {
            time: change(number, right.points[time]) for time, number in left.points.items() if time in right.points
        }
        kept = {time: number for time, number in both.items() if number is not None}
        return Series(left.label, max(left.period, right.period), kept)
    if isinstance(left, Series):
        fixed = float(right)  # type: ignore[arg-type]
        return _mapped(left, lambda number: change(number, fixed))
    return map_points(right, lambda number: change(left, number))


def as_list(value: Argument) -> list[Series]:
    """A series, or a list of them, as a list."""
    if isinstance(value, Series):
        return [value]
    if isinstance(value, list):
        return value
    raise ExpressionError("a time series is expected")


def _mapped(series: Series, change: Callable[[float], float | None]) -> Series:
    changed = ((time, change(number)) for time, number in series.points.items())
    return Series(series.label, series.period, {time: number for time, number in changed if number is not None})


def _series(value: Value) -> Series:
    if not isinstance(value, Series):
        raise ExpressionError("a time series is expected")
    return value

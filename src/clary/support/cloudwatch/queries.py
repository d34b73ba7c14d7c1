"""Metric data queries: metrics and expressions over each other, as GetMetricData and alarms take them. Pure but for
the reading of metrics, which the caller gives."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.telemetry.statistics import statistic
from clary.support.cloudwatch.calculation import calculate
from clary.support.cloudwatch.expressions import ExpressionError, NoData, Node, parse, references
from clary.support.cloudwatch.times import check_period, grid, rounded_start
from clary.support.cloudwatch.values import Series, Setting, Value

MOST_QUERIES = 500
_LONGEST_GRID = 100_800
_ID = re.compile(r"[a-z][A-Za-z0-9_]*")

Query = Mapping[str, Any]
ReadMetric = Callable[[Mapping[str, Any], float, float], dict[float, float]]
"""Points of a MetricStat between two times, by the beginning of their period."""


@dataclass(frozen=True, slots=True)
class Range:
    """The times asked for, and the time it is."""

    start: float
    end: float
    now: float

    def grid(self, period: float) -> Sequence[float]:
        """The periods that have begun by now."""
        start = rounded_start(self.start, int(period), self.now)
        end = min(self.end, self.now)
        if (end - start) / period > _LONGEST_GRID:
            raise ExpressionError(f"the range has more than {_LONGEST_GRID} periods of {period:g} seconds")
        return grid(start, end, period)


@dataclass(frozen=True, slots=True)
class Result:
    """What one query gave: several series, with labels of their own, where an expression gives an array."""

    id: str
    label: str
    series: Sequence[Series]
    is_array: bool


def check_queries(queries: Sequence[Query]) -> None:
    """Raise ValidationError unless the queries can be worked out: ids, one of metric and expression, no circles."""
    if len(queries) > MOST_QUERIES:
        raise _invalid(f"The collection MetricDataQueries must not have a size greater than {MOST_QUERIES}.")
    seen: set[str] = set()
    for number, query in enumerate(queries, 1):
        name = f"MetricDataQueries.member.{number}"
        if _ID.fullmatch(query["Id"]) is None:
            raise _invalid(
                f"The value {query['Id']} for parameter {name}.Id is not matching the expected pattern "
                "^[a-z][a-zA-Z0-9_]*$."
            )
        if query["Id"] in seen:
            raise _invalid(f"The values for parameter Id must be unique: {query['Id']} is given twice.")
        seen.add(query["Id"])
        if ("MetricStat" in query) == ("Expression" in query):
            raise _invalid(f"{name} must have either MetricStat or Expression, and not both.")
        if "MetricStat" in query:
            _check_metric(name, query["MetricStat"])
        elif query.get("Period") is not None:
            check_period(query["Period"], f"{name}.Period")
    _Run(queries, lambda metric, start, end: {}, Range(0, 0, 0)).check()


def run_queries(queries: Sequence[Query], read: ReadMetric, span: Range) -> list[Result]:
    """Work out every query that returns data, in the order given. Raises ValidationError."""
    run = _Run(queries, read, span)
    return [run.result(query) for query in queries if query.get("ReturnData", True)]


def metric_label(metric_stat: Mapping[str, Any]) -> str:
    return str(metric_stat["Metric"].get("MetricName", ""))


class _Run:
    """One working out of queries that name one another."""

    def __init__(self, queries: Sequence[Query], read: ReadMetric, span: Range) -> None:
        self._queries = {query["Id"]: query for query in queries}
        self._read = read
        self._span = span
        self._values: dict[str, Value] = {}
        self._visited: set[str] = set()
        self._under_way: list[str] = []
        self._metrics = [query["Id"] for query in queries if "MetricStat" in query]
        self._trees: dict[str, Node] = {}

    def check(self) -> None:
        """Raise ValidationError for expressions that cannot be read, name what is not there, or go in circles."""
        for id in self._queries:
            self._visit(id, lambda query: None)

    def result(self, query: Query) -> Result:
        value = self._value(query["Id"])
        if isinstance(value, float):
            raise _error_in(query["Id"], "it gives a single number; use TIME_SERIES to make it a time series")
        label = query.get("Label") or ""
        if isinstance(value, list):
            return Result(query["Id"], label, [_finite(series) for series in value], is_array=True)
        if "MetricStat" in query:
            label = value.label
        return Result(query["Id"], label or query["Id"], [_finite(value)], is_array=False)

    def _value(self, id: str) -> Value:
        if id not in self._values:
            self._visit(id, self._work_out)
        return self._values[id]

    def _visit(self, id: str, then: Callable[[Query], None]) -> None:
        """Visit what a query names, then the query; each one once."""
        if id in self._visited:
            return
        if id in self._under_way:
            raise _error_in(id, f"it depends on itself: {' -> '.join([*self._under_way, id])}")
        query = self._queries[id]
        self._under_way.append(id)
        for other in sorted(set(references(self._tree(query))) if "Expression" in query else ()):
            if other not in self._queries:
                raise _error_in(id, f"there is no query with the id '{other}'")
            self._visit(other, then)
        self._under_way.pop()
        self._visited.add(id)
        then(query)

    def _tree(self, query: Query) -> Node:
        id = query["Id"]
        if id not in self._trees:
            try:
                self._trees[id] = parse(query["Expression"])
            except ExpressionError as error:
                raise _error_in(id, str(error)) from None
        return self._trees[id]

    def _work_out(self, query: Query) -> None:
        id = query["Id"]
        try:
            self._values[id] = self._metric(query) if "MetricStat" in query else self._expression(query)
        except NoData:
            self._values[id] = Series(id, self._period(query), {})
        except ExpressionError as error:
            raise _error_in(id, str(error)) from None

    def _metric(self, query: Query) -> Series:
        stat = query["MetricStat"]
        start = rounded_start(self._span.start, stat["Period"], self._span.now)
        points = self._read(stat, start, self._span.end)
        return Series(query.get("Label") or metric_label(stat), stat["Period"], points)

    def _expression(self, query: Query) -> Value:
        tree = self._tree(query)
        # METRICS() sees every metric, named in the expression or not.
        for id in self._metrics:
            self._value(id)
        return calculate(tree, Setting(self._values, self._metrics, self._span.grid, self._period(query)))

    def _period(self, query: Query) -> float:
        """The period of an expression: its own, or the longest of the metrics there are."""
        periods = [each["MetricStat"]["Period"] for each in self._queries.values() if "MetricStat" in each]
        return float(query.get("Period") or max(periods, default=60))


def _check_metric(name: str, stat: Mapping[str, Any]) -> None:
    if not stat["Metric"].get("Namespace") or not stat["Metric"].get("MetricName"):
        raise _invalid(f"{name}.MetricStat.Metric must have a Namespace and a MetricName.")
    check_period(stat["Period"], f"{name}.MetricStat.Period")
    try:
        statistic(stat["Stat"])
    except ValueError as error:
        raise _invalid(
            f"The value {stat['Stat']} for parameter {name}.MetricStat.Stat is not valid: {error}."
        ) from None


def _finite(series: Series) -> Series:
    """A series without the points that grew beyond what a number can hold."""
    kept = {moment: number for moment, number in series.points.items() if math.isfinite(number)}
    return Series(series.label, series.period, kept)


def _invalid(message: str) -> AwsError:
    return AwsError("ValidationError", message)


def _error_in(id: str, why: str) -> AwsError:
    return _invalid(f"Error in expression '{id}': {why}")

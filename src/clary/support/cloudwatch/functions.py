"""Metric math: the functions, by name. Pure."""

import math
import statistics
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from clary.support.cloudwatch.expressions import ExpressionError, NoData
from clary.support.cloudwatch.values import Argument, Function, Series, Setting, Value, as_list, map_points

_Reduce = Callable[[Sequence[float]], float]


def _each(change: Callable[[float], float | None]) -> Function:
    """A function of every number of its one argument."""

    def function(setting: Setting, arguments: Sequence[Argument]) -> Value:
        (value,) = _expect(arguments, 1)
        return map_points(_value(value), change)

    return function


def _reducing(reduce: _Reduce) -> Function:
    """One number of a series; of a list, one series that reduces what all have at a time."""

    def function(setting: Setting, arguments: Sequence[Argument]) -> Value:
        (value,) = _expect(arguments, 1)
        if isinstance(value, list):
            at: dict[float, list[float]] = {}
            for series in value:
                for moment, number in series.points.items():
                    at.setdefault(moment, []).append(number)
            period = max((series.period for series in value), default=setting.period)
            return Series("", period, {moment: reduce(at[moment]) for moment in sorted(at)})
        if isinstance(value, Series):
            if not value.points:
                raise NoData
            return reduce(list(value.points.values()))
        return _number(value)

    return function


def _per_series(change: Callable[[Series], Mapping[float, float]]) -> Function:
    """A function that makes new points of each series."""

    def function(setting: Setting, arguments: Sequence[Argument]) -> Value:
        (value,) = _expect(arguments, 1)
        changed = [Series(series.label, series.period, change(series)) for series in as_list(value)]
        return changed if isinstance(value, list) else changed[0]

    return function


def _steps(step: Callable[[float, float], float]) -> Callable[[Series], Mapping[float, float]]:
    """What `step` makes of the differences in value and in time between each point and the one before."""

    def change(series: Series) -> Mapping[float, float]:
        points = list(series.points.items())
        pairs = pairwise(points)
        return {then: step(value - before, then - earlier) for (earlier, before), (then, value) in pairs}

    return change


def _running_sum(series: Series) -> Mapping[float, float]:
    total = 0.0
    sums = {}
    for moment, number in series.points.items():
        total += number
        sums[moment] = total
    return sums


def _metrics(setting: Setting, arguments: Sequence[Argument]) -> Value:
    part = _text(arguments[0]) if arguments else ""
    values = (setting.values[id] for id in setting.metrics if part in id)
    return [value for value in values if isinstance(value, Series)]


def _metric_count(setting: Setting, arguments: Sequence[Argument]) -> Value:
    (value,) = _expect(arguments, 1)
    return float(len(as_list(value)))


def _datapoint_count(setting: Setting, arguments: Sequence[Argument]) -> Value:
    (value,) = _expect(arguments, 1)
    counts = [float(len(series.points)) for series in as_list(value)]
    return counts[0] if isinstance(value, Series) else math.fsum(counts)


def _period(setting: Setting, arguments: Sequence[Argument]) -> Value:
    (value,) = _expect(arguments, 1)
    return float(as_list(value)[0].period)


def _fill(setting: Setting, arguments: Sequence[Argument]) -> Value:
    value, filler = _expect(arguments, 2)
    filled = [_filled(series, filler, setting.grid(series.period)) for series in as_list(value)]
    return filled if isinstance(value, list) else filled[0]


def _filled(series: Series, filler: Argument, grid: Sequence[float]) -> Series:
    known = list(series.points)
    points: dict[float, float] = {}
    for moment in sorted({*known, *grid}):
        number = series.points.get(moment)
        if number is None:
            number = _fill_in(series, known, moment, filler)
        if number is not None:
            points[moment] = number
    return Series(series.label, series.period, points)


def _fill_in(series: Series, known: Sequence[float], moment: float, filler: Argument) -> float | None:
    """The number for a missing point: of another series, the one before, on the line between, or a fixed one."""
    if isinstance(filler, Series):
        return filler.points.get(moment)
    if filler not in {"REPEAT", "LINEAR"}:
        return _number(filler)
    place = bisect_left(known, moment)
    if place == 0:
        return None
    before = series.points[known[place - 1]]
    if filler == "REPEAT":
        return before
    if place == len(known):
        return None
    share = (moment - known[place - 1]) / (known[place] - known[place - 1])
    return before + (series.points[known[place]] - before) * share


def _if(setting: Setting, arguments: Sequence[Argument]) -> Value:
    if len(arguments) not in {2, 3}:
        raise ExpressionError("IF takes a condition and one or two values")
    condition, *choices = (_value(argument) for argument in arguments)
    if not isinstance(condition, Series):
        if isinstance(condition, list):
            raise ExpressionError("the condition of IF must not be an array")
        if condition:
            return choices[0]
        return choices[1] if len(choices) == 2 else Series("", setting.period, {})
    chosen = {}
    for moment, held in condition.points.items():
        choice = choices[0] if held else (choices[1] if len(choices) == 2 else None)
        number = choice.points.get(moment) if isinstance(choice, Series) else choice
        if isinstance(number, list):
            raise ExpressionError("the values of IF must not be arrays")
        if number is not None:
            chosen[moment] = float(number)
    return Series(condition.label, condition.period, chosen)


def _first(setting: Setting, arguments: Sequence[Argument]) -> Value:
    (value,) = _expect(arguments, 1)
    series = as_list(value)
    return series[0] if series else Series("", setting.period, {})


def _last(setting: Setting, arguments: Sequence[Argument]) -> Value:
    (value,) = _expect(arguments, 1)
    series = as_list(value)
    return series[-1] if series else Series("", setting.period, {})


def _slice(setting: Setting, arguments: Sequence[Argument]) -> Value:
    if len(arguments) not in {2, 3}:
        raise ExpressionError("SLICE takes an array and one or two places")
    series = as_list(arguments[0])
    start = int(_number(arguments[1]))
    if len(arguments) == 2:
        return series[start] if 0 <= start < len(series) else Series("", setting.period, {})
    return series[start : int(_number(arguments[2]))]


def _sort(setting: Setting, arguments: Sequence[Argument]) -> Value:
    if len(arguments) not in {3, 4}:
        raise ExpressionError("SORT takes an array, a function, an order and, if wanted, a count")
    reduce = _REDUCTIONS.get(_text(arguments[1]))
    order = _text(arguments[2])
    if reduce is None or order not in {"ASC", "DESC"}:
        raise ExpressionError("SORT goes by AVG, MAX, MIN, STDDEV or SUM, in the order ASC or DESC")
    series = [each for each in as_list(arguments[0]) if each.points]
    series.sort(key=lambda each: reduce(list(each.points.values())), reverse=order == "DESC")
    return series[: int(_number(arguments[3]))] if len(arguments) == 4 else series


def _remove_empty(setting: Setting, arguments: Sequence[Argument]) -> Value:
    (value,) = _expect(arguments, 1)
    return [series for series in as_list(value) if series.points]


def _time_series(setting: Setting, arguments: Sequence[Argument]) -> Value:
    (value,) = _expect(arguments, 1)
    number = _number(value)
    return Series("", setting.period, dict.fromkeys(setting.grid(setting.period), number))


def _calendar(part: Callable[[time.struct_time], int]) -> Function:
    return _per_series(lambda series: {moment: float(part(time.gmtime(moment))) for moment in series.points})


def _logarithm(function: Callable[[float], float]) -> Callable[[float], float | None]:
    return lambda number: function(number) if number > 0 else None


def _exponential(number: float) -> float | None:
    return math.exp(number) if number < 700 else None


def _expect(arguments: Sequence[Argument], count: int) -> Sequence[Argument]:
    if len(arguments) != count:
        raise ExpressionError(f"{count} argument{'s' if count > 1 else ''} expected, {len(arguments)} given")
    return arguments


def _value(argument: Argument) -> Value:
    if isinstance(argument, str):
        raise ExpressionError(f"'{argument}' is neither a number nor a time series")
    return argument


def _number(argument: Argument) -> float:
    if isinstance(argument, str | Series | list):
        raise ExpressionError("a number is expected")
    return float(argument)


def _text(argument: Argument) -> str:
    if not isinstance(argument, str):
        raise ExpressionError("a word is expected")
    return argument


def _deviation(numbers: Sequence[float]) -> float:
    return statistics.pstdev(numbers)


def _mean(numbers: Sequence[float]) -> float:
    return math.fsum(numbers) / len(numbers)


_REDUCTIONS: Mapping[str, _Reduce] = {"AVG": _mean, "MAX": max, "MIN": min, "STDDEV": _deviation, "SUM": math.fsum}

FUNCTIONS: Mapping[str, Function] = {
    **{name: _reducing(reduce) for name, reduce in _REDUCTIONS.items()},
    "ABS": _each(abs),
    "CEIL": _each(lambda number: float(math.ceil(number))),
    "FLOOR": _each(lambda number: float(math.floor(number))),
    "EXP": _each(_exponential),
    "LOG": _each(_logarithm(math.log)),
    "LOG10": _each(_logarithm(math.log10)),
    "DIFF": _per_series(_steps(lambda rise, seconds: rise)),
    "DIFF_TIME": _per_series(_steps(lambda rise, seconds: seconds)),
    "RATE": _per_series(_steps(lambda rise, seconds: rise / seconds)),
    "RUNNING_SUM": _per_series(_running_sum),
    "EPOCH": _per_series(lambda series: {moment: moment for moment in series.points}),
    "MINUTE": _calendar(lambda at: at.tm_min),
    "HOUR": _calendar(lambda at: at.tm_hour),
    "DAY": _calendar(lambda at: at.tm_wday + 1),
    "DATE": _calendar(lambda at: at.tm_mday),
    "MONTH": _calendar(lambda at: at.tm_mon),
    "YEAR": _calendar(lambda at: at.tm_year),
    "DATAPOINT_COUNT": _datapoint_count,
    "FILL": _fill,
    "FIRST": _first,
    "IF": _if,
    "LAST": _last,
    "METRICS": _metrics,
    "METRIC_COUNT": _metric_count,
    "PERIOD": _period,
    "REMOVE_EMPTY": _remove_empty,
    "SLICE": _slice,
    "SORT": _sort,
    "TIME_SERIES": _time_series,
}

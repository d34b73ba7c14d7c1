"""Checking what PutMetricData is given, and turning it into the kernel's data. Pure."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.telemetry.metrics import Datum
from clary.kernel.telemetry.statistics import StatisticSet
from clary.support.cloudwatch.reading import dimensions_of
from clary.support.cloudwatch.times import epoch

MOST_DATA = 1_000

_MOST_VALUES = 150
_LARGEST = 2.0**360
_OLDEST_SECONDS = 14 * 24 * 3600
_NEWEST_SECONDS = 2 * 3600
_FORMS = ("Value", "Values", "StatisticValues")


def invalid_value(message: str) -> AwsError:
    return AwsError("InvalidParameterValue", message)


def read_datum(datum: Mapping[str, Any], place: str, now: float) -> Datum:
    """The kernel's datum for one of a request; `place` is what errors call it. Raises AWS's parameter errors."""
    forms = [form for form in _FORMS if datum.get(form) is not None and datum.get(form) != []]
    if not forms:
        names = ", ".join(f"{place}.{form}" for form in _FORMS)
        raise AwsError("MissingParameter", f"At least one of the parameters {names} must be specified.")
    if len(forms) > 1:
        raise AwsError(
            "InvalidParameterCombination",
            f"The parameters {place}.{forms[0]} and {place}.{forms[1]} are mutually exclusive and you have specified "
            "both.",
        )
    resolution = datum.get("StorageResolution") or 60
    if resolution not in {1, 60}:
        raise invalid_value(f"The value {resolution} for parameter {place}.StorageResolution must be 1 or 60.")
    moment = None
    if datum.get("Timestamp") is not None:
        moment = epoch(datum["Timestamp"])
        _check_time(moment, place, now)
    return Datum(
        datum["MetricName"],
        dimensions_of(datum.get("Dimensions")),
        timestamp=moment,
        unit=datum.get("Unit") or "None",
        resolution=resolution,
        **_numbers(datum, forms[0], place),
    )


def _numbers(datum: Mapping[str, Any], form: str, place: str) -> dict[str, Any]:
    if form == "Value":
        return {"value": _number(datum["Value"], f"{place}.Value")}
    if form == "StatisticValues":
        given = datum["StatisticValues"]
        count, total, low, high = (
            _number(given[name], f"{place}.StatisticValues.{name}")
            for name in ("SampleCount", "Sum", "Minimum", "Maximum")
        )
        if count < 0 or low > high:
            raise invalid_value(f"The parameter {place}.StatisticValues must have Minimum <= Maximum and a count >= 0.")
        return {"summary": StatisticSet(count, total, low, high)}
    values = [_number(value, f"{place}.Values.member.{at}") for at, value in enumerate(datum["Values"], 1)]
    counts = [_number(count, f"{place}.Counts.member.{at}") for at, count in enumerate(datum.get("Counts") or (), 1)]
    if len(values) > _MOST_VALUES:
        raise invalid_value(f"The collection {place}.Values must not have a size greater than {_MOST_VALUES}.")
    if counts and len(counts) != len(values):
        raise invalid_value(f"The parameters {place}.Values and {place}.Counts must be of the same size.")
    if any(count < 0 for count in counts):
        raise invalid_value(f"The parameter {place}.Counts must not hold negative numbers.")
    return {"values": _as_floats(values), "counts": _as_floats(counts)}


def _as_floats(numbers: Sequence[float]) -> tuple[float, ...]:
    return tuple(float(number) for number in numbers)


def _number(value: float, place: str) -> float:
    if not math.isfinite(value) or abs(value) > _LARGEST:
        raise invalid_value(f"The value {value} for parameter {place} is invalid.")
    return float(value)


def _check_time(moment: float, place: str, now: float) -> None:
    if moment < now - _OLDEST_SECONDS:
        raise invalid_value(f"The parameter {place}.Timestamp must specify a time within the past two weeks.")
    if moment > now + _NEWEST_SECONDS:
        raise invalid_value(
            f"The parameter {place}.Timestamp must specify a time no more than two hours in the future."
        )

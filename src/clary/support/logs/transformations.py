"""What a metric filter makes of a log event. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from clary.kernel.telemetry.log_records import Event
from clary.kernel.telemetry.metrics import Datum
from clary.support.logs.lookup import invalid
from clary.support.logs.patterns import Pattern
from clary.support.logs.patterns.conditions import number_of

_MOST_DIMENSIONS = 3
_MINUTE_MS = 60_000


def check_transformation(transformation: Mapping[str, Any]) -> None:
    """Raise InvalidParameterException unless the transformation can be applied."""
    value = transformation["metricValue"]
    if not value.startswith("$") and number_of(value) is None:
        raise invalid(f"Invalid metric transformation: metricValue '{value}' is neither a number nor a field.")
    dimensions = transformation.get("dimensions") or {}
    if len(dimensions) > _MOST_DIMENSIONS:
        raise invalid(f"Invalid metric transformation: at most {_MOST_DIMENSIONS} dimensions are allowed.")
    if dimensions and transformation.get("defaultValue") is not None:
        raise invalid("Invalid metric transformation: dimensions and default value are mutually exclusive properties.")


def data_of(pattern: Pattern, transformation: Mapping[str, Any], events: Iterable[Event]) -> list[Datum]:
    """The metric data that events give: one datum for each minute and set of dimensions, holding all its values.

    A minute whose events match nothing gives the default value, when there is one. An event that lacks the field
    that is measured, or one that is a dimension, gives nothing.
    """
    values: dict[tuple[int, tuple[tuple[str, str], ...]], list[float]] = {}
    unmatched: set[int] = set()
    for event in events:
        minute = event.timestamp // _MINUTE_MS
        if pattern.match(event.message) is None:
            unmatched.add(minute)
            continue
        value = _measured(pattern, transformation["metricValue"], event.message)
        dimensions = _dimensions(pattern, transformation.get("dimensions") or {}, event.message)
        if value is not None and dimensions is not None:
            values.setdefault((minute, dimensions), []).append(value)
    default = transformation.get("defaultValue")
    if default is not None:
        for minute in unmatched - {minute for minute, _ in values}:
            values[minute, ()] = [float(default)]
    unit = transformation.get("unit") or "None"
    return [
        Datum(
            transformation["metricName"],
            dict(dimensions),
            values=found,
            timestamp=minute * _MINUTE_MS / 1000,
            unit=unit,
        )
        for (minute, dimensions), found in values.items()
    ]


def _measured(pattern: Pattern, metric_value: str, message: str) -> float | None:
    if not metric_value.startswith("$"):
        return number_of(metric_value)
    return number_of(pattern.extract(message, metric_value))


def _dimensions(pattern: Pattern, selectors: Mapping[str, str], message: str) -> tuple[tuple[str, str], ...] | None:
    found = [(name, pattern.extract(message, selector)) for name, selector in sorted(selectors.items())]
    if any(not value for _, value in found):
        return None
    return tuple((name, value) for name, value in found if value is not None)

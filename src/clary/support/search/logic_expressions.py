"""Search's expressions over documents: filters, nested filters, sub-expressions. Pure.

A property is a path of member names: `ResourceConfig.InstanceType`. A path that meets a list looks at each of its
items. Four kinds of property have names of their own, not members: `Tags.<key>`, `Parameters.<key>` (of a feature),
`HyperParameters.<name>` and `Metrics.<name>` (the job's final metrics); their names may hold dots. `AllTags` and
`AllParameters` have each key and each value of these.

Values are compared as what the property is: numbers, booleans, timestamps (ISO 8601 or epoch seconds), or text.
Source: SearchExpression, Filter and NestedFilters in the SageMaker API reference.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from clary.kernel.core.errors import validation

Document = Mapping[str, Any]

_ALL = {"AllTags": "Tags", "AllParameters": "Parameters"}
_DEFAULT_OPERATOR = "Equals"
_VALUELESS = {"Exists", "NotExists"}
_ORDERINGS: dict[str, Callable[[Any, Any], bool]] = {
    "GreaterThan": lambda found, wanted: bool(found > wanted),
    "GreaterThanOrEqualTo": lambda found, wanted: bool(found >= wanted),
    "LessThan": lambda found, wanted: bool(found < wanted),
    "LessThanOrEqualTo": lambda found, wanted: bool(found <= wanted),
}


def matches(document: Document, expression: Mapping[str, Any]) -> bool:
    """Whether a document satisfies a SearchExpression; an empty one is satisfied by all.

    Raises ValidationException for a filter that makes no sense.
    """
    parts: list[Callable[[], bool]] = [
        *(lambda one=one: _filter(document, one) for one in expression.get("Filters") or ()),
        *(lambda one=one: _nested(document, one) for one in expression.get("NestedFilters") or ()),
        *(lambda one=one: matches(document, one) for one in expression.get("SubExpressions") or ()),
    ]
    if not parts:
        return True
    combine = any if expression.get("Operator") == "Or" else all
    return combine(part() for part in parts)


def check(expression: Mapping[str, Any]) -> None:
    """Raise ValidationException for filters that make no sense, whether or not there is anything to search."""
    for one in expression.get("Filters") or ():
        _check_filter(one)
    for nested in expression.get("NestedFilters") or ():
        for one in nested["Filters"]:
            _check_filter(one)
    for sub in expression.get("SubExpressions") or ():
        check(sub)


def sort_key(document: Document, name: str) -> tuple[int, float, str]:
    """Where a document stands when sorted by a property: numbers and times first, then text, then those without it."""
    value = next(values(document, name), None)
    if value is None:
        return 2, 0.0, ""
    if isinstance(value, bool | int | float):
        return 0, float(value), ""
    if isinstance(value, datetime):
        return 0, value.timestamp(), ""
    text = str(value)
    number = _number(text)
    return (1, 0.0, text) if number is None else (0, number, "")


def values(document: Document, name: str) -> Iterator[Any]:
    """Every value that a property has in a document."""
    family, _, own = name.partition(".")
    if own and family in ("Tags", "Parameters"):
        yield from (each["Value"] for each in document.get(family, ()) if each["Key"] == own)
    elif name in _ALL:
        yield from (each[part] for each in document.get(_ALL[name], ()) for part in ("Key", "Value"))
    elif own and family == "Metrics":
        final = document.get("FinalMetricDataList", ())
        yield from (metric["Value"] for metric in final if metric["MetricName"] == own)
    elif own and family == "HyperParameters":
        yield from (value for key, value in document.get("HyperParameters", {}).items() if key == own)
    else:
        yield from _at(document, name.split("."))


def _at(value: Any, path: Sequence[str]) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _at(item, path)
    elif not path:
        if value is not None:
            yield value
    elif isinstance(value, Mapping) and path[0] in value:
        yield from _at(value[path[0]], path[1:])


def _check_filter(one: Mapping[str, Any]) -> None:
    operator = one.get("Operator") or _DEFAULT_OPERATOR
    if operator in _VALUELESS and one.get("Value") is not None:
        raise validation(f"Filter on {one['Name']!r}: operator {operator} takes no Value.")
    if operator not in _VALUELESS and one.get("Value") is None:
        raise validation(f"Filter on {one['Name']!r}: operator {operator} needs a Value.")


def _filter(document: Document, one: Mapping[str, Any]) -> bool:
    return _holds(one, values(document, one["Name"]))


def _nested(document: Document, nested: Mapping[str, Any]) -> bool:
    """Whether one item of a list satisfies all of the filters, whose names begin with the list's."""
    name = nested["NestedPropertyName"]
    items: list[Any] = [document]
    for part in name.split("."):
        items = [found for item in items if isinstance(item, Mapping) for found in _items(item.get(part))]
    return any(all(_holds(one, _at(item, _below(name, one["Name"]))) for one in nested["Filters"]) for item in items)


def _items(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _below(name: str, full: str) -> list[str]:
    return full.removeprefix(f"{name}.").split(".")


def _holds(one: Mapping[str, Any], found: Iterator[Any]) -> bool:
    operator = one.get("Operator") or _DEFAULT_OPERATOR
    wanted = one.get("Value") or ""
    present = list(found)
    if operator == "Exists":
        return bool(present)
    if operator == "NotExists":
        return not present
    if operator == "NotEquals":
        return not any(_equal(value, wanted) for value in present)
    if operator == "In":
        options = [option.strip() for option in wanted.split(",")]
        return any(_equal(value, option) for value in present for option in options)
    if operator == "Contains":
        return any(wanted in str(value) for value in present)
    if operator == "Equals":
        return any(_equal(value, wanted) for value in present)
    return any(_ordered(_ORDERINGS[operator], value, wanted) for value in present)


def _equal(value: Any, wanted: str) -> bool:
    if isinstance(value, bool):
        return wanted.strip().lower() == str(value).lower()
    if isinstance(value, int | float | datetime):
        return _seconds_or_number(value) == _wanted_number(wanted)
    if value == wanted:
        return True
    number = _number(str(value))
    return number is not None and number == _number(wanted)


def _ordered(holds: Callable[[Any, Any], bool], value: Any, wanted: str) -> bool:
    """Only what has an order is compared: numbers, numbers in text (hyperparameters), and times."""
    if isinstance(value, bool):
        return False
    found = _seconds_or_number(value) if isinstance(value, int | float | datetime) else _number(str(value))
    limit = _wanted_number(wanted)
    return found is not None and limit is not None and holds(found, limit)


def _seconds_or_number(value: float | datetime) -> float:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    return float(value)


def _wanted_number(text: str) -> float | None:
    number = _number(text)
    if number is not None:
        return number
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None

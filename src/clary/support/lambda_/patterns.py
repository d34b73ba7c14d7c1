"""Filters of event source mappings: which records a function is called for.

    {"data": {"store": ["example_corp", {"prefix": "shop-"}], "price": [{"numeric": [">=", 100]}]}}

A record must have, for every key, one of its values; keys nest to any depth. Source: "Filter rule syntax" of the Lambda
developer guide, and EventBridge's event patterns.
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson

from clary.support.lambda_.names import invalid

_MOST_FILTERS = 10
_LONGEST_PATTERN = 4096
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_MISSING: Any = object()

Rule = Callable[[Any], bool]


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> Rule:
    """What says whether a document matches. Raises InvalidParameterValueException that says what is wrong with it."""
    if len(pattern) > _LONGEST_PATTERN:
        raise _wrong(f"it is longer than {_LONGEST_PATTERN} characters")
    try:
        found = orjson.loads(pattern)
    except orjson.JSONDecodeError as error:
        raise _wrong(f"it is not JSON: {error}") from None
    if not isinstance(found, dict) or not found:
        raise _wrong("it is not a JSON object with keys")
    return _all_of(found)


def filters_of(criteria: Mapping[str, Any] | None) -> list[Rule]:
    """The filters of a FilterCriteria; none means that everything matches. Raises InvalidParameterValueException."""
    filters = (criteria or {}).get("Filters") or []
    if len(filters) > _MOST_FILTERS:
        raise invalid(f"FilterCriteria has {len(filters)} filters: {_MOST_FILTERS} are allowed.")
    return [compiled(one.get("Pattern") or "") for one in filters]


def matches(rules: Sequence[Rule], document: Mapping[str, Any]) -> bool:
    return not rules or any(rule(document) for rule in rules)


def _all_of(pattern: Mapping[str, Any]) -> Rule:
    rules: list[tuple[str, Rule]] = []
    alternatives: list[list[Rule]] = []
    for key, wanted in pattern.items():
        if key == "$or" and isinstance(wanted, list):
            if not all(isinstance(one, dict) for one in wanted):
                raise _wrong("$or holds patterns")
            alternatives.append([_all_of(one) for one in wanted])
        elif isinstance(wanted, dict):
            rules.append((key, _nested(_all_of(wanted))))
        elif isinstance(wanted, list) and wanted:
            rules.append((key, _one_of([_test(one) for one in wanted])))
        else:
            raise _wrong(f"{key!r} must hold an object, or an array of values that is not empty")

    def rule(document: Any) -> bool:
        if not isinstance(document, dict):
            return False
        return all(each(document.get(key, _MISSING)) for key, each in rules) and all(
            any(each(document) for each in some) for some in alternatives
        )

    return rule


def _nested(rule: Rule) -> Rule:
    def of_any(value: Any) -> bool:
        if isinstance(value, list):
            return any(rule(one) for one in value)
        return rule({} if value is _MISSING else value)

    return of_any


def _one_of(tests: Sequence[Rule]) -> Rule:
    def any_test(value: Any) -> bool:
        values = value if isinstance(value, list) and value else [_MISSING if value == [] else value]
        return any(test(one) for test in tests for one in values)

    return any_test


def _test(wanted: Any) -> Rule:
    if not isinstance(wanted, dict):
        if isinstance(wanted, list):
            raise _wrong("arrays do not nest")
        return lambda value: (type(value) is type(wanted) and value == wanted) or _same_number(value, wanted)
    if len(wanted) != 1:
        raise _wrong("a comparison has one key")
    ((kind, given),) = wanted.items()
    if kind == "exists" and isinstance(given, bool):
        return lambda value: (value is not _MISSING) is given
    if kind == "prefix":
        return _text_test(given, str.startswith, kind)
    if kind == "suffix":
        return _text_test(given, str.endswith, kind)
    if kind == "equals-ignore-case" and isinstance(given, str):
        return lambda value: isinstance(value, str) and value.lower() == given.lower()
    if kind == "wildcard" and isinstance(given, str):
        shape = re.compile(".*".join(re.escape(part) for part in given.split("*")), re.DOTALL)
        return lambda value: isinstance(value, str) and shape.fullmatch(value) is not None
    if kind == "numeric" and isinstance(given, list):
        return _numeric(given)
    if kind == "anything-but":
        tests = [_test(one) for one in (given if isinstance(given, list) else [given])]
        return lambda value: value is not _MISSING and not any(test(value) for test in tests)
    raise _wrong(f"{kind!r} is no comparison that Clary knows, or has a value that does not suit it")


def _text_test(given: Any, holds: Callable[[str, str], bool], kind: str) -> Rule:
    if isinstance(given, dict) and given.keys() == {"equals-ignore-case"}:
        lowered = str(given["equals-ignore-case"]).lower()
        return lambda value: isinstance(value, str) and holds(value.lower(), lowered)
    if not isinstance(given, str):
        raise _wrong(f"{kind} takes a string")
    return lambda value: isinstance(value, str) and holds(value, given)


def _numeric(given: Sequence[Any]) -> Rule:
    pairs = list(zip(given[::2], given[1::2], strict=False))
    if not given or len(given) % 2 or any(name not in _COMPARISONS or not _is_number(bound) for name, bound in pairs):
        raise _wrong("numeric takes comparisons and numbers in turn")
    return lambda value: _is_number(value) and all(_COMPARISONS[name](value, bound) for name, bound in pairs)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same_number(value: Any, wanted: Any) -> bool:
    return _is_number(value) and _is_number(wanted) and bool(value == wanted)


def _wrong(why: str) -> Any:
    return invalid(f"Invalid filter pattern definition: {why}.")

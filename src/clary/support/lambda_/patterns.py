"""Filters of event source mappings: which records a function is called for.

    {"data": {"store": ["example_corp", {"prefix": "shop-"}], "price": [{"numeric": [">=", 100]}]}}

A record must have, for every key, one of its values; keys nest to any depth. Source: "Filter rule syntax" of the Lambda
developer guide, and EventBridge's event patterns.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson

from clary.kernel.core.errors import AwsError
from clary.kernel.core.event_patterns import Matcher, PatternError, compile_pattern
from clary.support.lambda_.names import invalid

_MOST_FILTERS = 10
_LONGEST_PATTERN = 4096


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> Matcher:
    """What says whether a document matches. Raises InvalidParameterValueException that says what is wrong with it."""
    if len(pattern) > _LONGEST_PATTERN:
        raise _wrong(f"it is longer than {_LONGEST_PATTERN} characters")
    try:
        found = orjson.loads(pattern)
    except orjson.JSONDecodeError as error:
        raise _wrong(f"it is not JSON: {error}") from None
    if not isinstance(found, dict) or not found:
        raise _wrong("it is not a JSON object with keys")
    try:
        return compile_pattern(found, mixed=True)
    except PatternError as error:
        raise _wrong(str(error)) from None


def filters_of(criteria: Mapping[str, Any] | None) -> list[Matcher]:
    """The filters of a FilterCriteria; none means that everything matches. Raises InvalidParameterValueException."""
    filters = (criteria or {}).get("Filters") or []
    if len(filters) > _MOST_FILTERS:
        raise invalid(f"FilterCriteria has {len(filters)} filters: {_MOST_FILTERS} are allowed.")
    return [compiled(one.get("Pattern") or "") for one in filters]


def matches(rules: Sequence[Matcher], document: Mapping[str, Any]) -> bool:
    return not rules or any(rule(document) for rule in rules)


def _wrong(why: str) -> AwsError:
    return invalid(f"Invalid filter pattern definition: {why}.")

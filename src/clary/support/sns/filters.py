"""Filter policies: which of a topic's messages a subscription wants.

    {"store": ["example_corp", {"prefix": "shop-"}], "price": [{"numeric": [">=", 100]}], "$or": [{...}, {...}]}

Every key must have one of its values; a policy is about a message's attributes or about its body, a JSON object that
policies follow to any depth. Source: "Message filtering" of the SNS developer guide.
"""

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

from clary.kernel.core.errors import AwsError
from clary.kernel.core.event_patterns import PatternError, compile_pattern, is_alternatives

ATTRIBUTES, BODY = "MessageAttributes", "MessageBody"

_MOST_KEYS = 5
_MOST_COMBINATIONS = 150
_LARGEST_POLICY_BYTES = 153_600
_OPAQUE = object()


class Filter:
    """A compiled policy."""

    def __init__(self, policy: Mapping[str, Any], scope: str) -> None:
        self._scope = scope
        if scope == ATTRIBUTES:
            _refuse_nesting(policy)
        self._matches = compile_pattern(policy, mixed=True) if policy else None

    def accepts(self, attributes: Mapping[str, Mapping[str, str]], body: str) -> bool:
        """Whether a message is wanted; one whose body is no JSON object matches no policy about bodies."""
        if self._scope == ATTRIBUTES:
            document = {name: _values_of(kept) for name, kept in attributes.items()}
        else:
            try:
                document = orjson.loads(body)
            except orjson.JSONDecodeError:
                return False
        return isinstance(document, dict) and (self._matches is None or self._matches(document))


@lru_cache(maxsize=2048)
def compile_filter(policy: str, scope: str) -> Filter:
    """Compile a policy. Raises InvalidParameter that says what is wrong with it."""
    if len(policy.encode()) > _LARGEST_POLICY_BYTES:
        raise _wrong(f"it has more than {_LARGEST_POLICY_BYTES} bytes")
    try:
        parsed = orjson.loads(policy)
    except orjson.JSONDecodeError:
        raise _wrong("failed to parse JSON") from None
    if not isinstance(parsed, dict):
        raise _wrong("it must be a JSON object")
    try:
        compiled = Filter(parsed, scope)
        keys, combinations = _size(parsed, 1)
    except PatternError as error:
        raise _wrong(str(error)) from None
    if keys > _MOST_KEYS:
        raise _too_much(f"Filter policy can not have more than {_MOST_KEYS} keys")
    if combinations > _MOST_COMBINATIONS:
        raise _too_much(f"Filter policy is too complex: it has {combinations} combinations, of {_MOST_COMBINATIONS}")
    return compiled


def _refuse_nesting(policy: Mapping[str, Any]) -> None:
    """Attributes hold no objects."""
    for key, wanted in policy.items():
        if is_alternatives(key, wanted):
            for each in wanted:
                _refuse_nesting(each)
        elif not isinstance(wanted, list):
            raise _wrong(f'Key "{key}" must be an array')


def _values_of(kept: Mapping[str, str]) -> Any:
    """What a message attribute offers to match: its text, its number, or the elements of its array."""
    text = kept.get("StringValue")
    if text is None:
        return _OPAQUE  # binary attributes are there, and match nothing
    if kept["DataType"].startswith("Number"):
        number = float(text)
        return number if math.isfinite(number) else _OPAQUE
    if kept["DataType"] == "String.Array":
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            return _OPAQUE
    return text


def _size(policy: Mapping[str, Any], depth: int) -> tuple[int, int]:
    """How many keys a policy has, and its combinations: the product of its alternatives, each times its depth."""
    keys, combinations = 0, 1
    for key, wanted in policy.items():
        if is_alternatives(key, wanted):
            sizes = [_size(each, depth) for each in wanted]
            keys += sum(size[0] for size in sizes)
            combinations *= sum(size[1] for size in sizes)
        elif isinstance(wanted, dict):
            inner = _size(wanted, depth + 1)
            keys += inner[0]
            combinations *= inner[1]
        else:
            keys += 1
            combinations *= len(wanted) * depth
    return keys, combinations


def _wrong(why: str) -> AwsError:
    return AwsError("InvalidParameter", f"Invalid parameter: FilterPolicy: {why}")


def _too_much(why: str) -> AwsError:
    return AwsError("FilterPolicyLimitExceeded", f"Invalid parameter: FilterPolicy: {why}", status=403)

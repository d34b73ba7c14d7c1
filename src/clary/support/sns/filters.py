"""Filter policies: which of a topic's messages a subscription wants.

    {"store": ["example_corp", {"prefix": "shop-"}], "price": [{"numeric": [">=", 100]}], "$or": [{...}, {...}]}

Every key must have one of its values; a policy is about a message's attributes or about its body, a JSON object that
policies follow to any depth. Source: "Message filtering" of the SNS developer guide.
"""

import ipaddress
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson

from clary.kernel.core.errors import AwsError

ATTRIBUTES, BODY = "MessageAttributes", "MessageBody"

_MOST_KEYS = 5
_MOST_COMBINATIONS = 150
_LARGEST_POLICY_BYTES = 153_600
_LEAST_ALTERNATIVES = 2
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_MISSING: list[Any] = []

Test = Callable[[Any], bool]
Rule = Callable[[Any], bool]


class Filter:
    """A compiled policy."""

    def __init__(self, policy: Mapping[str, Any], scope: str) -> None:
        self._scope = scope
        self._rule = _all_of(policy, nests=scope == BODY)

    def accepts(self, attributes: Mapping[str, Mapping[str, str]], body: str) -> bool:
        """Whether a message is wanted; one whose body is no JSON object matches no policy about bodies."""
        if self._scope == ATTRIBUTES:
            return self._rule({name: _values_of(kept) for name, kept in attributes.items()})
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError:
            return False
        return isinstance(document, dict) and self._rule(document)


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
    except RecursionError:
        raise _wrong("it is nested too deeply") from None
    if keys > _MOST_KEYS:
        raise _too_much(f"Filter policy can not have more than {_MOST_KEYS} keys")
    if combinations > _MOST_COMBINATIONS:
        raise _too_much(f"Filter policy is too complex: it has {combinations} combinations, of {_MOST_COMBINATIONS}")
    return compiled


def _all_of(policy: Mapping[str, Any], *, nests: bool) -> Rule:
    rules: list[Rule] = []
    for key, wanted in policy.items():
        if key == "$or" and _is_alternatives(wanted):
            rules.append(_any_of([_all_of(each, nests=nests) for each in wanted]))
        elif isinstance(wanted, list):
            rules.append(_leaf(key, wanted))
        elif isinstance(wanted, dict) and nests:
            rules.append(_below(key, _all_of(wanted, nests=True)))
        else:
            raise _wrong(f'"{key}" must be an object or an array' if nests else f'Key "{key}" must be an array')
    return lambda document: all(rule(document) for rule in rules)


def _any_of(rules: Sequence[Rule]) -> Rule:
    return lambda document: any(rule(document) for rule in rules)


def _is_alternatives(wanted: Any) -> bool:
    return (
        isinstance(wanted, list)
        and len(wanted) >= _LEAST_ALTERNATIVES
        and all(isinstance(each, dict) and each for each in wanted)
    )


def _leaf(key: str, wanted: Sequence[Any]) -> Rule:
    if not wanted:
        raise _wrong(f'Empty arrays are not allowed: "{key}"')
    presence = [each["exists"] for each in wanted if isinstance(each, dict) and each.keys() == {"exists"}]
    if not all(isinstance(each, bool) for each in presence):
        raise _wrong('the value of "exists" must be true or false')
    tests = [_test(each) for each in wanted if not (isinstance(each, dict) and "exists" in each and len(each) == 1)]

    def rule(document: Any) -> bool:
        if key not in document:
            return False in presence
        values = _flattened(document[key])
        return True in presence or any(test(value) for value in values for test in tests)

    return rule


def _below(key: str, rule: Rule) -> Rule:
    def follow(document: Any) -> bool:
        value = document.get(key, {})
        inner = value if isinstance(value, list) else [value]
        return any(rule(each) for each in inner if isinstance(each, dict))

    return follow


def _test(wanted: Any) -> Test:
    if not isinstance(wanted, dict):
        return _exactly(wanted)
    if len(wanted) != 1:
        raise _wrong("a pattern must have exactly one operator")
    ((name, value),) = wanted.items()
    if name == "anything-but":
        return _anything_but(value)
    if name == "numeric":
        return _numeric(value)
    if name == "cidr":
        return _cidr(value)
    return _text_test(name, value)


def _exactly(wanted: Any) -> Test:
    if isinstance(wanted, list):
        raise _wrong("Match value must be String, number, true, false, or null")
    if _is_number(wanted):
        return lambda value: _is_number(value) and float(value) == float(wanted)
    return lambda value: type(value) is type(wanted) and value == wanted


def _text_test(name: str, wanted: Any) -> Test:
    if name not in {"prefix", "suffix", "equals-ignore-case", "wildcard"}:
        raise _wrong(f"Unrecognized match type {name}")
    if not isinstance(wanted, str) or not wanted:
        raise _wrong(f"{name} match pattern must be a non-empty string")
    if name == "prefix":
        return lambda value: isinstance(value, str) and value.startswith(wanted)
    if name == "suffix":
        return lambda value: isinstance(value, str) and value.endswith(wanted)
    if name == "equals-ignore-case":
        return lambda value: isinstance(value, str) and value.casefold() == wanted.casefold()
    if "**" in wanted:
        raise _wrong("Consecutive wildcard characters are not allowed")
    pattern = re.compile(".*".join(map(re.escape, wanted.split("*"))), re.DOTALL)
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _anything_but(unwanted: Any) -> Test:
    if isinstance(unwanted, dict):
        if len(unwanted) != 1:
            raise _wrong("anything-but must have exactly one operator")
        ((name, value),) = unwanted.items()
        values = value if isinstance(value, list) else [value]
        tests = [_text_test(name, each) for each in values]
    else:
        values = unwanted if isinstance(unwanted, list) else [unwanted]
        if not values or not all(isinstance(each, str) or _is_number(each) for each in values):
            raise _wrong("anything-but needs strings or numbers")
        tests = [_exactly(each) for each in values]
    return lambda value: value is not None and not any(test(value) for test in tests)


def _numeric(conditions: Any) -> Test:
    if not isinstance(conditions, list) or len(conditions) not in {2, 4}:
        raise _wrong("numeric must be a list of one or two operators, each followed by a number")
    names, numbers = conditions[::2], conditions[1::2]
    if not all(isinstance(name, str) and name in _COMPARISONS for name in names) or not all(map(_is_number, numbers)):
        raise _wrong("numeric knows =, <, <=, > and >=, each followed by a number")
    if len(names) > 1 and not (names[0] in {">", ">="} and names[1] in {"<", "<="} and numbers[0] < numbers[1]):
        raise _wrong("a numeric range has a bottom, > or >=, and behind it a greater top, < or <=")
    return lambda value: (
        _is_number(value)
        and all(_COMPARISONS[name](float(value), float(number)) for name, number in zip(names, numbers, strict=True))
    )


def _cidr(wanted: Any) -> Test:
    try:
        network = ipaddress.ip_network(wanted, strict=False)
    except ValueError:
        raise _wrong(f"{wanted!r} is not a CIDR block") from None

    def test(value: Any) -> bool:
        try:
            return isinstance(value, str) and ipaddress.ip_address(value) in network
        except ValueError:
            return False

    return test


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _flattened(value: Any) -> list[Any]:
    if not isinstance(value, list):
        return [value]
    return [inner for each in value for inner in _flattened(each)]


def _values_of(kept: Mapping[str, str]) -> Any:
    """What a message attribute offers to match: its text, its number, or the elements of its array."""
    text = kept.get("StringValue")
    if text is None:
        return _MISSING  # binary attributes are there, and match nothing
    if kept["DataType"].startswith("Number"):
        number = float(text)
        return number if math.isfinite(number) else _MISSING
    if kept["DataType"] == "String.Array":
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            return _MISSING
    return text


def _size(policy: Mapping[str, Any], depth: int) -> tuple[int, int]:
    """How many keys a policy has, and its combinations: the product of its alternatives, each times its depth."""
    keys, combinations = 0, 1
    for key, wanted in policy.items():
        if key == "$or" and _is_alternatives(wanted):
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

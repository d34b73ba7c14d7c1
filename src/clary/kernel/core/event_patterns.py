"""Event patterns: which JSON documents a rule, a subscription or a mapping wants. Pure.

    {"source": ["aws.s3"], "detail": {"size": [{"numeric": [">", 0]}], "key": [{"prefix": "in/"}, {"exists": false}]}}

Every key must have one of its values; keys nest to any depth. What holds beyond that, as in AWS's own Event Ruler:

- An array offers each of its elements. Conditions on several keys of objects in an array hold for one and the same
  object.
- Only scalars count: a key that holds an object or an empty array is not there for `exists`, and a key is absent only
  when no object of any array has it.
- Numbers are equal by value, whatever their spelling; nothing else is equal across types.

Source: "Comparison operators for use in event patterns" of the EventBridge user guide.
"""

import ipaddress
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Matcher = Callable[[Any], bool]
Test = Callable[[Any], bool]
Rule = Callable[[Any, Any], bool]
"""Holds for an object, given the whole document too, in which alone one can see that a key is absent."""

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_OPERATORS = frozenset(
    ("exists", "prefix", "suffix", "equals-ignore-case", "wildcard", "anything-but", "numeric", "cidr")
)
_TEXTUAL = ("prefix", "suffix", "equals-ignore-case", "wildcard")
_LARGEST_NUMBER = 5.0e9
_LEAST_ALTERNATIVES = 2
_MOST_LEVELS = 100


class PatternError(ValueError):
    """A pattern that means nothing; says why."""


def compile_pattern(pattern: Any, *, mixed: bool = False) -> Matcher:
    """What says whether a JSON object matches. Raises PatternError.

    With `mixed`, one anything-but may hold strings and numbers.
    """
    if not isinstance(pattern, dict):
        raise PatternError("Filter is not an object")
    rule = _Compiler(mixed).all_of(pattern, ())
    return lambda document: rule(document, document)


def is_alternatives(key: str, wanted: Any) -> bool:
    """Whether a key of a pattern holds alternatives, not the values of a member that happens to be called `$or`."""
    return (
        key == "$or"
        and isinstance(wanted, list)
        and len(wanted) >= _LEAST_ALTERNATIVES
        and all(isinstance(each, dict) and each and not each.keys() <= _OPERATORS for each in wanted)
    )


class _Compiler:
    def __init__(self, mixed: bool) -> None:
        self._mixed = mixed

    def all_of(self, pattern: Mapping[str, Any], path: tuple[str, ...]) -> Rule:
        if not pattern:
            raise PatternError("Empty objects are not allowed")
        if len(path) > _MOST_LEVELS:
            raise PatternError("it is nested too deeply")
        rules: list[Rule] = []
        for key, wanted in pattern.items():
            if is_alternatives(key, wanted):
                rules.append(_any_of([self.all_of(each, path) for each in wanted]))
            elif isinstance(wanted, dict):
                rules.append(_below(key, self.all_of(wanted, (*path, key))))
            elif isinstance(wanted, list):
                rules.append(self._leaf(key, wanted, (*path, key)))
            else:
                raise PatternError(f'"{key}" must be an object or an array')
        if len(rules) == 1:
            return rules[0]
        return lambda node, root: all(rule(node, root) for rule in rules)

    def _leaf(self, key: str, wanted: Sequence[Any], path: tuple[str, ...]) -> Rule:
        if not wanted:
            raise PatternError("Empty arrays are not allowed")
        tests: list[Test] = []
        exact: set[str] = set()
        absent = False
        for each in wanted:
            if isinstance(each, str):
                exact.add(each)
            elif isinstance(each, dict) and each.keys() == {"exists"}:
                if not isinstance(each["exists"], bool):
                    raise PatternError("exists match pattern must be either true or false.")
                absent = absent or not each["exists"]
                if each["exists"]:
                    tests.append(_anything)
            else:
                tests.append(self._test(each))

        def rule(node: Any, root: Any) -> bool:
            found = node.get(key) if isinstance(node, dict) else None
            if isinstance(found, str):  # by far the most frequent
                if found in exact or any(test(found) for test in tests):
                    return True
            elif found is not None or (isinstance(node, dict) and key in node):
                for value in _scalars(found):
                    if (isinstance(value, str) and value in exact) or any(test(value) for test in tests):
                        return True
            return absent and not _is_there(root, path)

        return rule

    def _test(self, wanted: Any) -> Test:
        if not isinstance(wanted, dict):
            return _exactly(wanted)
        if len(wanted) != 1:
            raise PatternError(
                "Only one key allowed in match expression" if wanted else "Empty objects are not allowed"
            )
        ((name, value),) = wanted.items()
        if name == "anything-but":
            return self._anything_but(value)
        if name == "numeric":
            return _numeric(value)
        if name == "cidr":
            return _cidr(value)
        if name not in _TEXTUAL:
            raise PatternError(f"Unrecognized match type {name}")
        return _text_test(name, value)

    def _anything_but(self, unwanted: Any) -> Test:
        if isinstance(unwanted, dict):
            tests = _unwanted_texts(unwanted)
            return lambda value: not any(test(value) for test in tests)
        values = unwanted if isinstance(unwanted, list) else [unwanted]
        if not values:
            raise PatternError("Empty arrays are not allowed")
        if not all(isinstance(each, str) or _is_number(each) for each in values):
            where = "Inside anything but list, start|null|boolean is not supported."
            single = "Value of anything-but must be an array or single string/number value."
            raise PatternError(where if isinstance(unwanted, list) else single)
        if not self._mixed and len({isinstance(each, str) for each in values}) > 1:
            raise PatternError(
                "Inside anything but list, either all values are number or string, mixed type is not supported"
            )
        texts = frozenset(each for each in values if isinstance(each, str))
        numbers = frozenset(float(_in_range(each)) for each in values if not isinstance(each, str))

        def test(value: Any) -> bool:
            if isinstance(value, str):
                return value not in texts
            return not (_is_number(value) and float(value) in numbers)

        return test


def _anything(value: Any) -> bool:
    return True


def _any_of(rules: Sequence[Rule]) -> Rule:
    return lambda node, root: any(rule(node, root) for rule in rules)


def _below(key: str, rule: Rule) -> Rule:
    nothing: dict[str, Any] = {}

    def follow(node: Any, root: Any) -> bool:
        found = node.get(key, nothing) if isinstance(node, dict) else nothing
        if isinstance(found, list):
            objects = [each for each in _elements(found) if isinstance(each, dict)]
            return any(rule(each, root) for each in objects or (nothing,))
        return rule(found, root)

    return follow


def _elements(values: Sequence[Any]) -> Iterator[Any]:
    for each in values:
        if isinstance(each, list):
            yield from _elements(each)
        else:
            yield each


def _scalars(value: Any) -> Iterator[Any]:
    """What a key offers to match: itself, or the scalars in its array."""
    for each in _elements(value if isinstance(value, list) else (value,)):
        if not isinstance(each, dict):
            yield each


def _is_there(node: Any, path: Sequence[str]) -> bool:
    """Whether any object that `path` leads to holds a scalar at its end."""
    if not path:
        return any(True for _ in _scalars(node))
    nodes = _elements(node) if isinstance(node, list) else (node,)
    return any(_is_there(each[path[0]], path[1:]) for each in nodes if isinstance(each, dict) and path[0] in each)


def _exactly(wanted: Any) -> Test:
    if isinstance(wanted, list):
        raise PatternError("Match value must be String, number, true, false, or null")
    if _is_number(wanted):
        number = float(_in_range(wanted))
        return lambda value: _is_number(value) and float(value) == number
    return lambda value: value is wanted  # true, false or null


def _text_test(name: str, wanted: Any) -> Test:
    if name in {"prefix", "suffix"} and isinstance(wanted, dict):
        if wanted.keys() != {"equals-ignore-case"} or not isinstance(wanted["equals-ignore-case"], str):
            raise PatternError(f"{name} match pattern must be a string")
        folded = _folded(wanted["equals-ignore-case"])
        if name == "prefix":
            return lambda value: isinstance(value, str) and _folded(value).startswith(folded)
        return lambda value: isinstance(value, str) and _folded(value).endswith(folded)
    if not isinstance(wanted, str):
        raise PatternError(f"{name} match pattern must be a string")
    if name == "prefix":
        return lambda value: isinstance(value, str) and value.startswith(wanted)
    if name == "suffix":
        return lambda value: isinstance(value, str) and value.endswith(wanted)
    if name == "equals-ignore-case":
        lowered = _folded(wanted)
        return lambda value: isinstance(value, str) and _folded(value) == lowered
    fits = _wildcard(wanted).fullmatch
    return lambda value: isinstance(value, str) and fits(value) is not None


def _folded(text: str) -> str:
    return text.upper().lower()


def _wildcard(wanted: str) -> re.Pattern[str]:
    """`*` is any text, also none; behind a backslash, it and the backslash are themselves."""
    parts: list[str] = []
    position = 0
    while position < len(wanted):
        character = wanted[position]
        if character == "\\":
            position += 1
            if wanted[position : position + 1] not in {"*", "\\"}:
                raise PatternError(f"Invalid escape character at pos {position - 1}")
            parts.append(re.escape(wanted[position]))
        elif character == "*":
            if wanted[position + 1 : position + 2] == "*":
                raise PatternError(f"Consecutive wildcard characters at pos {position}")
            parts.append("*")
        else:
            parts.append(re.escape(character))
        position += 1
    # Atomic groups: each `*` takes the least that lets the next piece follow, and is never asked again.
    pieces: list[list[str]] = [[]]
    for part in parts:
        if part == "*":
            pieces.append([])
        else:
            pieces[-1].append(part)
    first, *rest = ("".join(piece) for piece in pieces)
    if not rest:
        return re.compile(first, re.DOTALL)
    *middle, last = rest
    return re.compile(first + "".join(f"(?>.*?{piece})" for piece in middle) + ".*" + last, re.DOTALL)


def _unwanted_texts(unwanted: Mapping[str, Any]) -> list[Test]:
    if len(unwanted) != 1:
        raise PatternError("Only one key allowed in match expression")
    ((name, value),) = unwanted.items()
    if name not in _TEXTUAL:
        raise PatternError(f"Unsupported anything-but pattern: {name}")
    values = value if isinstance(value, list) else [value]
    if not values:
        raise PatternError("Empty arrays are not allowed")
    if name in {"prefix", "suffix"} and "" in values:
        raise PatternError(f"Null {name} not allowed")
    return [_text_test(name, each) for each in values]


def _numeric(conditions: Any) -> Test:
    if not isinstance(conditions, list):
        raise PatternError("Value of numeric must be an array.")
    if len(conditions) not in {2, 4}:
        many = len(conditions) > 4
        raise PatternError("Too many elements in numeric expression" if many else "Invalid member in numeric match")
    names, numbers = conditions[::2], conditions[1::2]
    for name, number in zip(names, numbers, strict=True):
        if not isinstance(name, str) or name not in _COMPARISONS:
            raise PatternError(f"Unrecognized numeric range operator: {name}")
        if not _is_number(number):
            raise PatternError(f"Value of {name} must be numeric")
        _in_range(number)
    if len(names) > 1:
        if not (names[0] in {">", ">="} and names[1] in {"<", "<="}):
            raise PatternError(f"Bad numeric range operator: {names[1]}")
        if not numbers[0] < numbers[1]:
            raise PatternError("Bottom must be less than top")
    bounds = [(_COMPARISONS[name], float(number)) for name, number in zip(names, numbers, strict=True)]
    return lambda value: _is_number(value) and all(holds(float(value), bound) for holds, bound in bounds)


def _cidr(wanted: Any) -> Test:
    if not isinstance(wanted, str):
        raise PatternError("prefix match pattern must be a string")
    try:
        network = ipaddress.ip_network(wanted, strict=False)
    except ValueError:
        raise PatternError(f"Malformed CIDR: {wanted}") from None

    def test(value: Any) -> bool:
        try:
            return isinstance(value, str) and ipaddress.ip_address(value) in network
        except ValueError:
            return False

    return test


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _in_range(number: float) -> float:
    if not -_LARGEST_NUMBER <= number <= _LARGEST_NUMBER:
        raise PatternError("Value must be between -5.0E9 and 5.0E9, inclusive")
    return number

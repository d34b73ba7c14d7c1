"""Whether conditions hold.

Numbers are compared as numbers whatever their type, and text with text, by its characters. A value from a JSON file or
a step's output that is text and looks like a number counts as one beside a number. What cannot be compared, as text
with a boolean, or booleans by size, fails the step with the reason.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from clary.systems.pipelines.language.compound import COMPARISONS, MEMBERSHIPS, condition_members
from clary.systems.pipelines.language.errors import Unresolvable
from clary.systems.pipelines.language.texts import as_boolean, as_number
from clary.systems.pipelines.language.values import Scope, resolve

_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "Equals": eq,
    "NotEquals": ne,
    "GreaterThan": gt,
    "GreaterThanOrEqualTo": ge,
    "LessThan": lt,
    "LessThanOrEqualTo": le,
}
_BY_SIZE = ("GreaterThan", "GreaterThanOrEqualTo", "LessThan", "LessThanOrEqualTo")


def holds(conditions: Sequence[Mapping[str, Any]], scope: Scope) -> bool:
    """Whether all of the conditions of a step hold; none is true. Raises Unresolvable.

    They are looked at in their order, and no further than decides it.
    """
    return all(_holds(condition, scope) for condition in conditions)


def _holds(condition: Mapping[str, Any], scope: Scope) -> bool:
    operator = condition["Type"]
    if operator == "Not":
        return not _holds(condition["Condition"], scope)
    if operator == "Or":
        return any(_holds(each, scope) for each in condition["Conditions"])
    first, second = condition_members(condition)
    left = _single(resolve(condition[first], scope), first)
    if operator in MEMBERSHIPS:
        found = any(_member(left, _single(resolve(item, scope), second)) for item in condition[second])
        return found if operator == "In" else not found
    assert operator in COMPARISONS
    return compare(operator, left, _single(resolve(condition[second], scope), second))


def _single(value: Any, name: str) -> Any:
    if not isinstance(value, str | bool | int | float):
        raise Unresolvable(name, "it is not a single value, and cannot be compared")
    return value


def compare(operator: str, left: Any, right: Any) -> bool:
    """`left` against `right`. Raises Unresolvable where they are of types that do not compare."""
    left, right = _alike(left, right)
    kinds = _kind(left), _kind(right)
    if kinds[0] != kinds[1] or (operator in _BY_SIZE and kinds[0] == "boolean"):
        raise Unresolvable(
            f"The condition {operator}",
            f"LeftValue {_shown(left)} of type {kinds[0]} and RightValue {_shown(right)} of type {kinds[1]} "
            "do not compare",
        )
    return _OPERATORS[operator](left, right)


def _member(query: Any, value: Any) -> bool:
    query, value = _alike(query, value)
    return _kind(query) == _kind(value) and bool(query == value)


def _alike(left: Any, right: Any) -> tuple[Any, Any]:
    """Text beside a number or a boolean as such, where it reads as one."""
    if isinstance(left, str) and not isinstance(right, str):
        return _read(left, right), right
    if isinstance(right, str) and not isinstance(left, str):
        return left, _read(right, left)
    return left, right


def _read(text: str, beside: Any) -> Any:
    found = as_boolean(text) if isinstance(beside, bool) else as_number(text)
    return text if found is None else found


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "string" if isinstance(value, str) else "number"


def _shown(value: Any) -> str:
    return repr(value)[:100]

"""Metric math: working out the tree of an expression over time series. Pure."""

import math
import operator
from collections.abc import Callable, Mapping, Sequence

from clary.support.cloudwatch.expressions import (
    Array,
    Binary,
    Call,
    ExpressionError,
    Node,
    Number,
    Reference,
    Text,
    Word,
)
from clary.support.cloudwatch.functions import FUNCTIONS
from clary.support.cloudwatch.values import Argument, Setting, Value, as_list, combine


def calculate(node: Node, setting: Setting) -> Value:
    """The value of an expression. Raises ExpressionError."""
    found = _argument(node, setting)
    if isinstance(found, str):
        raise ExpressionError(f"'{found}' is neither a number nor a time series")
    return found


def _argument(node: Node, setting: Setting) -> Argument:
    match node:
        case Number(value):
            return value
        case Text(value) | Word(value):
            return value
        case Reference(id):
            if id not in setting.values:
                raise ExpressionError(f"there is no query with the id '{id}'")
            return setting.values[id]
        case Array(elements):
            return [series for element in elements for series in as_list(_argument(element, setting))]
        case Binary(sign, left, right):
            return combine(calculate(left, setting), calculate(right, setting), _SIGNS[sign])
        case Call(name, arguments):
            return _call(name, [_argument(argument, setting) for argument in arguments], setting)


def _call(name: str, arguments: Sequence[Argument], setting: Setting) -> Value:
    function = FUNCTIONS.get(name)
    if function is None:
        raise ExpressionError(f"the function {name} is not supported by Clary")
    try:
        return function(setting, arguments)
    except OverflowError:
        raise ExpressionError(f"{name} gives a number that is too large") from None


def _power(left: float, right: float) -> float | None:
    try:
        raised = math.pow(left, right)
    except (ValueError, OverflowError):
        return None
    return raised


def _finite(change: Callable[[float, float], float]) -> Callable[[float, float], float | None]:
    def changed(left: float, right: float) -> float | None:
        number = change(left, right)
        return number if math.isfinite(number) else None

    return changed


_SIGNS: Mapping[str, Callable[[float, float], float | None]] = {
    "+": _finite(operator.add),
    "-": _finite(operator.sub),
    "*": _finite(operator.mul),
    "/": _finite(lambda left, right: left / right if right else math.inf),
    "^": _power,
    "==": lambda left, right: float(left == right),
    "!=": lambda left, right: float(left != right),
    "<": lambda left, right: float(left < right),
    ">": lambda left, right: float(left > right),
    "<=": lambda left, right: float(left <= right),
    ">=": lambda left, right: float(left >= right),
    "&&": lambda left, right: float(bool(left) and bool(right)),
    "||": lambda left, right: float(bool(left) or bool(right)),
}

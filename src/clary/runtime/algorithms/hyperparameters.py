"""Hyperparameters of built-in algorithms: declared once, checked once, with messages that name what was wrong.

SCHEMA = Schema("XGBoost", [Hyperparameter("eta", number(0, 1)), ...])
values = SCHEMA.parse({"eta": "0.2"})        # {"eta": 0.2}; only what was given
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clary.runtime.errors import CustomerError


class Invalid(ValueError):
    """A value does not fit; the schema puts the hyperparameter's name and the valid values around it."""


@dataclass(frozen=True)
class Kind:
    """How to read a value, and how to say what is valid."""

    read: Callable[[str], Any]
    valid: str


@dataclass(frozen=True)
class Hyperparameter:
    """One hyperparameter. `obsolete` says why a valid value is accepted, as documented, and has no effect."""

    name: str
    kind: Kind
    required: bool = False
    obsolete: str = ""


@dataclass(frozen=True)
class Schema:
    algorithm: str
    hyperparameters: Sequence[Hyperparameter]

    def parse(self, given: Mapping[str, str]) -> dict[str, Any]:
        """The typed values of what was given. Raises CustomerError that lists every problem, not only the first."""
        known = {hyperparameter.name: hyperparameter for hyperparameter in self.hyperparameters}
        problems = [f"{name} is not a hyperparameter of {self.algorithm}" for name in sorted(set(given) - set(known))]
        values: dict[str, Any] = {}
        for name, hyperparameter in known.items():
            if name not in given:
                if hyperparameter.required:
                    problems.append(f"{name} is required; valid values: {hyperparameter.kind.valid}")
                continue
            text = unquoted(given[name])
            try:
                value = hyperparameter.kind.read(text)
            except ValueError:
                problems.append(f"{name} is {text!r}; valid values: {hyperparameter.kind.valid}")
                continue
            if hyperparameter.obsolete:
                print(f"hyperparameter {name}={text} has no effect: {hyperparameter.obsolete}", flush=True)
            else:
                values[name] = value
        if problems:
            raise CustomerError("Customer Error: hyperparameters are wrong: " + "; ".join(problems))
        return values


def unquoted(text: str) -> str:
    """The string inside a JSON string, since SDKs quote hyperparameters in script mode and not otherwise."""
    if len(text) > 1 and text[0] == text[-1] == '"':
        try:
            return str(json.loads(text))
        except ValueError:
            return text
    return text.strip()


def integer(low: int | None = None, high: int | None = None) -> Kind:
    def read(text: str) -> int:
        number = float(text)
        if not number.is_integer() or (low is not None and number < low) or (high is not None and number > high):
            raise Invalid
        return int(number)

    return Kind(read, f"integer{_range(low, high, '[', ']')}")


def number(low: float | None = None, high: float | None = None, bounds: str = "[]") -> Kind:
    """`bounds` tells which ends belong to the range: `(]` is without the lower one."""

    def read(text: str) -> float:
        value = float(text)
        if not math.isfinite(value) or "_" in text:
            raise Invalid
        if low is not None and (value < low or (bounds[0] == "(" and value == low)):
            raise Invalid
        if high is not None and (value > high or (bounds[1] == ")" and value == high)):
            raise Invalid
        return value

    return Kind(read, f"float{_range(low, high, *bounds)}")


def choice(*options: str) -> Kind:
    def read(text: str) -> str:
        if text not in options:
            raise Invalid
        return text

    return Kind(read, "one of " + ", ".join(options))


def flag() -> Kind:
    def read(text: str) -> int:
        try:
            return {"0": 0, "1": 1, "false": 0, "true": 1}[text.lower()]
        except KeyError:
            raise Invalid from None

    return Kind(read, "0, 1, true or false")


def text(valid: str) -> Kind:
    def read(value: str) -> str:
        if not value:
            raise Invalid
        return value

    return Kind(read, valid)


def names(valid: str) -> Kind:
    """A comma-separated list, or a JSON list of strings."""

    def read(value: str) -> list[str]:
        items = json.loads(value) if value.startswith("[") else value.split(",")
        items = [str(item).strip() for item in items]
        if not items or not all(items):
            raise Invalid
        return items

    return Kind(read, valid)


def integers(options: Sequence[int]) -> Kind:
    """A tuple written `(1,0,-1)` or `[1,0,-1]`."""

    def read(value: str) -> list[int]:
        items = json.loads("[" + value.strip().strip("()[]").rstrip(", ") + "]")
        if not items or any(item not in options for item in items):
            raise Invalid
        return [int(item) for item in items]

    return Kind(read, f"tuple of {', '.join(map(str, options))}, such as (1, 0)")


def nested_integers() -> Kind:
    """A nested list such as [[0, 2], [1, 3, 4]]."""

    def read(value: str) -> list[list[int]]:
        groups = json.loads(value)
        if not isinstance(groups, list) or not all(
            isinstance(group, list) and all(isinstance(item, int) and item >= 0 for item in group) for group in groups
        ):
            raise Invalid
        return groups

    return Kind(read, "nested list of feature numbers, such as [[0, 2], [1, 3, 4]]")


def _range(low: float | None, high: float | None, opening: str, closing: str) -> str:
    if low is None and high is None:
        return ""
    lower = f"{opening}{low:g}" if low is not None else "(-inf"
    upper = f"{high:g}{closing}" if high is not None else "inf)"
    return f" in {lower}, {upper}"

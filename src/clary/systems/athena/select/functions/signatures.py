"""Signatures of functions as lines of text, `contains(array(T), T) -> boolean: list_contains({0}, {1})`, and which of
them takes given types. `T`, `K`, `V` ... stand for types; `...` repeats the last argument; `?` ends optional ones."""

import re
from dataclasses import dataclass, field

from clary.systems.athena.select.types import ZONED, T, becomes, common, duckdb

_LINE = re.compile(r"(\w+)\((.*?)\) -> (.*?): (.*)")
_VARIABLE = re.compile(r"[A-Z]")
_WIDENING = ("tinyint", "smallint", "integer", "bigint", "decimal", "real", "double")
_DEFAULTS = {"timestamp": (3,), "time": (3,), ZONED: (3,)}


@dataclass(frozen=True, slots=True)
class Overload:
    """A function's signature and its SQL."""

    name: str
    arguments: tuple[T, ...]
    result: T
    template: str
    variadic: bool
    written: str

    def __str__(self) -> str:
        return self.written

    def match(self, types: list[T | None]) -> "Match | None":
        """How the overload takes arguments of these types (None: a lambda), if it does."""
        patterns = list(self.arguments)
        if self.variadic and len(types) >= len(patterns):
            patterns += [patterns[-1]] * (len(types) - len(patterns))
        if len(patterns) != len(types):
            return None
        found = Match(self, tuple(patterns))
        for pattern, kind in zip(patterns, types, strict=True):
            if (kind is None) != (pattern.name == "function"):
                return None
            if kind is not None and not found.bind(pattern, kind):
                return None
        return found


@dataclass(slots=True)
class Match:
    """An overload with the types that its variables stand for."""

    overload: Overload
    patterns: tuple[T, ...]
    bound: dict[str, T] = field(default_factory=dict)
    cost: int = 0

    def bind(self, pattern: T, kind: T) -> bool:
        """Have a pattern take a type; False where it does not."""
        if _VARIABLE.fullmatch(pattern.name):
            before = self.bound.get(pattern.name)
            found = kind if before is None else common(before, kind)
            if found is None:
                return False
            self.cost += before is not None and before != kind
            self.bound[pattern.name] = found
            return True
        if kind.name == "unknown":
            self.cost += 1
            for each in pattern.children:
                self.bind(each, kind)
            return True
        if pattern.children:
            if pattern.name != kind.name or len(pattern.children) != len(kind.children):
                return False
            return all(self.bind(one, other) for one, other in zip(pattern.children, kind.children, strict=True))
        if pattern.name == kind.name:
            return True
        if not becomes(kind, _default(pattern)) and not (pattern.name == "decimal" and kind.is_integer):
            return False
        self.cost += 1
        if pattern.name in _WIDENING and kind.name in _WIDENING:
            self.cost += _WIDENING.index(pattern.name) - _WIDENING.index(kind.name)
        return True

    def substituted(self, pattern: T, kind: T | None = None) -> T:
        """The type that a pattern stands for, where it took `kind`."""
        if _VARIABLE.fullmatch(pattern.name):
            return self.bound[pattern.name]
        if pattern.children:
            inner = kind.children if kind is not None and kind.children else (None,) * len(pattern.children)
            children = tuple(self.substituted(a, b) for a, b in zip(pattern.children, inner, strict=True))
            return T(pattern.name, pattern.numbers, children, pattern.names)
        if kind is not None and kind.name == pattern.name:
            return kind
        return _default(pattern)

    def sql(self, texts: list[str]) -> str:
        """The overload's SQL of these arguments."""
        return self.sql_with(texts, {})

    def sql_with(self, texts: list[str], parts: dict[str, str]) -> str:
        """The overload's SQL of these arguments, with more that its template names."""
        types = {name: duckdb(kind) for name, kind in self.bound.items()}
        result = duckdb(self.substituted(self.overload.result))
        rest = ", ".join(texts[len(self.overload.arguments) - 1 :])
        return self.overload.template.format(*texts, R=result, rest=rest, all=", ".join(texts), **types, **parts)


def overloads_of(lines: str) -> dict[str, list[Overload]]:
    """The overloads that lines describe, by the functions' names."""
    found: dict[str, list[Overload]] = {}
    for line in filter(None, map(str.strip, lines.splitlines())):
        matched = _LINE.fullmatch(line)
        if matched is None:
            raise ValueError(f"not a signature: {line}")
        for overload in _expanded(*matched.groups()):
            found.setdefault(overload.name, []).append(overload)
    return found


def _expanded(name: str, arguments: str, result: str, template: str) -> list[Overload]:
    variadic = arguments.endswith("...")
    kinds = parsed_types(arguments.removesuffix("...").strip())
    return [Overload(name, tuple(kinds), parsed_types(result)[0], template, variadic, f"{name}({arguments})")]


def _default(pattern: T) -> T:
    if pattern.name == "decimal" and not pattern.numbers:
        return T("decimal", (38, 0))
    return pattern if pattern.numbers or pattern.name not in _DEFAULTS else T(pattern.name, _DEFAULTS[pattern.name])


def parsed_types(written: str) -> list[T]:
    """Types of a signature: `array(T), function(T,boolean)`; `zoned` is a timestamp with time zone."""
    found: list[T] = []
    rest = written.strip()
    while rest:
        kind, rest = _parsed(rest)
        found.append(kind)
        rest = rest.lstrip(", ")
    return found


def _parsed(written: str) -> tuple[T, str]:
    matched = re.match(r"[A-Za-z_ ]+", written)
    if matched is None:
        raise ValueError(f"not a type: {written}")
    name, rest = matched[0].strip(), written[matched.end() :]
    name = {"zoned": ZONED, "interval_days": "interval day to second", "interval_months": "interval year to month"}.get(
        name, name
    )
    if not rest.startswith("("):
        return T(name), rest
    rest = rest[1:]
    children: list[T] = []
    numbers: list[int] = []
    while not rest.startswith(")"):
        if rest[0].isdigit():
            digits = re.match(r"\d+", rest)
            numbers.append(int(digits[0]) if digits else 0)
            rest = rest[len(digits[0]) if digits else 0 :].lstrip(", ")
            continue
        kind, rest = _parsed(rest)
        children.append(kind)
        rest = rest.lstrip(", ")
    names: tuple[str | None, ...] = (None,) * len(children) if name == "row" else ()
    return T(name, tuple(numbers), tuple(children), names), rest[1:]

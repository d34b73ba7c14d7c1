"""The scalar functions of Trino that Athena has: their arguments, types of results, and their SQL of DuckDB.

This is the list of what a query can call: a name that is not here, nor an aggregate or a window function, is refused.
"""

import difflib
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, TypeAlias

from sqlglot import exp

from clary.systems.athena.select.casts import accepted, coerced
from clary.systems.athena.select.functions.signatures import Match, Overload, overloads_of
from clary.systems.athena.select.types import T
from clary.systems.athena.select.values import Value, fail

if TYPE_CHECKING:
    from clary.systems.athena.select.expressions import Expressions

_MODULES = ("texts", "numbers", "patterns", "dates", "teradata", "arrays", "maps", "json", "sql_json", "binary",
            "conditions")  # fmt: skip

Handler: TypeAlias = "Callable[[Call], Value]"


@cache
def _tables() -> tuple[dict[str, list[Overload]], dict[str, Handler]]:
    overloads: dict[str, list[Overload]] = {}
    handlers: dict[str, Handler] = {}
    for name in _MODULES:
        module = import_module(f"{__package__}.{name}")
        overloads |= overloads_of(module.SIGNATURES)
        handlers |= module.HANDLERS
    return overloads, handlers


def known(name: str) -> str:
    """What a name is the name of: an `aggregate`, a `window` function, a `scalar` function, or nothing."""
    from clary.systems.athena.select.aggregates import AGGREGATES
    from clary.systems.athena.select.windows import WINDOWS

    if name in AGGREGATES:
        return "aggregate"
    if name in WINDOWS:
        return "window"
    overloads, handlers = _tables()
    return "scalar" if name in overloads or name in handlers else ""


def names() -> list[str]:
    """The names of all scalar functions."""
    overloads, handlers = _tables()
    return sorted({*overloads, *handlers})


def kinds() -> dict[str, str]:
    """All functions that a query can call, by name, with what `known` says of each."""
    from clary.systems.athena.select.aggregates import _NOT_HERE, AGGREGATES
    from clary.systems.athena.select.windows import WINDOWS

    every = {*names(), *AGGREGATES, *WINDOWS} - set(_NOT_HERE)
    return {name: known(name) for name in sorted(every)}


class Call:
    """A call of a scalar function, as what handles it sees it: typed arguments, and lambdas that wait for types."""

    def __init__(
        self, expressions: "Expressions", name: str, nodes: Sequence[exp.Expr], node: exp.Expr, shown: str
    ) -> None:
        self.expressions = expressions
        self.name = name
        self.nodes = list(nodes)
        self.node = node
        self.shown = shown
        self._values: dict[int, Value] = {}

    def result(self) -> Value:
        """The call as SQL. Fails where there is no such function, or none of these arguments."""
        overloads, handlers = _tables()
        if self.name in handlers:
            return handlers[self.name](self)
        if self.name not in overloads:
            near = difflib.get_close_matches(self.name, [*overloads, *handlers], 1, 0.8)
            hint = f"; did you mean {near[0]}?" if near else ""
            fail("FUNCTION_NOT_FOUND", self.node, f"Function '{self.name}' not registered{hint}")
        return self.by_signature(overloads[self.name])

    def __len__(self) -> int:
        return len(self.nodes)

    def value(self, at: int) -> Value:
        """The argument at a place, counted from 0."""
        if at not in self._values:
            node = self.nodes[at]
            if isinstance(node, exp.Lambda | exp.Star | exp.Distinct | exp.Order):
                fail("INVALID_FUNCTION_ARGUMENT", self.node, f"Unexpected arguments of function {self.shown}")
            self._values[at] = self.expressions.typed(node)
        return self._values[at]

    def values(self) -> list[Value]:
        return [self.value(at) for at in range(len(self))]

    def alike(self, what: str) -> list[Value]:
        """All arguments as the one type that they become."""
        return self.expressions.alike(self.values(), self.nodes, what)

    def of_type(self, at: int, to: T) -> Value:
        """The argument at a place as a type that it must become by itself."""
        return accepted(self.value(at), to, self.nodes[at], f"Argument {at + 1} of {self.shown}")

    def counts(self, *allowed: int) -> None:
        """Fail unless there are so many arguments."""
        if len(self) not in allowed:
            self.unexpected(f"it takes {' or '.join(map(str, allowed))}")

    def unexpected(self, expected: str) -> "Value":
        kinds = ", ".join(
            "function" if isinstance(node, exp.Lambda) else str(self.value(at).type)
            for at, node in enumerate(self.nodes)
        )
        fail("FUNCTION_NOT_FOUND", self.node,
             f"Unexpected parameters ({kinds}) for function {self.shown}. Expected: {expected}")  # fmt: skip

    def text_of(self, at: int, what: str) -> str:
        """The literal text of an argument that must be one."""
        found = self.value(at).constant
        if not isinstance(found, str):
            fail("INVALID_FUNCTION_ARGUMENT", self.nodes[at], f"{what} of {self.shown} must be a literal")
        return found

    def lambda_of(self, at: int, kinds: Sequence[T]) -> tuple[str, Value]:
        """A lambda's parameters as DuckDB is to see them, and its body, when its parameters have these types."""
        node = self.nodes[at]
        if not isinstance(node, exp.Lambda) or len(node.expressions) != len(kinds):
            self.unexpected(f"a lambda of {len(kinds)} parameters at place {at + 1}")
        depth = self.expressions.lambda_depth
        names = [f"l{depth}_{place}" for place in range(len(kinds))]
        bound = {
            parameter.name.lower(): Value(name, kind)
            for parameter, name, kind in zip(node.expressions, names, kinds, strict=True)
        }
        return ", ".join(names), self.expressions.with_lambda(bound, node.this)

    def by_signature(self, overloads: list[Overload]) -> Value:
        """The call of the overload that takes these arguments with the fewest coercions."""
        lambdas = [isinstance(node, exp.Lambda) for node in self.nodes]
        types = [None if is_lambda else self.value(at).type for at, is_lambda in enumerate(lambdas)]
        matches = [match for each in overloads if (match := each.match(types)) is not None]
        if not matches:
            self.unexpected(", ".join(map(str, overloads)))
        return self._applied(min(matches, key=lambda match: match.cost))

    def _applied(self, match: Match) -> Value:
        texts: list[str] = []
        for at, pattern in enumerate(match.patterns):
            if pattern.name != "function":
                texts.append(coerced(self.value(at), match.substituted(pattern, self.value(at).type)).sql)
                continue
            kinds = [match.substituted(each) for each in pattern.children[:-1]]
            parameters, body = self.lambda_of(at, kinds)
            if not match.bind(pattern.children[-1], body.type):
                self.unexpected(str(match.overload))
            texts.append(
                f"lambda {parameters}: {coerced(body, match.substituted(pattern.children[-1], body.type)).sql}"
            )
        return Value(match.sql(texts), match.substituted(match.overload.result))

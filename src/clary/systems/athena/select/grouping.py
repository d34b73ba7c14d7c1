"""Queries that group their rows: what they group by, and the aggregates of them.

Such a query is two of DuckDB's: an inner one that groups, whose columns are keys and aggregates, and an outer one that
computes from these what is asked for. So windows, HAVING and expressions over keys need no rules of their own.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from clary.systems.athena.contract import StatementFailed
from clary.systems.athena.select.aggregates import AGGREGATES, aggregate, taken_apart
from clary.systems.athena.select.types import BIGINT
from clary.systems.athena.select.values import Origin, Value, fail

if TYPE_CHECKING:
    from clary.systems.athena.select.expressions import Expressions

_ENCLOSED = (exp.Subquery, exp.Select, exp.SetOperation, exp.Window)
_LEAVES = (exp.Literal, exp.Star, exp.Null, exp.Boolean, exp.Lambda)


def has_aggregate(node: exp.Expr) -> bool:
    """Whether an expression calls an aggregate over groups, not over a window, and not in a query of its own."""
    if isinstance(node, exp.Select | exp.SetOperation | exp.Subquery | exp.Exists):
        return False
    if isinstance(node, exp.Window):
        return any(has_aggregate(each) for each in _parts_of_window(node))
    if isinstance(node, exp.GroupConcat) or (isinstance(node, exp.Anonymous) and node.name.lower() in AGGREGATES):
        return True
    return any(has_aggregate(each) for each in node.iter_expressions())


def _parts_of_window(node: exp.Window) -> list[exp.Expr]:
    call = node.this
    while isinstance(call, exp.IgnoreNulls | exp.RespectNulls | exp.Filter | exp.WithinGroup):
        call = call.this
    return [*call.iter_expressions(), *(each for each in node.iter_expressions() if each is not node.this)]


class Groups:
    """Keys and aggregates of a query that groups its rows, as they are found to be asked for."""

    def __init__(self, relation: str, inner: "Expressions") -> None:
        self.relation = relation
        self.inner = inner
        self.keys: dict[str, Value] = {}
        self._key_sql: list[str] = []
        self._aggregates: dict[str, Value] = {}
        self._known: dict[int, Value | None] = {}
        self.simple = True

    def add_key(self, value: Value) -> int:
        """Group by a value as well; its place, from 1."""
        if value.sql not in self.keys:
            name = f"g{len(self.keys)}"
            key: tuple[Origin, ...] = value.key if self.simple else ()
            self.keys[value.sql] = Value(f"{self.relation}.{name}", value.type, key=key)
            self._key_sql.append(value.sql)
        return self._key_sql.index(value.sql) + 1

    def key(self, node: exp.Expr) -> Value | None:
        """What rows are grouped by that a node says, if it says one of them."""
        if isinstance(node, _LEAVES) or not self.keys:
            return None
        if id(node) not in self._known:
            self._known[id(node)] = self._looked_up(node)
        return self._known[id(node)]

    def _looked_up(self, node: exp.Expr) -> Value | None:
        if any(isinstance(each, _ENCLOSED) for each in node.walk()) or has_aggregate(node):
            return None
        try:
            return self.keys.get(self.inner.typed(node).sql)
        except StatementFailed:
            return None

    def shown(self, value: Value, node: exp.Expr) -> Value:
        """What is left of a column of the rows: itself when they are grouped by it."""
        found = self.keys.get(value.sql)
        if found is None:
            said = node.sql(dialect="trino")
            fail("EXPRESSION_NOT_AGGREGATE", node,
                 f"'{said}' must be an aggregate expression or appear in GROUP BY clause")  # fmt: skip
        return found

    def aggregate(self, expressions: "Expressions", node: exp.Expr) -> Value:
        """A column with an aggregate over each group."""
        for each in node.iter_expressions():
            if has_aggregate(each) and not isinstance(node, exp.Filter | exp.WithinGroup):
                fail("NESTED_AGGREGATION", node, "Cannot nest aggregations inside aggregation")
        return self._column(aggregate(self.inner, taken_apart(node)))

    def grouping(self, expressions: "Expressions", node: exp.Anonymous) -> Value:
        """GROUPING(a, b): which of these keys a row was not grouped by."""
        texts = []
        for each in node.expressions:
            value = self.inner.typed(each)
            if value.sql not in self.keys:
                fail("INVALID_PROCEDURE_ARGUMENT", each, "The arguments to GROUPING() must be expressions grouped by")
            texts.append(value.sql)
        return self._column(Value(f"CAST(GROUPING({', '.join(texts)}) AS BIGINT)", BIGINT))

    def _column(self, value: Value) -> Value:
        if value.sql not in self._aggregates:
            name = f"a{len(self._aggregates)}"
            self._aggregates[value.sql] = Value(f"{self.relation}.{name}", value.type)
        return self._aggregates[value.sql]

    def sql(self, source: str, where: str, sets: str | None) -> str:
        """The inner query: over what stands in FROM, those rows; `sets` are the groupings, by places of keys."""
        columns = [f"{sql} AS g{at}" for at, sql in enumerate(self._key_sql)]
        columns += [f"{sql} AS a{at}" for at, sql in enumerate(self._aggregates)]
        groups = f" GROUP BY {sets}" if sets is not None else ""
        return f"SELECT {', '.join(columns) or 'count(*) AS a0'}{source}{where}{groups}"


def groupings(groups: Groups, group: exp.Group, ordinals: Sequence[exp.Expr]) -> str:
    """What stands in GROUP BY, with keys by their places. `ordinals` are what a place in the list of columns means."""
    plain: list[exp.Expr] = []
    others: list[exp.Expr] = []
    for each in [*group.expressions, *(group.args.get("grouping_sets") or ()), *(group.args.get("rollup") or ()),
                 *(group.args.get("cube") or ())]:  # fmt: skip
        (others if isinstance(each, exp.GroupingSets | exp.Rollup | exp.Cube) else plain).append(each)
    groups.simple = not others

    def place(node: exp.Expr) -> str:
        if isinstance(node, exp.Paren):
            node = node.this
        if isinstance(node, exp.Literal) and not node.is_string:
            at = int(node.this) if node.this.isdigit() else 0
            if not 1 <= at <= len(ordinals):
                fail("INVALID_COLUMN_REFERENCE", node, f"GROUP BY position {node.this} is not in select list")
            node = ordinals[at - 1]
            if has_aggregate(node):
                fail("EXPRESSION_NOT_SCALAR", node, "GROUP BY clause cannot contain aggregations")
        return str(groups.add_key(groups.inner.typed(node)))

    def one_set(node: exp.Expr) -> str:
        return f"({', '.join(map(place, node.expressions))})" if isinstance(node, exp.Tuple) else place(node)

    parts = []
    for each in plain:
        if isinstance(each, exp.Tuple):
            parts += [place(inner) for inner in each.expressions] or ["()"]
        else:
            parts.append(place(each))
    for each in others:
        if isinstance(each, exp.GroupingSets):
            sets = [f"({text})" if not text.startswith("(") else text for text in map(one_set, each.expressions)]
            parts.append(f"GROUPING SETS ({', '.join(sets)})")
        else:
            word = "ROLLUP" if isinstance(each, exp.Rollup) else "CUBE"
            parts.append(f"{word} ({', '.join(map(one_set, each.expressions))})")
    return ", ".join(parts)

"""What names mean at a place of a query: columns of its relations and of those of the queries around it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from sqlglot import exp

from clary.lake.types import quoted
from clary.systems.athena.contract import StatementFailed
from clary.systems.athena.select.types import T, fields
from clary.systems.athena.select.values import Origin, Value, fail


@dataclass(frozen=True, slots=True)
class Field:
    """A column that a query can name.

    `qualifier` are the names that may stand before it, the nearest last. `origins` are the columns of scans that it is
    made of, `key` those that it shows unchanged. A hidden one is not part of `*`.
    """

    name: str | None
    type: T
    sql: str
    qualifier: tuple[str, ...] = ()
    origins: frozenset[Origin] = frozenset()
    key: tuple[Origin, ...] = ()
    hidden: bool = False
    qualified_only: bool = False


@dataclass(slots=True)
class Scope:
    """Names and what they mean, innermost first.

    The last of `reads` gathers the columns of scans that are read. `shown` turns a column of a query that groups its
    rows into what is left of it, or refuses it.
    """

    reads: list[set[Origin]]
    fields: list[Field] = field(default_factory=list)
    parent: "Scope | None" = None
    shown: Callable[[Value, exp.Expr], Value] | None = None

    def resolve(self, names: list[str], node: exp.Expr) -> Value:
        """What a name, such as `a`, `t.a` or `t.a.field`, means. Fails where it means nothing, or two things."""
        scope: Scope | None = self
        while scope is not None:
            for before in range(len(names) - 1, -1, -1):
                found = scope._matching(names[:before], names[before])
                if len(found) > 1:
                    fail("AMBIGUOUS_NAME", node, f"Column '{'.'.join(names[: before + 1])}' is ambiguous")
                if found:
                    return self._value(scope, found[0], names[before + 1 :], node)
            scope = scope.parent
        fail("COLUMN_NOT_FOUND", node, f"Column '{'.'.join(names)}' cannot be resolved")

    def _matching(self, qualifier: list[str], name: str) -> list[Field]:
        wanted = tuple(each.lower() for each in qualifier)
        return [
            each
            for each in self.fields
            if each.name is not None
            and each.name.lower() == name.lower()
            and (wanted == each.qualifier[len(each.qualifier) - len(wanted) :] if wanted else not each.qualified_only)
        ]

    def _value(self, scope: "Scope", found: Field, rest: list[str], node: exp.Expr) -> Value:
        self.reads[-1].update(found.origins)
        value = Value(found.sql, found.type, key=found.key)
        whole = value
        for each in rest:
            value = field_of(value, each, node)
        if scope.shown is None:
            return value
        if not rest:
            return scope.shown(value, node)
        try:
            return scope.shown(value, node)
        except StatementFailed:
            value = scope.shown(whole, node)
        for each in rest:
            value = field_of(value, each, node)
        return value

    def matching(self, qualifier: Iterable[str]) -> list[Field]:
        """The fields of `qualifier.*`, or of `*` where there is none."""
        wanted = tuple(each.lower() for each in qualifier)
        return [
            each
            for each in self.fields
            if not each.hidden
            and (wanted == each.qualifier[len(each.qualifier) - len(wanted) :] if wanted else not each.qualified_only)
        ]


def field_of(value: Value, name: str, node: exp.Expr) -> Value:
    """The field of a row by its name."""
    if value.type.name != "row":
        fail("TYPE_MISMATCH", node, f"Expression is not of type ROW: {value.type}")
    places = [at for at, each in enumerate(value.type.names) if each is not None and each.lower() == name.lower()]
    if len(places) != 1:
        code = "AMBIGUOUS_NAME" if places else "COLUMN_NOT_FOUND"
        fail(code, node, f"Column '{name}' {'is ambiguous' if places else 'cannot be resolved'}")
    return field_at(value, places[0])


def field_at(value: Value, at: int) -> Value:
    """The field of a row by its place, from 0."""
    name = fields(value.type)[at].replace("'", "''")
    return Value(f"struct_extract({value.sql}, '{name}')", value.type.children[at])


def under(found: Iterable[Field], qualifier: tuple[str, ...], names: list[str] | None = None) -> list[Field]:
    """Fields as a relation that has an alias shows them."""
    kept = list(found)
    if names is None:
        return [replace(each, qualifier=qualifier, qualified_only=False) for each in kept]
    return [replace(each, qualifier=qualifier, name=name) for each, name in zip(kept, names, strict=True)]


def column(relation: str, name: str) -> str:
    return f"{relation}.{quoted(name)}"

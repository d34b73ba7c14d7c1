"""A query of Athena as SQL of DuckDB over scans."""

from collections.abc import Mapping

from sqlglot import exp

from clary.lake.tables import Table
from clary.lake.types import quoted
from clary.systems.athena.contract import OutputColumn, StatementFailed, TableName, Translated
from clary.systems.athena.select.queries import Derived, Queries
from clary.systems.athena.select.relations import table_name
from clary.systems.athena.select.sessions import Session

__all__ = ["Session", "tables_named", "translate"]


def tables_named(tree: exp.Expr, catalog: str, database: str) -> set[TableName]:
    """The tables that a query names, completed by the session's catalog and database; what WITH names is none.

    A table of Iceberg's metadata, `"t$files"`, is among them by that name.
    """
    found: set[TableName] = set()
    try:
        _named(tree, frozenset(), catalog, database, found)
    except RecursionError:
        raise _too_deep() from None
    return found


def translate(tree: exp.Expr, tables: Mapping[TableName, Table], session: Session) -> Translated:
    """SQL of a query whose views are expanded. Raises StatementFailed, saying where and what, for one that is wrong.

    The columns of the SQL are named as those of the result, apart from a number behind a name that came before.
    """
    queries = Queries(session, tables)
    try:
        derived = queries.query(tree, {}, None)
    except RecursionError:
        raise _too_deep() from None
    queries.read(derived.columns)
    names = [each.name if each.name is not None else f"_col{at}" for at, each in enumerate(derived.columns)]
    columns = tuple(OutputColumn(name, str(each.type)) for name, each in zip(names, derived.columns, strict=True))
    return Translated(_named_columns(derived, names), queries.uses(), columns)


def _too_deep() -> StatementFailed:
    return StatementFailed("STACK_OVERFLOW", "the query is nested too deep")


def _named_columns(derived: Derived, names: list[str]) -> str:
    unique = unique_names(names)
    parts = ", ".join(f"c{at} AS {quoted(name)}" for at, name in enumerate(unique))
    return f"SELECT {parts} FROM ({derived.sql}) AS result"


def unique_names(names: list[str]) -> list[str]:
    """Names of which no two are the same but for their case: a later one has a number behind it."""
    found: dict[str, None] = {}
    kept = []
    for name in names:
        if "\0" in name:
            raise StatementFailed("NOT_SUPPORTED", "a name of a column cannot hold the character U+0000")
        tried, number = name, 0
        while tried.lower() in found:
            number += 1
            tried = f"{name}_{number}"
        found[tried.lower()] = None
        kept.append(tried)
    return kept


def _named(node: exp.Expr, hidden: frozenset[str], catalog: str, database: str, found: set[TableName]) -> None:
    """Add the tables below a node, where names of WITH hide them, each from the query after it on."""
    with_ = node.args.get("with_")
    if with_ is not None:
        for each in with_.expressions:
            inner = hidden | {each.alias.lower()} if with_.args.get("recursive") else hidden
            _named(each.this, inner, catalog, database, found)
            hidden |= {each.alias.lower()}
    if (
        isinstance(node, exp.Table)
        and isinstance(node.this, exp.Identifier)
        and (node.db or node.name.lower() not in hidden)
    ):
        found.add(table_name(node, catalog, database))
    for each in node.iter_expressions():
        if each is not with_:
            _named(each, hidden, catalog, database, found)

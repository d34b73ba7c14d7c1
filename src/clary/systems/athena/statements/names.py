"""The tables that a query names, as nodes of its tree: those that no WITH hides."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlglot import exp


def table_nodes(tree: "exp.Expression") -> "Iterator[exp.Table]":
    """The nodes that stand for tables of the catalog. A name of WITH hides tables from the query after it on."""
    yield from _below(tree, frozenset())


def qualify(tree: "exp.Expression", catalog: str, database: str) -> None:
    """Write out where the tables lie that a query names, so that it means the same in any session."""
    from sqlglot import exp

    for node in list(table_nodes(tree)):
        if not node.db:
            node.set("db", exp.to_identifier(database, quoted=True))
        if not node.catalog:
            node.set("catalog", exp.to_identifier(catalog, quoted=True))


def _below(node: "exp.Expression", hidden: frozenset[str]) -> "Iterator[exp.Table]":
    from sqlglot import exp

    with_ = node.args.get("with_")
    if with_ is not None:
        for each in with_.expressions:
            name = each.alias.lower()
            yield from _below(each.this, hidden | {name} if with_.args.get("recursive") else hidden)
            hidden |= {name}
    if (
        isinstance(node, exp.Table)
        and isinstance(node.this, exp.Identifier)
        and (node.db or node.name.lower() not in hidden)
    ):
        yield node
    for each in node.iter_expressions():
        if each is not with_:
            yield from _below(each, hidden)

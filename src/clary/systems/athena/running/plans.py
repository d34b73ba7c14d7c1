"""From a query's tree to what an engine is given: views expanded, tables looked up, SQL translated, files found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clary.systems.athena.contract import OutputColumn, Running, StatementFailed, TableName, Translated
from clary.systems.athena.statements import catalog
from clary.systems.athena.statements.views import expanded

if TYPE_CHECKING:
    from sqlglot import exp

    from clary.lake.scans import Scan
    from clary.lake.tables import Table


@dataclass(frozen=True, slots=True)
class Plan:
    """A query that an engine can be asked: SQL over scans whose files lie in the query's folder, and its columns."""

    sql: str
    scans: "tuple[Scan, ...]"
    columns: tuple[OutputColumn, ...]


def planned(running: Running, tree: "exp.Expression") -> Plan:
    """What an engine is to be asked for a query. The tree changes. Raises StatementFailed, AwsError."""
    from clary.systems.athena.planning.scans import scan_of

    query = expanded(running, tree)
    tables = _tables(running, query)
    found = _translate(running, query, tables)
    scans = []
    for use in found.uses:
        running.check()
        scans.append(scan_of(running, use, tables[use.table]))
    return Plan(found.sql, tuple(scans), found.columns)


def translated(running: Running, tree: "exp.Expression", inside: Sequence[TableName] = ()) -> Translated:
    """A query as SQL, without a look at any file; `inside` are the views that it is the query of. The tree changes."""
    return translated_tree(running, expanded(running, tree, inside))


def translated_tree(running: Running, tree: "exp.Expression") -> Translated:
    """`translated` for a query whose views are expanded."""
    return _translate(running, tree, _tables(running, tree))


def _translate(running: Running, tree: "exp.Expression", tables: "Mapping[TableName, Table]") -> Translated:
    from clary.systems.athena.select.translate import Session, translate

    context = running.ctx
    now = context.platform.clock.now()
    session = Session(*_session(running), now=now, user=context.principal.arn)
    return translate(tree, tables, session)


def _tables(running: Running, tree: "exp.Expression") -> "dict[TableName, Table]":
    """The tables that a query names and that are there; of one that is not, the translation tells the place."""
    from clary.lake.tables import table_of
    from clary.systems.athena.select.translate import tables_named

    found: dict[TableName, Table] = {}
    for name in sorted(tables_named(tree, *_session(running))):
        # `"t$files"` is read of the table t.
        base = name._replace(name=name.name.partition("$")[0])
        document = catalog.find_table(running, base)
        if document is None:
            continue
        try:
            found[name] = found[base] = table_of(document)
        except ValueError as error:
            raise StatementFailed("HIVE_INVALID_METADATA", f"{base.database}.{base.name}: {error}") from None
    return found


def _session(running: Running) -> tuple[str, str]:
    """The catalog and the database that complete names."""
    return (running.catalog or catalog.AWS_CATALOG).lower(), running.database.strip("`").lower() or catalog.DEFAULT

"""From a query's tree to what an engine is given: views expanded, tables looked up, SQL translated, files found."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from clary.systems.athena.contract import OutputColumn, Running, ScanUse, StatementFailed, TableName, Translated
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


@dataclass(frozen=True, slots=True)
class Special:
    """A table that a query names `base$part` and the catalog does not have, and what scans it."""

    name: TableName
    table: "Table"
    scan: "Callable[[ScanUse], Scan]"


def planned(running: Running, tree: "exp.Expression", special: Special | None = None) -> Plan:
    """What an engine is to be asked for a query. The tree changes. Raises StatementFailed, AwsError."""
    running = _looking_once(running)
    query = expanded(running, tree)
    tables = _tables(running, query)
    if special is not None:
        tables[special.name] = special.table
    found = _translate(running, query, tables)
    scans = []
    for use in found.uses:
        running.check()
        if special is not None and use.table._replace(name=f"{use.table.name}${use.part}") == special.name:
            scans.append(special.scan(use))
        else:
            scans.append(_scan(running, use, tables[use.table]))
    return Plan(found.sql, tuple(scans), found.columns)


def translated(running: Running, tree: "exp.Expression", inside: Sequence[TableName] = ()) -> Translated:
    """A query as SQL, without a look at any file; `inside` are the views that it is the query of. The tree changes."""
    running = _looking_once(running)
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
            table = _iceberg(running, document) if catalog.is_iceberg(document) else table_of(document)
        except ValueError as error:
            raise StatementFailed("HIVE_INVALID_METADATA", f"{base.database}.{base.name}: {error}") from None
        found[base] = table
        if name != base:
            part = _part(running, document, name.name.partition("$")[2])
            if part is not None:
                found[name] = part
    return found


class _LookingOnce:
    """A statement that runs, which looks each table and its partitions up once: all of a plan goes by one version."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._found: dict[Any, dict[str, Any]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._running, name)

    def call(self, operation: str, *, service: str = "glue", **params: Any) -> dict[str, Any]:
        if operation not in ("GetTable", "GetPartitions"):
            return self._running.call(operation, service=service, **params)
        key = operation, tuple(sorted(params.items()))
        if key not in self._found:
            self._found[key] = self._running.call(operation, service=service, **params)
        return self._found[key]


def _looking_once(running: Running) -> Running:
    return cast(Running, _LookingOnce(running))


def _iceberg(running: Running, document: catalog.Document) -> "Table":
    """An Iceberg table by its own metadata: what the catalog says of its columns is less, and more."""
    from clary.systems.athena.planning import iceberg

    return iceberg.table_of(running, document)


def _part(running: Running, document: catalog.Document, part: str) -> "Table | None":
    """What a table has of itself, `"t$partitions"`, or of Iceberg's `"t$files"`; None where there is no such thing."""
    if not catalog.is_iceberg(document):
        from clary.lake.tables import table_of
        from clary.systems.athena.planning.partition_tables import described

        return described(table_of(document), part)
    from clary.systems.athena.planning import iceberg

    return iceberg.part_of(running, document, part)


def _scan(running: Running, use: ScanUse, table: "Table") -> "Scan":
    from clary.lake.tables import ICEBERG
    from clary.systems.athena.planning.scans import scan_of

    if table.format == ICEBERG:
        from clary.systems.athena.planning import iceberg

        return iceberg.scan_for(running, use)
    return scan_of(running, use, table)


def _session(running: Running) -> tuple[str, str]:
    """The catalog and the database that complete names."""
    return (running.catalog or catalog.AWS_CATALOG).lower(), running.database.strip("`").lower() or catalog.DEFAULT

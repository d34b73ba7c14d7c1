"""INSERT INTO: more files of a table, for the rows of a query."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from clary.lake import tables
from clary.lake.engine.tasks import TableFiles
from clary.lake.hive_paths import partition_path
from clary.lake.tables import Column, Table, format_of, table_of
from clary.lake.types import trino_type
from clary.systems.athena.contract import Outcome, OutputColumn, Running, StatementFailed, TableName
from clary.systems.athena.language.statements import InsertInto
from clary.systems.athena.language.trees import query_tree
from clary.systems.athena.running.plans import planned, translated_tree
from clary.systems.athena.statements import catalog
from clary.systems.athena.statements.catalog import Document
from clary.systems.athena.statements.iceberg import or_iceberg
from clary.systems.athena.statements.partitions import present, register_partitions
from clary.systems.athena.statements.views import expanded
from clary.systems.athena.statements.widening import widens
from clary.systems.athena.statements.writing import (
    Places,
    Stored,
    Values,
    finished,
    inserted_columns,
    outcome_of,
    store,
)

if TYPE_CHECKING:
    from sqlglot import exp

_SIZED = re.compile(r"\b(?:varchar|char)(?:\(\d+\))?")
_WRITTEN = (tables.PARQUET, tables.ORC, tables.AVRO, tables.JSON, tables.CSV)


@or_iceberg
def insert_into(running: Running, statement: InsertInto) -> Outcome:
    """Store a query's rows among a table's files, and register the partitions that are new."""
    name = catalog.named(running, statement.name)
    document = catalog.find_table(running, name)
    if document is None:
        raise StatementFailed("TABLE_NOT_FOUND", f"line 1:1: Table '{'.'.join(name)}' does not exist")
    table = _insertable(name, document)
    stored = finished(running)
    if stored is None:
        columns = (*table.columns, *table.keys)
        query = expanded(running, statement.query)
        plan = planned(running, _matched(statement, query, translated_tree(running, query.copy()).columns, columns))
        output = TableFiles(
            table.format,
            columns,
            tuple(key.name for key in table.keys),
            properties={**table.properties, **table.serde},
        )
        stored = store(
            running, statement, plan, output, lambda values: _folders(running, document, table, values), name
        )
    _register(running, document, stored)
    return outcome_of(statement, stored.uris, stored.rows)


def _register(running: Running, document: Document, stored: Stored) -> None:
    """Register the partitions that are new. Raises StatementFailed where others moved one away from the rows."""
    there = {tuple(each["Values"]) for each in present(running, document, stored.values)}
    register_partitions(running, document, [values for values in stored.values if values not in there])
    folders = {uri.rpartition("/")[0] for uri in stored.uris}
    for partition in present(running, document, stored.values):
        if partition["StorageDescriptor"]["Location"].rstrip("/") not in folders:
            raise StatementFailed(
                "HIVE_CONCURRENT_MODIFICATION_DETECTED",
                f"The partition {partition['Values']} was registered elsewhere while rows were written for it: "
                f"{partition['StorageDescriptor']['Location']}",
            )


def _insertable(name: TableName, document: Document) -> Table:
    shown = ".".join(name)
    if catalog.is_view(document):
        raise StatementFailed("NOT_SUPPORTED", f"line 1:1: Inserting into views is not supported: '{shown}'")
    try:
        table = table_of(document)
    except ValueError as error:
        raise StatementFailed("HIVE_INVALID_METADATA", f"{shown}: {error}") from None
    if table.format not in _WRITTEN:
        raise StatementFailed(
            "NOT_SUPPORTED", f"INSERT INTO is not supported for tables of {table.serializer or 'an unknown format'}"
        )
    if table.buckets or table.bucketed_by:
        raise StatementFailed("NOT_SUPPORTED", f"INSERT INTO is not supported for bucketed tables: {shown}")
    if not table.location:
        raise StatementFailed("HIVE_INVALID_METADATA", f"{shown} has no location")
    return table


def _matched(
    statement: InsertInto, query: "exp.Expression", given: Sequence[OutputColumn], columns: Sequence[Column]
) -> "exp.Expression":
    """The query with all columns of the table in its order and types: those that are not named are NULL."""
    from sqlglot import exp

    by_name = {column.name: column for column in columns}
    names = inserted_columns(statement, by_name)
    types = [trino_type(by_name[name].type) for name in names]
    found = [each.type for each in given]
    if len(types) != len(found) or not all(map(widens, found, types)):
        raise StatementFailed(
            "TYPE_MISMATCH",
            "line 1:1: Insert query has mismatched column types: "
            f"Table: [{', '.join(types)}], Query: [{', '.join(found)}]",
        )
    # A text that is too long for its column is refused when it is written: CAST would cut it off.
    wanted = {name: _SIZED.sub("varchar", trino_type(column.type)) for name, column in by_name.items()}
    items = [
        f"CAST({f'c{names.index(name)}' if name in names else 'NULL'} AS {wanted[name]}) AS c{place}"
        for place, name in enumerate(by_name)
    ]
    aliases = ", ".join(f"c{place}" for place in range(len(names)))
    text = f"SELECT {', '.join(items)} FROM (SELECT 1) AS given({aliases})"
    tree = query_tree(text, 0, len(text))
    next(iter(tree.find_all(exp.Subquery))).set("this", query)
    return tree


def _folders(running: Running, document: Document, table: Table, values: set[Values]) -> Places:
    """The folder of each partition: its own where the catalog has it, else the one that Hive would make."""
    root = table.location.rstrip("/")
    if not table.keys:
        return Places(lambda _: root)
    names = [key.name for key in table.keys]
    found = {values: f"{root}/{partition_path(names, values)}" for values in values}
    new = set(values)
    for partition in present(running, document, sorted(values)):
        if format_of(partition["StorageDescriptor"], document.get("Parameters") or {}) != table.format:
            raise StatementFailed(
                "NOT_SUPPORTED",
                f"The partition {partition_path(names, partition['Values'])} has another format than its table",
            )
        found[tuple(partition["Values"])] = partition["StorageDescriptor"]["Location"].rstrip("/")
        new.discard(tuple(partition["Values"]))
    return Places(found.__getitem__, sorted(new))

"""Columns of Hive's tables: add, replace, change."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clary.systems.athena.contract import Outcome, Running, StatementFailed
from clary.systems.athena.language.statements import AddColumns, ChangeColumn, DropColumn, ReplaceColumns
from clary.systems.athena.statements import catalog
from clary.systems.athena.statements.catalog import Document, semantic
from clary.systems.athena.statements.iceberg import or_iceberg
from clary.systems.athena.statements.partitions import find_partition, put_partition
from clary.systems.athena.statements.tables import columns


@or_iceberg
def add_columns(running: Running, statement: AddColumns) -> Outcome:
    """Add columns behind the others. Files that lack them have NULL there."""

    def added(found: Sequence[Document]) -> list[Document]:
        new = columns(statement.columns)
        if running.resumed and list(found[-len(new) :]) == new:
            return list(found)
        names = {each["Name"].lower() for each in found}
        for each in statement.columns:
            if each.name in names:
                raise semantic(f"[Error 10036]: Duplicate column name: {each.name}")
        return [*found, *new]

    return _change(running, statement, statement.partition, added)


@or_iceberg
def replace_columns(running: Running, statement: ReplaceColumns) -> Outcome:
    return _change(running, statement, statement.partition, lambda found: columns(statement.columns))


@or_iceberg
def change_column(running: Running, statement: ChangeColumn) -> Outcome:
    """Rename a column, change its type, its comment or its place."""

    def changed(found: Sequence[Document]) -> list[Document]:
        names = [each["Name"].lower() for each in found]
        if running.resumed and statement.old not in names and statement.column.name in names:
            return list(found)
        if statement.old not in names:
            raise semantic(f"[Error 10002]: Invalid column reference {statement.old}")
        old = found[names.index(statement.old)]
        new = columns([statement.column])[0]
        if "Comment" not in new and old.get("Comment") is not None:
            new["Comment"] = old["Comment"]
        rest = [each for each in found if each is not old]
        others = [each["Name"].lower() for each in rest]
        if statement.column.name in others:
            raise semantic(f"[Error 10036]: Duplicate column name: {statement.column.name}")
        if statement.first:
            return [new, *rest]
        if statement.after is not None:
            if statement.after not in others:
                raise semantic(f"[Error 10002]: Invalid column reference {statement.after}")
            place = others.index(statement.after) + 1
        else:
            place = names.index(statement.old)
        return [*rest[:place], new, *rest[place:]]

    return _change(running, statement, statement.partition, changed)


@or_iceberg
def drop_column(running: Running, statement: DropColumn) -> Outcome:
    catalog.hive_table(running, catalog.named(running, statement.name))
    raise StatementFailed("NOT_SUPPORTED", "ALTER TABLE DROP COLUMN is for Iceberg tables; use REPLACE COLUMNS")


def _change(
    running: Running,
    statement: Any,
    partition: Mapping[str, str] | None,
    change: Callable[[Sequence[Document]], list[Document]],
) -> Outcome:
    """Give a table, or one partition of it, the columns that `change` makes of its own."""
    found = catalog.hive_table(running, catalog.named(running, statement.name))
    if partition is None:
        descriptor = {**found["StorageDescriptor"], "Columns": change(found["StorageDescriptor"].get("Columns") or ())}
        _check_keys(found, descriptor["Columns"])
        catalog.update_table(running, found, StorageDescriptor=descriptor)
    else:
        owner = find_partition(running, found, partition)
        descriptor = {**owner["StorageDescriptor"], "Columns": change(owner["StorageDescriptor"].get("Columns") or ())}
        put_partition(running, found, owner, StorageDescriptor=descriptor)
    return Outcome(statement.kind, statement.substatement, rows=())


def _check_keys(table: Document, found: Sequence[Document]) -> None:
    keys = {key["Name"].lower() for key in catalog.keys_of(table)}
    for each in found:
        if each["Name"].lower() in keys:
            raise semantic(f"[Error 10035]: Column repeated in partitioning columns: {each['Name']}")

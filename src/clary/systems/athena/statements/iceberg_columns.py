"""Columns of Iceberg tables: add, change, replace, drop. Files stay as they are."""

from collections.abc import Sequence
from typing import Any

from clary.lake.iceberg.commits import Prepare, commit
from clary.lake.iceberg.evolving import add_columns as added
from clary.lake.iceberg.evolving import change_column as changed
from clary.lake.iceberg.evolving import drop_column as dropped
from clary.lake.iceberg.evolving import replace_columns as replaced
from clary.systems.athena.contract import Outcome, Running
from clary.systems.athena.language.statements import AddColumns, ChangeColumn, DropColumn, ReplaceColumns
from clary.systems.athena.planning.iceberg import failing
from clary.systems.athena.statements import catalog
from clary.systems.athena.statements.catalog import semantic
from clary.systems.athena.statements.iceberg_tables import columns_of


def add_columns(running: Running, statement: AddColumns) -> Outcome:
    """Add columns behind the others; they are NULL in rows that are there."""
    return _change(running, statement, added(columns_of(statement.columns)))


def replace_columns(running: Running, statement: ReplaceColumns) -> Outcome:
    """Have the table's columns be those that are listed: others are dropped, new ones added."""
    return _change(running, statement, replaced(columns_of(statement.columns)))


def change_column(running: Running, statement: ChangeColumn) -> Outcome:
    """Rename a column, make its type wider, move it, comment on it."""
    column = columns_of([statement.column])[0]
    comment = statement.column.comment is not None
    made = changed(statement.old, column, comment=comment, first=statement.first, after=statement.after)
    return _change(running, statement, made)


def drop_column(running: Running, statement: DropColumn) -> Outcome:
    return _change(running, statement, dropped(statement.column))


def _change(running: Running, statement: Any, how: Prepare) -> Outcome:
    name = catalog.named(running, statement.name)
    if getattr(statement, "partition", None) is not None:
        raise semantic(f"{name.database}.{name.name} is an Iceberg table: its partitions have no columns of their own")
    with failing(name.database, name.name):
        commit(running, name.database, name.name, how)
    rows: Sequence[Sequence[str]] = ()
    return Outcome(statement.kind, statement.substatement, rows=rows)

"""Columns of Iceberg tables: add, change, replace, drop. Files stay as they are."""

from collections.abc import Callable, Mapping
from typing import Any

from clary.lake.iceberg.commits import Prepare, commit
from clary.lake.iceberg.evolving import add_columns as added
from clary.lake.iceberg.evolving import change_column as changed
from clary.lake.iceberg.evolving import drop_column as dropped
from clary.lake.iceberg.evolving import is_alike
from clary.lake.iceberg.evolving import replace_columns as replaced
from clary.lake.iceberg.tables import Refused, described, load
from clary.lake.tables import Column
from clary.lake.types import Type
from clary.systems.athena.contract import Outcome, Running
from clary.systems.athena.language.statements import AddColumns, ChangeColumn, DropColumn, ReplaceColumns
from clary.systems.athena.planning.iceberg import failing
from clary.systems.athena.statements import catalog
from clary.systems.athena.statements.catalog import semantic
from clary.systems.athena.statements.iceberg_tables import columns_of


def add_columns(running: Running, statement: AddColumns) -> Outcome:
    """Add columns behind the others; they are NULL in rows that are there."""
    columns = columns_of(statement.columns)
    return _change(running, statement, added(columns), lambda there: all(_is_there(each, there) for each in columns))


def replace_columns(running: Running, statement: ReplaceColumns) -> Outcome:
    """Have the table's columns be those that are listed: others are dropped, new ones added."""
    columns = columns_of(statement.columns)
    return _change(running, statement, replaced(columns), lambda there: all(_is_there(each, there) for each in columns))


def change_column(running: Running, statement: ChangeColumn) -> Outcome:
    """Rename a column, make its type wider, move it, comment on it."""
    column = columns_of([statement.column])[0]
    comment = statement.column.comment is not None
    made = changed(statement.old, column, comment=comment, first=statement.first, after=statement.after)
    return _change(running, statement, made, lambda there: statement.old not in there and _is_there(column, there))


def drop_column(running: Running, statement: DropColumn) -> Outcome:
    return _change(running, statement, dropped(statement.column), lambda there: statement.column not in there)


def _change(running: Running, statement: Any, how: Prepare, is_done: Callable[[Mapping[str, Type]], bool]) -> Outcome:
    """Change a table's columns; what a run of the statement that was cut off has done already is done."""
    name = catalog.named(running, statement.name)
    if getattr(statement, "partition", None) is not None:
        raise semantic(f"{name.database}.{name.name} is an Iceberg table: its partitions have no columns of their own")
    with failing(name.database, name.name):
        try:
            commit(running, name.database, name.name, how)
        except Refused:
            there = {each.name: each.type for each in described(load(running, name.database, name.name)).columns}
            if not running.resumed or not is_done(there):
                raise
    return Outcome(statement.kind, statement.substatement, rows=())


def _is_there(column: Column, there: Mapping[str, Type]) -> bool:
    return column.name in there and is_alike(there[column.name], column.type)

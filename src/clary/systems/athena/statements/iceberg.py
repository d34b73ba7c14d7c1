"""Which statements are performed otherwise when the table they name is Iceberg's."""

import importlib
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar

from clary.systems.athena.contract import Outcome, Running, StatementFailed
from clary.systems.athena.statements import catalog

S = TypeVar("S")

ICEBERG: Mapping[str, str] = {
    "AddColumns": "iceberg_columns:add_columns",
    "ChangeColumn": "iceberg_columns:change_column",
    "CreateTable": "iceberg_tables:create_table",
    "CreateTableAs": "iceberg_writing:create_table_as",
    "Delete": "iceberg_rows:delete",
    "Describe": "iceberg_showing:describe",
    "DropColumn": "iceberg_columns:drop_column",
    "DropTable": "iceberg_tables:drop_table",
    "InsertInto": "iceberg_writing:insert_into",
    "Merge": "iceberg_rows:merge",
    "Optimize": "iceberg_upkeep:optimize",
    "RenameTable": "iceberg_tables:rename_table",
    "ReplaceColumns": "iceberg_columns:replace_columns",
    "SetTableProperties": "iceberg_tables:set_table_properties",
    "ShowColumns": "iceberg_showing:show_columns",
    "ShowCreateTable": "iceberg_showing:show_create_table",
    "ShowTableProperties": "iceberg_showing:show_properties",
    "UnsetTableProperties": "iceberg_tables:unset_table_properties",
    "Update": "iceberg_rows:update",
    "Vacuum": "iceberg_upkeep:vacuum",
}
"""By the name of a class in `language.statements`, the module of this package and the function in it."""


def or_iceberg(perform: Callable[[Running, S], Outcome]) -> Callable[[Running, S], Outcome]:
    """Performs a statement by another function when it creates an Iceberg table, or its table is one."""

    @wraps(perform)
    def chosen(running: Running, statement: S) -> Outcome:
        if _of_iceberg(running, statement):
            return iceberg_performer(statement)(running, statement)
        return perform(running, statement)

    return chosen


def or_iceberg_if_it_can(perform: Callable[[Running, S], Outcome]) -> Callable[[Running, S], Outcome]:
    """As `or_iceberg`, but where nothing is said of a statement for Iceberg tables, it is performed as for others."""

    @wraps(perform)
    def chosen(running: Running, statement: S) -> Outcome:
        if type(statement).__name__ in ICEBERG and _of_iceberg(running, statement):
            return iceberg_performer(statement)(running, statement)
        return perform(running, statement)

    return chosen


def iceberg_performer(statement: Any) -> Callable[[Running, Any], Outcome]:
    """What performs a statement on Iceberg tables. Raises StatementFailed when there is nothing that does."""
    name = type(statement).__name__
    if name not in ICEBERG:
        what = statement.substatement.replace("_", " ")
        raise StatementFailed("NOT_SUPPORTED", f"{what} is not supported for Iceberg tables")
    module, _, function = ICEBERG[name].partition(":")
    found: Callable[[Running, Any], Outcome] = getattr(importlib.import_module(f"{__package__}.{module}"), function)
    return found


def _of_iceberg(running: Running, statement: Any) -> bool:
    if hasattr(statement, "is_iceberg"):
        return bool(statement.is_iceberg)
    found = catalog.find_table(running, catalog.named(running, statement.name))
    return found is not None and catalog.is_iceberg(found)

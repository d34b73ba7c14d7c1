"""Who performs which statement: functions of a `Running` and a statement that return an `Outcome`, by its class.

They are named by their place and imported when they are needed, for they load heavy libraries.
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from clary.systems.athena.contract import Outcome, Running, StatementFailed

Perform = Callable[[Running, Any], Outcome]

_PLACE = "clary.systems.athena"

PERFORMERS: Mapping[str, str] = {
    "AddColumns": "statements.columns:add_columns",
    "AddPartitions": "statements.partitions:add_partitions",
    "AlterDatabaseProperties": "statements.databases:alter_database",
    "ChangeColumn": "statements.columns:change_column",
    "CreateDatabase": "statements.databases:create_database",
    "CreateTable": "statements.tables:create_table",
    "CreateTableAs": "statements.creating_as:create_table_as",
    "CreateView": "statements.views:create_view",
    "Deallocate": "statements.prepared:deallocate",
    "Delete": "statements.iceberg_rows:delete",
    "Describe": "statements.describing:describe",
    "DescribeDatabase": "statements.databases:describe_database",
    "DescribeView": "statements.views:describe_view",
    "DropColumn": "statements.columns:drop_column",
    "DropDatabase": "statements.databases:drop_database",
    "DropPartitions": "statements.partitions:drop_partitions",
    "DropTable": "statements.tables:drop_table",
    "DropView": "statements.views:drop_view",
    "Execute": "statements.prepared:execute",
    "Explain": "statements.explaining:explain",
    "InsertInto": "statements.inserting:insert_into",
    "Merge": "statements.iceberg_rows:merge",
    "MsckRepair": "statements.repair:repair",
    "Optimize": "statements.iceberg_upkeep:optimize",
    "Prepare": "statements.prepared:prepare",
    "Query": "running.querying:query",
    "RenamePartition": "statements.partitions:rename_partition",
    "RenameTable": "statements.tables:rename_table",
    "ReplaceColumns": "statements.columns:replace_columns",
    "SetLocation": "statements.tables:set_location",
    "SetSerDe": "statements.tables:set_serde",
    "SetTableProperties": "statements.tables:set_properties",
    "ShowColumns": "statements.showing:show_columns",
    "ShowCreateTable": "statements.showing:show_create_table",
    "ShowCreateView": "statements.views:show_create_view",
    "ShowDatabases": "statements.databases:show_databases",
    "ShowFunctions": "statements.showing:show_functions",
    "ShowPartitions": "statements.partitions:show_partitions",
    "ShowTableProperties": "statements.showing:show_properties",
    "ShowTables": "statements.showing:show_tables",
    "ShowViews": "statements.showing:show_views",
    "Unload": "statements.unloading:unload",
    "UnsetTableProperties": "statements.tables:unset_properties",
    "Update": "statements.iceberg_rows:update",
    "Vacuum": "statements.iceberg_upkeep:vacuum",
}
"""By the name of a class in `language.statements`, the module below this package and the function in it."""


def performer(statement: Any) -> Perform:
    """The function that performs a statement. Raises StatementFailed for one that nobody does."""
    name = type(statement).__name__
    if name not in PERFORMERS:
        raise StatementFailed("NOT_SUPPORTED", f"Clary does not perform {statement.substatement or name} yet")
    module, _, function = PERFORMERS[name].partition(":")
    found: Perform = getattr(importlib.import_module(f"{_PLACE}.{module}"), function)
    return found

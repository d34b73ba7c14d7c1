"""What performs which statement, other than queries: by its class, a module of this package and a function in it."""

from collections.abc import Mapping

STATEMENTS: Mapping[str, str] = {
    "AddColumns": "columns:add_columns",
    "AddPartitions": "partitions:add_partitions",
    "AlterDatabaseProperties": "databases:alter_database",
    "ChangeColumn": "columns:change_column",
    "CreateDatabase": "databases:create_database",
    "CreateTable": "tables:create_table",
    "Describe": "describing:describe",
    "DescribeDatabase": "databases:describe_database",
    "DropColumn": "columns:drop_column",
    "DropDatabase": "databases:drop_database",
    "DropPartitions": "partitions:drop_partitions",
    "DropTable": "tables:drop_table",
    "MsckRepair": "repair:repair",
    "RenamePartition": "partitions:rename_partition",
    "RenameTable": "tables:rename_table",
    "ReplaceColumns": "columns:replace_columns",
    "SetLocation": "tables:set_location",
    "SetSerDe": "tables:set_serde",
    "SetTableProperties": "tables:set_properties",
    "ShowColumns": "showing:show_columns",
    "ShowCreateTable": "showing:show_create_table",
    "ShowDatabases": "databases:show_databases",
    "ShowPartitions": "partitions:show_partitions",
    "ShowTableProperties": "showing:show_properties",
    "ShowTables": "showing:show_tables",
    "ShowViews": "showing:show_views",
    "UnsetTableProperties": "tables:unset_properties",
}

"""Partition indexes of a table."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clary.kernel.rooms import Context, operation
from clary.kernel.wire import paginate
from clary.systems.glue_catalog.lookup import CATALOG, find_table, not_found
from clary.systems.glue_catalog.partition_indexes import index_keys
from clary.systems.glue_catalog.records import Table


@operation("glue", "CreatePartitionIndex", resource=CATALOG)
def create_partition_index(
    ctx: Context,
    DatabaseName: str,
    TableName: str,
    PartitionIndex: Mapping[str, Any],
    CatalogId: str | None = None,
) -> None:
    """Add an index over some of a table's partition keys."""
    entry = find_table(ctx, CatalogId, DatabaseName, TableName)

    def add(table: Table) -> Table:
        keys = index_keys(table.input, table.indexes, PartitionIndex)
        return replace(table, indexes={**table.indexes, PartitionIndex["IndexName"]: keys})

    ctx.records(Table).update(entry.name, add)


@operation("glue", "GetPartitionIndexes", resource=CATALOG)
def get_partition_indexes(
    ctx: Context, DatabaseName: str, TableName: str, CatalogId: str | None = None, NextToken: str | None = None
) -> dict[str, Any]:
    """The indexes of a table."""
    table = find_table(ctx, CatalogId, DatabaseName, TableName).value
    types = {key["Name"]: key.get("Type") or "string" for key in table.input.get("PartitionKeys") or ()}
    shown = [
        {
            "IndexName": name,
            "Keys": [{"Name": key, "Type": types.get(key, "string")} for key in keys],
            "IndexStatus": "ACTIVE",
        }
        for name, keys in table.indexes.items()
    ]
    return paginate(ctx.operation, {"NextToken": NextToken}, shown)


@operation("glue", "DeletePartitionIndex", resource=CATALOG)
def delete_partition_index(
    ctx: Context, DatabaseName: str, TableName: str, IndexName: str, CatalogId: str | None = None
) -> None:
    """Remove an index of a table."""
    entry = find_table(ctx, CatalogId, DatabaseName, TableName)

    def drop(table: Table) -> Table:
        if IndexName not in table.indexes:
            raise not_found(f"Index with the given indexName : {IndexName} does not exist")
        return replace(table, indexes={name: keys for name, keys in table.indexes.items() if name != IndexName})

    ctx.records(Table).update(entry.name, drop)

"""Statistics of the columns of tables and partitions, as engines note them and ask for them."""

from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.rooms import Context, operation
from clary.kernel.store import Entry
from clary.systems.glue_catalog.api.partitions import find_partition
from clary.systems.glue_catalog.lookup import CATALOG, find_table
from clary.systems.glue_catalog.records import Table
from clary.systems.glue_catalog.statistics import delete_statistics, find_statistics, update_statistics


@operation("glue", "UpdateColumnStatisticsForTable", resource=CATALOG)
def update_column_statistics_for_table(
    ctx: Context,
    DatabaseName: str,
    TableName: str,
    ColumnStatisticsList: Sequence[Mapping[str, Any]],
    CatalogId: str | None = None,
) -> dict[str, Any]:
    """Note what is known of columns of a table; those that cannot be are told, and do not hold up the others."""
    table = find_table(ctx, CatalogId, DatabaseName, TableName)
    return {"Errors": update_statistics(ctx, table, None, ColumnStatisticsList)}


@operation("glue", "GetColumnStatisticsForTable", resource=CATALOG)
def get_column_statistics_for_table(
    ctx: Context, DatabaseName: str, TableName: str, ColumnNames: Sequence[str], CatalogId: str | None = None
) -> dict[str, Any]:
    """What is known of columns of a table; those of which nothing is are told."""
    return find_statistics(ctx, find_table(ctx, CatalogId, DatabaseName, TableName), None, ColumnNames)


@operation("glue", "DeleteColumnStatisticsForTable", resource=CATALOG)
def delete_column_statistics_for_table(
    ctx: Context, DatabaseName: str, TableName: str, ColumnName: str, CatalogId: str | None = None
) -> None:
    """Forget what is known of a column of a table."""
    delete_statistics(ctx, find_table(ctx, CatalogId, DatabaseName, TableName), None, ColumnName)


@operation("glue", "UpdateColumnStatisticsForPartition", resource=CATALOG)
def update_column_statistics_for_partition(
    ctx: Context,
    DatabaseName: str,
    TableName: str,
    PartitionValues: Sequence[str],
    ColumnStatisticsList: Sequence[Mapping[str, Any]],
    CatalogId: str | None = None,
) -> dict[str, Any]:
    """Note what is known of columns of a partition; those that cannot be are told, and do not hold up the others."""
    table, values = _partition(ctx, CatalogId, DatabaseName, TableName, PartitionValues)
    return {"Errors": update_statistics(ctx, table, values, ColumnStatisticsList)}


@operation("glue", "GetColumnStatisticsForPartition", resource=CATALOG)
def get_column_statistics_for_partition(
    ctx: Context,
    DatabaseName: str,
    TableName: str,
    PartitionValues: Sequence[str],
    ColumnNames: Sequence[str],
    CatalogId: str | None = None,
) -> dict[str, Any]:
    """What is known of columns of a partition; those of which nothing is are told."""
    table, values = _partition(ctx, CatalogId, DatabaseName, TableName, PartitionValues)
    return find_statistics(ctx, table, values, ColumnNames)


@operation("glue", "DeleteColumnStatisticsForPartition", resource=CATALOG)
def delete_column_statistics_for_partition(
    ctx: Context,
    DatabaseName: str,
    TableName: str,
    PartitionValues: Sequence[str],
    ColumnName: str,
    CatalogId: str | None = None,
) -> None:
    """Forget what is known of a column of a partition."""
    table, values = _partition(ctx, CatalogId, DatabaseName, TableName, PartitionValues)
    delete_statistics(ctx, table, values, ColumnName)


def _partition(
    ctx: Context, catalog_id: str | None, database: str, name: str, values: Sequence[str]
) -> tuple[Entry[Table], list[str]]:
    """The table, and the values of a partition that it has."""
    table = find_table(ctx, catalog_id, database, name)
    find_partition(ctx, table, values)
    return table, list(values)

"""Partitions: create, show, find, change, delete; one at a time and many."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation
from clary.kernel.store import AlreadyExists, Conflict, Entry
from clary.systems.glue_catalog.expressions import Condition, compile_condition
from clary.systems.glue_catalog.inputs import check_values, partition_input
from clary.systems.glue_catalog.lookup import (
    CATALOG,
    already_exists,
    find_table,
    invalid,
    modified_meanwhile,
    not_found,
)
from clary.systems.glue_catalog.pages import scan_page
from clary.systems.glue_catalog.records import (
    Partition,
    Table,
    partition_key,
    partition_values,
    partitions_below,
)
from clary.systems.glue_catalog.shown import show_partition
from clary.systems.glue_catalog.statistics import forget_statistics

_PAGE = 1000
_MAX_TRIES = 20


@operation("glue", "CreatePartition", resource=CATALOG)
def create_partition(
    ctx: Context,
    DatabaseName: str,
    TableName: str,
    PartitionInput: Mapping[str, Any],
    CatalogId: str | None = None,
) -> None:
    """Add a partition."""
    _create(ctx, find_table(ctx, CatalogId, DatabaseName, TableName), PartitionInput)


@operation("glue", "BatchCreatePartition", resource=CATALOG)
def batch_create_partition(
    ctx: Context,
    DatabaseName: str,
    TableName: str,
    PartitionInputList: Sequence[Mapping[str, Any]],
    CatalogId: str | None = None,
) -> dict[str, Any]:
    """Add partitions; those that cannot be added are told, and do not hold up the others."""
    table = find_table(ctx, CatalogId, DatabaseName, TableName)
    try:
        inputs = [partition_input(given, _keys(table)) for given in PartitionInputList]
        ctx.platform.store.apply([_insertion(ctx, table, given) for given in inputs])
        return {"Errors": []}
    except (AwsError, AlreadyExists):
        pairs = [(given.get("Values") or [], given) for given in PartitionInputList]
        return {"Errors": _each(pairs, lambda given: _create(ctx, table, given), "PartitionValues")}


@operation("glue", "GetPartition", resource=CATALOG)
def get_partition(
    ctx: Context, DatabaseName: str, TableName: str, PartitionValues: Sequence[str], CatalogId: str | None = None
) -> dict[str, Any]:
    """One partition by its values."""
    table = find_table(ctx, CatalogId, DatabaseName, TableName)
    return {"Partition": show_partition(table, find_partition(ctx, table, PartitionValues))}


@operation("glue", "GetPartitions", resource=CATALOG)
def get_partitions(
    ctx: Context,
    DatabaseName: str,
    TableName: str,
    CatalogId: str | None = None,
    Expression: str | None = None,
    NextToken: str | None = None,
    Segment: Mapping[str, int] | None = None,
    MaxResults: int | None = None,
    ExcludeColumnSchema: bool | None = None,
) -> dict[str, Any]:
    """The partitions that `Expression` is true for, in the order of their values; a share of them with `Segment`."""
    table = find_table(ctx, CatalogId, DatabaseName, TableName)
    condition = _condition(table, Expression)
    return scan_page(
        ctx,
        Partition,
        {"NextToken": NextToken, "MaxResults": MaxResults},
        lambda entry: show_partition(table, entry, columns=not ExcludeColumnSchema),
        wanted=_wanted(condition, Segment),
        default=_PAGE,
        parent=table.value.uid,
        name_prefix=_prefix(table, condition),
    )


@operation("glue", "BatchGetPartition", resource=CATALOG)
def batch_get_partition(
    ctx: Context,
    DatabaseName: str,
    TableName: str,
    PartitionsToGet: Sequence[Mapping[str, Any]],
    CatalogId: str | None = None,
) -> dict[str, Any]:
    """Those of these partitions that are there."""
    table = find_table(ctx, CatalogId, DatabaseName, TableName)
    names = [partition_key(table.value.uid, check_values(each["Values"], _keys(table))) for each in PartitionsToGet]
    found = [ctx.records(Partition).get(name) for name in names]
    return {"Partitions": [show_partition(table, entry) for entry in found if entry is not None], "UnprocessedKeys": []}


@operation("glue", "UpdatePartition", resource=CATALOG)
def update_partition(
    ctx: Context,
    DatabaseName: str,
    TableName: str,
    PartitionValueList: Sequence[str],
    PartitionInput: Mapping[str, Any],
    CatalogId: str | None = None,
) -> None:
    """Write over a partition, also over its values."""
    _update(ctx, find_table(ctx, CatalogId, DatabaseName, TableName), PartitionValueList, PartitionInput)


@operation("glue", "BatchUpdatePartition", resource=CATALOG)
def batch_update_partition(
    ctx: Context,
    DatabaseName: str,
    TableName: str,
    Entries: Sequence[Mapping[str, Any]],
    CatalogId: str | None = None,
) -> dict[str, Any]:
    """Write over partitions; those that cannot be are told, and do not hold up the others."""
    table = find_table(ctx, CatalogId, DatabaseName, TableName)

    def change(entry: Mapping[str, Any]) -> None:
        _update(ctx, table, entry["PartitionValueList"], entry["PartitionInput"])

    return {"Errors": _each([(entry["PartitionValueList"], entry) for entry in Entries], change, "PartitionValueList")}


@operation("glue", "DeletePartition", resource=CATALOG)
def delete_partition(
    ctx: Context, DatabaseName: str, TableName: str, PartitionValues: Sequence[str], CatalogId: str | None = None
) -> None:
    """Remove a partition; the data it describes stays."""
    _delete(ctx, find_table(ctx, CatalogId, DatabaseName, TableName), PartitionValues)


@operation("glue", "BatchDeletePartition", resource=CATALOG)
def batch_delete_partition(
    ctx: Context,
    DatabaseName: str,
    TableName: str,
    PartitionsToDelete: Sequence[Mapping[str, Any]],
    CatalogId: str | None = None,
) -> dict[str, Any]:
    """Remove partitions; those that cannot be are told, and do not hold up the others."""
    table = find_table(ctx, CatalogId, DatabaseName, TableName)
    pairs = [(each["Values"], each["Values"]) for each in PartitionsToDelete]
    return {"Errors": _each(pairs, lambda values: _delete(ctx, table, values), "PartitionValues")}


def _keys(table: Entry[Table]) -> Sequence[Mapping[str, Any]]:
    return table.value.input.get("PartitionKeys") or ()


def find_partition(ctx: Context, table: Entry[Table], values: Sequence[str]) -> Entry[Partition]:
    """The partition of these values. Raises EntityNotFoundException."""
    found = ctx.records(Partition).get(partition_key(table.value.uid, check_values(values, _keys(table))))
    if found is None:
        raise not_found("Cannot find partition.")
    return found


def _insertion(ctx: Context, table: Entry[Table], given: Mapping[str, Any]) -> Any:
    name = partition_key(table.value.uid, given["Values"])
    return ctx.records(Partition).insertion(name, Partition(dict(given)), parent=table.value.uid)


def _create(ctx: Context, table: Entry[Table], given: Mapping[str, Any]) -> None:
    checked = partition_input(given, _keys(table))
    try:
        ctx.platform.store.apply([_insertion(ctx, table, checked)])
    except AlreadyExists:
        raise already_exists("Partition already exists.") from None


def _update(ctx: Context, table: Entry[Table], values: Sequence[str], given: Mapping[str, Any]) -> None:
    # What names no values keeps those it has.
    checked = partition_input({"Values": list(values), **given}, _keys(table))
    records = ctx.records(Partition)
    for _ in range(_MAX_TRIES):
        entry = find_partition(ctx, table, values)
        try:
            if checked["Values"] == list(values):
                records.replace(entry, Partition(checked))
            else:
                removal = records.deletion(entry.name, version=entry.version)
                ctx.platform.store.apply([removal, _insertion(ctx, table, checked)])
                forget_statistics(ctx, table, list(values))
        except AlreadyExists:
            raise already_exists("Partition already exists.") from None
        except Conflict:
            continue
        return
    raise modified_meanwhile("Update of the partition")


def _delete(ctx: Context, table: Entry[Table], values: Sequence[str]) -> None:
    if not ctx.records(Partition).delete(find_partition(ctx, table, values).name):
        raise not_found("Cannot find partition.")
    forget_statistics(ctx, table, list(values))


def _each(pairs: Sequence[tuple[Sequence[str], Any]], act: Callable[[Any], None], member: str) -> list[dict[str, Any]]:
    """What `act` refuses of these, as errors with the values of the partition under `member`."""
    errors = []
    for values, given in pairs:
        try:
            act(given)
        except AwsError as error:
            detail = {"ErrorCode": error.code, "ErrorMessage": error.message}
            errors.append({member: list(values), "ErrorDetail": detail})
    return errors


def _condition(table: Entry[Table], expression: str | None) -> Condition | None:
    if not expression or expression.isspace():
        return None
    try:
        return compile_condition(expression, _keys(table))
    except ValueError as error:
        raise invalid(f"Expression {expression!r} is not understood: {error}") from None


def _prefix(table: Entry[Table], condition: Condition | None) -> str:
    """What the names of all partitions begin with that may be asked for."""
    values = [] if condition is None else condition.first_values
    if values and len(values) == len(_keys(table)):
        return partition_key(table.value.uid, values)
    return partitions_below(table.value.uid, values)


def _wanted(condition: Condition | None, segment: Mapping[str, int] | None) -> Callable[[str], bool] | None:
    if segment is not None and segment["SegmentNumber"] >= segment["TotalSegments"]:
        raise invalid(f"SegmentNumber must be below TotalSegments, {segment['TotalSegments']}: they count from 0")
    if condition is None and segment is None:
        return None

    def wanted(name: str) -> bool:
        if segment is not None and zlib.crc32(name.encode()) % segment["TotalSegments"] != segment["SegmentNumber"]:
            return False
        return condition is None or condition.keeps(partition_values(name))

    return wanted

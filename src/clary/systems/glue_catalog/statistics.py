"""Statistics of columns, of tables and of partitions: what may be said, and how it is stored."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context
from clary.kernel.rooms.lists import epoch_seconds
from clary.kernel.store import Entry
from clary.systems.glue_catalog.lookup import folded, invalid, not_found
from clary.systems.glue_catalog.records import ColumnStatistics, Table, statistics_below, statistics_key

Values = list[str] | None


def update_statistics(
    ctx: Context, table: Entry[Table], values: Values, given: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Write statistics over what is there; what cannot be written is told, and does not hold up the others."""
    columns = _columns(table)
    errors = []
    for each in given:
        try:
            name = folded(each["ColumnName"])
            if name not in columns:
                raise not_found(f"Column {name} of table {table.value.input['Name']} not found.")
            key = statistics_key(table.value.uid, values, name)
            ctx.records(ColumnStatistics).put(key, ColumnStatistics(_stored(each)), parent=table.value.uid)
        except AwsError as error:
            errors.append({"ColumnStatistics": each, "Error": _detail(error)})
    return errors


def find_statistics(ctx: Context, table: Entry[Table], values: Values, names: Sequence[str]) -> dict[str, Any]:
    """What is known of these columns; of which nothing is known is told."""
    found, errors = [], []
    for name in names:
        entry = ctx.records(ColumnStatistics).get(statistics_key(table.value.uid, values, folded(name)))
        if entry is None:
            error = not_found(f"No statistics of column {folded(name)} were found.")
            errors.append({"ColumnName": name, "Error": _detail(error)})
        else:
            found.append(_shown(entry.value.input))
    return {"ColumnStatisticsList": found, "Errors": errors}


def delete_statistics(ctx: Context, table: Entry[Table], values: Values, name: str) -> None:
    """Forget what is known of a column. Raises EntityNotFoundException where nothing is."""
    if not ctx.records(ColumnStatistics).delete(statistics_key(table.value.uid, values, folded(name))):
        raise not_found(f"No statistics of column {folded(name)} were found.")


def forget_statistics(ctx: Context, table: Entry[Table], values: list[str]) -> None:
    """Forget all that is known of a partition that is gone."""
    records = ctx.records(ColumnStatistics)
    for entry in records.all(name_prefix=statistics_below(table.value.uid, values)):
        records.delete(entry.name)


def _columns(table: Entry[Table]) -> set[str]:
    given = table.value.input
    own = (given.get("StorageDescriptor") or {}).get("Columns") or ()
    return {column["Name"].lower() for column in (*own, *(given.get("PartitionKeys") or ()))}


def _stored(given: Mapping[str, Any]) -> dict[str, Any]:
    data = given["StatisticsData"]
    kind = data["Type"]
    member = f"{kind.title()}ColumnStatisticsData"
    others = [name for name in data if name not in ("Type", member)]
    if others or data.get(member) is None:
        raise invalid(f"StatisticsData of type {kind} needs {member}, and can have no other")
    values = {name: _value(value) for name, value in data[member].items()}
    low, high = values.get("MinimumValue"), values.get("MaximumValue")
    if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
        raise invalid(f"MinimumValue {low} of {member} is above MaximumValue {high}")
    return {
        "ColumnName": folded(given["ColumnName"]),
        "ColumnType": given["ColumnType"],
        "AnalyzedTime": epoch_seconds(given["AnalyzedTime"]),
        "StatisticsData": {"Type": kind, member: values},
    }


def _value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {"UnscaledValue": base64.b64encode(value["UnscaledValue"]).decode(), "Scale": value["Scale"]}
    return epoch_seconds(value) if hasattr(value, "timestamp") else value


def _shown(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Statistics with their bytes as bytes again."""
    data = dict(stored["StatisticsData"])
    decimal = data.get("DecimalColumnStatisticsData")
    if decimal is not None:
        data["DecimalColumnStatisticsData"] = {
            name: {**value, "UnscaledValue": base64.b64decode(value["UnscaledValue"])}
            if isinstance(value, dict)
            else value
            for name, value in decimal.items()
        }
    return {**stored, "StatisticsData": data}


def _detail(error: AwsError) -> dict[str, str]:
    return {"ErrorCode": error.code, "ErrorMessage": error.message}

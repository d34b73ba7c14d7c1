"""The table of an offline store in the Glue catalog: made with the group, widened, told of partitions."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import OnePerPlatform, Platform
from clary.systems.feature_store.offline.columns import glue_columns
from clary.systems.feature_store.offline.layout import HOURS, hour_path
from clary.systems.feature_store.offline.store import Blocked, Store

_PARQUET = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {
        "SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
        "Parameters": {"serialization.format": "1"},
    },
}
_PARTITIONS_AT_ONCE = 100
_REMEMBERED_PARTITIONS = 100_000
_TRIES = 10

Partition = tuple[str, ...]


def table_input(store: Store) -> dict[str, Any]:
    """The table as CreateTable of Glue takes it."""
    database_table = store.table
    assert database_table is not None
    return {
        "Name": database_table[1],
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"EXTERNAL": "TRUE", "classification": "parquet"},
        "StorageDescriptor": {**_PARQUET, "Columns": glue_columns(store.definitions), "Location": store.location},
        "PartitionKeys": [{"Name": key, "Type": "string"} for key in HOURS],
    }


def partition_input(store: Store, values: Partition) -> dict[str, Any]:
    """A partition as CreatePartition of Glue takes it; it names no columns, so that it has those of the table."""
    return {
        "Values": list(values),
        "StorageDescriptor": {**_PARQUET, "Location": f"{store.location}/{hour_path(values)}"},
    }


def ensure(platform: Platform, store: Store) -> None:
    """Have the table there, with a column for each feature; may be repeated. Raises Blocked where it cannot be.

    Feature Store makes it in the account's name, as it does on AWS, whatever the role of the group may do.
    """
    if store.table is None:
        return
    database, name = store.table
    _call(platform, store, "CreateDatabase", {"AlreadyExistsException"}, DatabaseInput={"Name": database})
    wanted = table_input(store)
    for _ in range(_TRIES):
        made = _call(
            platform, store, "CreateTable", {"AlreadyExistsException"}, DatabaseName=database, TableInput=wanted
        )
        if made is not None:
            return
        found = _call(platform, store, "GetTable", {"EntityNotFoundException"}, DatabaseName=database, Name=name)
        if found is None:
            continue  # somebody took it away since
        table = found["Table"]
        if (table.get("StorageDescriptor") or {}).get("Location", "").rstrip("/") != store.location:
            raise Blocked(f"Another table has the name {database}.{name}: give the feature group another TableName.")
        missing = _missing(table["StorageDescriptor"]["Columns"], wanted["StorageDescriptor"]["Columns"])
        if not missing:
            return
        widened = {**_as_input(table), "StorageDescriptor": {**table["StorageDescriptor"], "Columns": missing}}
        done = _call(
            platform,
            store,
            "UpdateTable",
            {"ConcurrentModificationException", "EntityNotFoundException"},
            DatabaseName=database,
            TableInput=widened,
            VersionId=table["VersionId"],
        )
        if done is not None:
            return
    raise Blocked(f"The table {database}.{name} kept changing while a column was to be added.")


def add_partitions(platform: Platform, store: Store, partitions: Iterable[Partition]) -> None:
    """Tell the catalog of partitions, those it has among them. A table that somebody took away is none to tell."""
    if store.table is None:
        return
    database, name = store.table
    told = _told(platform)
    new = [each for each in partitions if (store.uid, each) not in told]
    for start in range(0, len(new), _PARTITIONS_AT_ONCE):
        some = new[start : start + _PARTITIONS_AT_ONCE]
        answer = _call(
            platform,
            store,
            "BatchCreatePartition",
            {"EntityNotFoundException"},
            DatabaseName=database,
            TableName=name,
            PartitionInputList=[partition_input(store, each) for each in some],
        )
        if answer is None:
            return
        for error in answer.get("Errors") or ():
            detail = error["ErrorDetail"]
            if detail["ErrorCode"] != "AlreadyExistsException":
                raise Blocked(f"A partition of {database}.{name} cannot be added: {detail['ErrorMessage']}")
        if len(told) > _REMEMBERED_PARTITIONS:
            told.clear()
        told.update((store.uid, each) for each in some)


def _missing(has: Sequence[Mapping[str, Any]], wanted: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The columns with those that are to be there, in the order of these; none at all where nothing is missing."""
    names = {each["Name"].lower() for each in has}
    if all(each["Name"] in names for each in wanted):
        return []
    known = {each["Name"] for each in wanted}
    return [*wanted, *(each for each in has if each["Name"].lower() not in known)]


_INPUT = ("Name", "Description", "Owner", "Retention", "PartitionKeys", "TableType", "Parameters")


def _as_input(table: Mapping[str, Any]) -> dict[str, Any]:
    return {member: table[member] for member in _INPUT if table.get(member) is not None}


def _call(platform: Platform, store: Store, operation: str, fine: set[str], **params: Any) -> dict[str, Any] | None:
    """Glue's answer, None for one of the errors that are fine. Raises Blocked for any other."""
    try:
        return platform.call(store.account, store.region, "glue", operation, **params)
    except AwsError as error:
        if error.code in fine:
            return None
        raise Blocked(f"The Glue catalog refused {operation}: {error.message}") from None


_told: OnePerPlatform[set[tuple[str, Partition]]] = OnePerPlatform(lambda _: set())

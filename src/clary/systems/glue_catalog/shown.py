"""Databases, tables and partitions as the API shows them."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.store import Entry
from clary.systems.glue_catalog.inputs import DEFAULT_PERMISSIONS
from clary.systems.glue_catalog.records import Database, Partition, Table, TableVersion

_DESCRIPTOR = {"Compressed": False, "NumberOfBuckets": 0, "StoredAsSubDirectories": False}


def show_database(entry: Entry[Database]) -> dict[str, Any]:
    return {
        "CreateTableDefaultPermissions": DEFAULT_PERMISSIONS,
        **entry.value.input,
        "CreateTime": entry.created_at,
        "CatalogId": entry.account,
    }


def show_table(entry: Entry[Table]) -> dict[str, Any]:
    """The table as it is now."""
    return _table(entry, entry.value.input, entry.value.number, entry.updated_at)


def show_link(entry: Entry[Table], linked: Entry[Table]) -> dict[str, Any]:
    """The table that an entry links to under the name of the link; the table itself where it is no link."""
    shown = show_table(linked)
    if entry.value.uid == linked.value.uid:
        return shown
    own = {"Name": entry.value.input["Name"], "DatabaseName": entry.value.database}
    return {**shown, **own, "TargetTable": entry.value.input["TargetTable"]}


def show_version(entry: Entry[Table], version: TableVersion | None = None) -> dict[str, Any]:
    """A past version of a table, or the current one, as a TableVersion."""
    past = None if version is None else _table(entry, version.input, version.number, version.updated_at)
    shown = past or show_table(entry)
    return {"Table": shown, "VersionId": shown["VersionId"]}


def show_partition(table: Entry[Table], entry: Entry[Partition], *, columns: bool = True) -> dict[str, Any]:
    """A partition; without its `columns` where they are not wanted."""
    shown = {
        **entry.value.input,
        "DatabaseName": table.value.database,
        "TableName": table.value.input["Name"],
        "CreationTime": entry.created_at,
        "CatalogId": table.account,
    }
    descriptor = _descriptor(shown)
    if descriptor is not None:
        shown["StorageDescriptor"] = {
            member: value for member, value in descriptor.items() if columns or member != "Columns"
        }
    return shown


def _table(entry: Entry[Table], given: Mapping[str, Any], number: int, updated_at: float) -> dict[str, Any]:
    shown = {
        **given,
        "DatabaseName": entry.value.database,
        "CreateTime": entry.created_at,
        "UpdateTime": updated_at,
        "CreatedBy": entry.value.created_by,
        "IsRegisteredWithLakeFormation": False,
        "CatalogId": entry.account,
        "VersionId": str(number),
    }
    descriptor = _descriptor(shown)
    return shown if descriptor is None else {**shown, "StorageDescriptor": descriptor}


def _descriptor(shown: Mapping[str, Any]) -> dict[str, Any] | None:
    given = shown.get("StorageDescriptor")
    return None if given is None else {**_DESCRIPTOR, **given}

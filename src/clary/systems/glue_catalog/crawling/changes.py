"""Whether a table or partition of the catalog is what a crawl found. Pure."""

from collections.abc import Mapping
from typing import Any

Document = Mapping[str, Any]

# What the catalog shows of a descriptor that says nothing of it.
_DEFAULTS = {"Compressed": False, "NumberOfBuckets": 0, "StoredAsSubDirectories": False}


def same_definition(table: Document, wanted: Document) -> bool:
    """Whether a table is as it is wanted, in all that a crawler says."""
    return all(
        (
            _descriptor(table) == _descriptor(wanted),
            _columns(table.get("PartitionKeys")) == _columns(wanted.get("PartitionKeys")),
            (table.get("Parameters") or {}) == (wanted.get("Parameters") or {}),
            (table.get("TableType") or "") == (wanted.get("TableType") or ""),
        )
    )


def same_partition(partition: Document, wanted: Document) -> bool:
    return _descriptor(partition) == _descriptor(wanted) and (partition.get("Parameters") or {}) == (
        wanted.get("Parameters") or {}
    )


def keeping_columns(table: Document, wanted: Document) -> dict[str, Any]:
    """The wanted table with the columns that it has, as they are, and behind them those that are new."""
    kept = (table.get("StorageDescriptor") or {}).get("Columns") or []
    names = {column["Name"].lower() for column in (*kept, *(table.get("PartitionKeys") or ()))}
    new = [column for column in wanted["StorageDescriptor"]["Columns"] if column["Name"] not in names]
    return {**wanted, "StorageDescriptor": {**wanted["StorageDescriptor"], "Columns": [*kept, *new]}}


def _descriptor(document: Document) -> dict[str, Any]:
    descriptor = {**_DEFAULTS, **(document.get("StorageDescriptor") or {})}
    return {**descriptor, "Columns": _columns(descriptor.get("Columns"))}


def _columns(columns: Any) -> list[tuple[str, str, str]]:
    return [(each["Name"], each.get("Type") or "string", each.get("Comment") or "") for each in columns or ()]

"""Whether a table or partition of the catalog is what a crawl found. Pure."""

from collections.abc import Mapping
from typing import Any

Document = Mapping[str, Any]

DEPRECATED = "DEPRECATED_BY_CRAWLER"
_MEASURES = frozenset({"averageRecordSize", "objectCount", "recordCount", "sizeKey"})

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


def keeping(table: Document, wanted: Document) -> dict[str, Any]:
    """The wanted table with the columns that it has, as they are, and behind them those that are new.

    How it is read stays too, but for what crawlers say of that; so do parameters of which they know nothing.
    """
    has = table.get("StorageDescriptor") or {}
    kept = has.get("Columns") or []
    names = {column["Name"].lower() for column in (*kept, *(table.get("PartitionKeys") or ()))}
    new = [column for column in wanted["StorageDescriptor"]["Columns"] if column["Name"] not in names]
    descriptor = {**wanted["StorageDescriptor"], "Columns": [*kept, *new]}
    descriptor |= {member: has[member] for member in ("InputFormat", "OutputFormat") if has.get(member)}
    reader, found = has.get("SerdeInfo") or {}, descriptor["SerdeInfo"]
    descriptor["SerdeInfo"] = {**found, **reader, "Parameters": _joined(reader, found)}
    descriptor["Parameters"] = _joined(has, descriptor)
    return {**wanted, "StorageDescriptor": descriptor, "Parameters": _joined(table, wanted)}


def inheriting(partition: Document, inherited: Document) -> dict[str, Any]:
    """The partition with its own location and measures, and all else as its table's descriptor has it."""
    measures = {name: value for name, value in partition["Parameters"].items() if name in _MEASURES}
    parameters = {**(inherited.get("Parameters") or {}), **measures}
    made = {**inherited, "Location": partition["StorageDescriptor"]["Location"], "Parameters": parameters}
    return {**partition, "StorageDescriptor": made, "Parameters": parameters}


def _joined(has: Document, wanted: Document) -> dict[str, str]:
    """The parameters of both. What has been found again is not deprecated any more."""
    kept = {name: value for name, value in (has.get("Parameters") or {}).items() if name != DEPRECATED}
    return {**kept, **(wanted.get("Parameters") or {})}


def _descriptor(document: Document) -> dict[str, Any]:
    descriptor = {**_DEFAULTS, **(document.get("StorageDescriptor") or {})}
    return {**descriptor, "Columns": _columns(descriptor.get("Columns"))}


def _columns(columns: Any) -> list[tuple[str, str, str]]:
    return [(each["Name"], each.get("Type") or "string", each.get("Comment") or "") for each in columns or ()]

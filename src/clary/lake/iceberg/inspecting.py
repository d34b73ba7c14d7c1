"""The tables that a table of Iceberg has of itself: its files, snapshots, partitions, manifests, history and names.

Columns are Trino's, which Athena's users ask for as `"table$files"`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from pyiceberg.conversions import from_bytes
from pyiceberg.manifest import DataFile, DataFileContent, ManifestContent
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.table.snapshots import Snapshot, ancestors_of
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import IcebergType, PrimitiveType, TimestampType, UUIDType

from clary.lake.iceberg.planning import entries_of
from clary.lake.iceberg.tables import IcebergTable
from clary.lake.iceberg.types import lake_type
from clary.lake.tables import Column
from clary.lake.types import Type, arrow_type, parse_type

_MOMENT = Type("timestamptz")
_COUNTS = "map<int,bigint>"
_BOUNDS = "map<int,string>"
_COLUMNS: Mapping[str, Sequence[tuple[str, str | Type]]] = {
    "files": (
        ("content", "int"), ("file_path", "string"), ("file_format", "string"), ("record_count", "bigint"),
        ("file_size_in_bytes", "bigint"), ("column_sizes", _COUNTS), ("value_counts", _COUNTS),
        ("null_value_counts", _COUNTS), ("nan_value_counts", _COUNTS), ("lower_bounds", _BOUNDS),
        ("upper_bounds", _BOUNDS), ("key_metadata", "binary"), ("split_offsets", "array<bigint>"),
        ("equality_ids", "array<int>"),
    ),
    "history": (
        ("made_current_at", _MOMENT), ("snapshot_id", "bigint"), ("parent_id", "bigint"),
        ("is_current_ancestor", "boolean"),
    ),
    "snapshots": (
        ("committed_at", _MOMENT), ("snapshot_id", "bigint"), ("parent_id", "bigint"), ("operation", "string"),
        ("manifest_list", "string"), ("summary", "map<string,string>"),
    ),
    "manifests": (
        ("path", "string"), ("length", "bigint"), ("partition_spec_id", "int"), ("added_snapshot_id", "bigint"),
        ("added_data_files_count", "int"), ("added_rows_count", "bigint"), ("existing_data_files_count", "int"),
        ("existing_rows_count", "bigint"), ("deleted_data_files_count", "int"), ("deleted_rows_count", "bigint"),
        ("partition_summaries",
         "array<struct<contains_null:boolean,contains_nan:boolean,lower_bound:string,upper_bound:string>>"),
    ),
    "refs": (
        ("name", "string"), ("type", "string"), ("snapshot_id", "bigint"), ("max_reference_age_in_ms", "bigint"),
        ("min_snapshots_to_keep", "int"), ("max_snapshot_age_in_ms", "bigint"),
    ),
}  # fmt: skip
PARTS = (*_COLUMNS, "partitions")


def part_columns(table: IcebergTable, part: str) -> tuple[Column, ...]:
    """The columns of one of a table's own tables. Raises KeyError for one that there is not."""
    if part == "partitions":
        return _partition_columns(table)
    return tuple(Column(name, parse_type(of) if isinstance(of, str) else of) for name, of in _COLUMNS[part])


def part_rows(table: IcebergTable, part: str, snapshot: Snapshot | None = None) -> pa.Table:
    """Its rows, as of a snapshot or now."""
    at = snapshot or table.metadata.current_snapshot()
    rows = list(_ROWS[part](table, at))
    columns = part_columns(table, part)
    schema = pa.schema([pa.field(each.name, arrow_type(each.type)) for each in columns])
    return pa.Table.from_pylist(rows, schema)


def _files(table: IcebergTable, snapshot: Snapshot | None) -> Iterator[dict[str, Any]]:
    types = _primitives(table)
    for entry in entries_of(table, snapshot):
        file = entry.data_file
        yield {
            "content": int(file.content),
            "file_path": file.file_path,
            "file_format": file.file_format.value,
            "record_count": file.record_count,
            "file_size_in_bytes": file.file_size_in_bytes,
            "column_sizes": _pairs(file.column_sizes),
            "value_counts": _pairs(file.value_counts),
            "null_value_counts": _pairs(file.null_value_counts),
            "nan_value_counts": _pairs(file.nan_value_counts),
            "lower_bounds": _pairs(_shown_bounds(types, file.lower_bounds)),
            "upper_bounds": _pairs(_shown_bounds(types, file.upper_bounds)),
            "key_metadata": file.key_metadata,
            "split_offsets": file.split_offsets,
            "equality_ids": file.equality_ids,
        }


def _history(table: IcebergTable, _: Snapshot | None) -> Iterator[dict[str, Any]]:
    ancestors = {each.snapshot_id for each in ancestors_of(table.metadata.current_snapshot(), table.metadata)}
    for entry in table.metadata.snapshot_log:
        snapshot = table.metadata.snapshot_by_id(entry.snapshot_id)
        yield {
            "made_current_at": _moment(entry.timestamp_ms),
            "snapshot_id": entry.snapshot_id,
            "parent_id": snapshot.parent_snapshot_id if snapshot else None,
            "is_current_ancestor": entry.snapshot_id in ancestors,
        }


def _snapshots(table: IcebergTable, _: Snapshot | None) -> Iterator[dict[str, Any]]:
    for snapshot in sorted(table.metadata.snapshots, key=lambda each: each.timestamp_ms):
        summary = snapshot.summary
        yield {
            "committed_at": _moment(snapshot.timestamp_ms),
            "snapshot_id": snapshot.snapshot_id,
            "parent_id": snapshot.parent_snapshot_id,
            "operation": summary.operation.value if summary else None,
            "manifest_list": snapshot.manifest_list,
            "summary": list(summary.additional_properties.items()) if summary else None,
        }


def _manifests(table: IcebergTable, snapshot: Snapshot | None) -> Iterator[dict[str, Any]]:
    specs = table.metadata.specs()
    for manifest in snapshot.manifests(table.io) if snapshot else ():
        types = [field.field_type for field in specs[manifest.partition_spec_id].partition_type(table.schema).fields]
        yield {
            "path": manifest.manifest_path,
            "length": manifest.manifest_length,
            "partition_spec_id": manifest.partition_spec_id,
            "added_snapshot_id": manifest.added_snapshot_id,
            "added_data_files_count": manifest.added_files_count,
            "added_rows_count": manifest.added_rows_count,
            "existing_data_files_count": manifest.existing_files_count,
            "existing_rows_count": manifest.existing_rows_count,
            "deleted_data_files_count": manifest.deleted_files_count,
            "deleted_rows_count": manifest.deleted_rows_count,
            "partition_summaries": [
                {
                    "contains_null": each.contains_null,
                    "contains_nan": each.contains_nan,
                    "lower_bound": _shown(of, each.lower_bound),
                    "upper_bound": _shown(of, each.upper_bound),
                }
                for of, each in zip(types, manifest.partitions or (), strict=False)
            ],
        }


def _refs(table: IcebergTable, _: Snapshot | None) -> Iterator[dict[str, Any]]:
    for name, ref in table.metadata.refs.items():
        yield {
            "name": name,
            "type": ref.snapshot_ref_type.value.upper(),
            "snapshot_id": ref.snapshot_id,
            "max_reference_age_in_ms": ref.max_ref_age_ms,
            "min_snapshots_to_keep": ref.min_snapshots_to_keep,
            "max_snapshot_age_in_ms": ref.max_snapshot_age_ms,
        }


def _partition_columns(table: IcebergTable) -> tuple[Column, ...]:
    keys = table.metadata.spec().partition_type(table.schema).fields
    columns = [
        Column("record_count", Type("bigint")),
        Column("file_count", Type("bigint")),
        Column("total_size", Type("bigint")),
    ]
    if keys:
        partition = Type(
            "struct", (), tuple(_type(each.field_type) for each in keys), tuple(each.name for each in keys)
        )
        columns.insert(0, Column("partition", partition))
    measured = _measured(table)
    if measured:
        counts = (Type("bigint"), Type("bigint"))
        of = tuple(
            Type("struct", (), (_type(kind), _type(kind), *counts), ("min", "max", "null_count", "nan_count"))
            for _, _, kind in measured
        )
        columns.append(Column("data", Type("struct", (), of, tuple(name for _, name, _ in measured))))
    return tuple(columns)


def _partitions(table: IcebergTable, snapshot: Snapshot | None) -> Iterator[dict[str, Any]]:
    """What there is of each partition of the table as it is parted now; files of other partitionings have no values."""
    spec = table.metadata.spec()
    groups: dict[tuple[Any, ...], list[DataFile]] = defaultdict(list)
    for entry in entries_of(table, snapshot, (ManifestContent.DATA,)):
        if entry.data_file.content == DataFileContent.DATA:
            groups[_key(table.metadata.specs()[entry.data_file.spec_id], spec, entry.data_file)].append(entry.data_file)
    fields = spec.partition_type(table.schema).fields
    for key, files in groups.items():
        row: dict[str, Any] = {
            "record_count": sum(file.record_count for file in files),
            "file_count": len(files),
            "total_size": sum(file.file_size_in_bytes for file in files),
            "data": {name: _measure(number, kind, files) for number, name, kind in _measured(table)},
        }
        if fields:
            row["partition"] = {
                field.name: _value(field.field_type, value) for field, value in zip(fields, key, strict=True)
            }
        yield row


def _key(of_file: PartitionSpec, spec: PartitionSpec, file: DataFile) -> tuple[Any, ...]:
    there = {part.field_id: file.partition[place] for place, part in enumerate(of_file.fields)}
    return tuple(there.get(part.field_id) for part in spec.fields)


def _measure(number: int, kind: IcebergType, files: Sequence[DataFile]) -> dict[str, Any]:
    of: Any = kind
    lows = [from_bytes(of, found) for file in files if (found := (file.lower_bounds or {}).get(number)) is not None]
    highs = [from_bytes(of, found) for file in files if (found := (file.upper_bounds or {}).get(number)) is not None]
    nulls = [(file.null_value_counts or {}).get(number) for file in files]
    nans = [(file.nan_value_counts or {}).get(number) for file in files]
    return {
        "min": _value(kind, min(lows)) if lows else None,
        "max": _value(kind, max(highs)) if highs else None,
        "null_count": sum(each or 0 for each in nulls),
        "nan_count": sum(each or 0 for each in nans) if any(each is not None for each in nans) else None,
    }


def _measured(table: IcebergTable) -> list[tuple[int, str, IcebergType]]:
    keys = {part.source_id for part in table.metadata.spec().fields if isinstance(part.transform, IdentityTransform)}
    return [
        (field.field_id, field.name.lower(), field.field_type)
        for field in table.schema.fields
        if isinstance(field.field_type, PrimitiveType) and field.field_id not in keys
    ]


def _value(of: IcebergType, value: Any) -> Any:
    """A value of metadata as Arrow takes it."""
    if isinstance(of, TimestampType) and isinstance(value, int):
        return value * 1000  # Arrow's count nanoseconds here
    return str(value) if isinstance(of, UUIDType) and value is not None else value


def _type(of: IcebergType) -> Type:
    return Type("string") if isinstance(of, UUIDType) else lake_type(of)


def _primitives(table: IcebergTable) -> Mapping[int, PrimitiveType]:
    found: dict[int, PrimitiveType] = {}
    for schema in table.metadata.schemas:
        for number in schema.field_ids:
            of = schema.find_type(number)
            if isinstance(of, PrimitiveType):
                found[number] = of
    return found


def _shown_bounds(types: Mapping[int, PrimitiveType], bounds: Mapping[int, bytes] | None) -> dict[int, str] | None:
    if bounds is None:
        return None
    return {
        number: shown for number, found in bounds.items() if (shown := _shown(types.get(number), found)) is not None
    }


def _shown(of: IcebergType | None, found: bytes | None) -> str | None:
    if found is None or not isinstance(of, PrimitiveType):
        return None if found is None else found.decode("utf-8", "replace")
    made: Any = IdentityTransform()
    return str(made.to_human_string(of, from_bytes(of, found)))


def _pairs(found: Mapping[Any, Any] | None) -> list[tuple[Any, Any]] | None:
    return None if found is None else sorted(found.items())


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


_ROWS: Mapping[str, Callable[[IcebergTable, Snapshot | None], Iterator[dict[str, Any]]]] = {
    "files": _files,
    "history": _history,
    "snapshots": _snapshots,
    "manifests": _manifests,
    "refs": _refs,
    "partitions": _partitions,
}

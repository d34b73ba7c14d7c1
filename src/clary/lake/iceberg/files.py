"""Data files and delete files as manifests list them: what a Parquet file says of itself, and where it belongs."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pyiceberg.conversions import to_bytes
from pyiceberg.io.pyarrow import (
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionField
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.typedef import Record
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IcebergType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    TimestampType,
    TimestamptzType,
    TimeType,
)

from clary.lake.engine.tasks import IcebergFiles, WrittenFile
from clary.lake.iceberg.access import Access
from clary.lake.iceberg.tables import IcebergTable, Refused
from clary.lake.iceberg.types import lake_type, with_id
from clary.lake.tables import Column

PATH_FIELD = NestedField(2147483546, "file_path", StringType(), required=True)
POSITION_FIELD = NestedField(2147483545, "pos", LongType(), required=True)


def data_file(metadata: TableMetadata, uri: str, path: Path, partition: Sequence[Any], spec_id: int) -> DataFile:
    """A Parquet file that lies at `path` and is stored under `uri`, in the partition of these values."""
    schema = metadata.schema()
    statistics = data_file_statistics_from_parquet_metadata(
        pq.read_metadata(path), compute_statistics_plan(schema, metadata.properties), parquet_path_to_id_mapping(schema)
    )
    return _with_spec(
        DataFile.from_args(
            content=DataFileContent.DATA,
            file_path=uri,
            file_format=FileFormat.PARQUET,
            partition=Record(*partition),
            file_size_in_bytes=path.stat().st_size,
            sort_order_id=None,
            equality_ids=None,
            key_metadata=None,
            **statistics.to_serialized_dict(),
        ),
        spec_id,
    )


def position_deletes(
    uri: str, path: Path, partition: Sequence[Any], spec_id: int, rows: int, paths: Sequence[str]
) -> DataFile:
    """A file of position deletes. `paths` are the least and the greatest of the data files that it names."""
    low, high = min(paths), max(paths)
    return _with_spec(
        DataFile.from_args(
            content=DataFileContent.POSITION_DELETES,
            file_path=uri,
            file_format=FileFormat.PARQUET,
            partition=Record(*partition),
            record_count=rows,
            file_size_in_bytes=path.stat().st_size,
            # Whole, not shortened: readers see by them which one data file it is about.
            lower_bounds={PATH_FIELD.field_id: to_bytes(StringType(), low)},
            upper_bounds={PATH_FIELD.field_id: to_bytes(StringType(), high)},
            sort_order_id=None,
            equality_ids=None,
            key_metadata=None,
        ),
        spec_id,
    )


def missing_values(file: DataFile, schema: Schema) -> str:
    """The name of a column that must have values and lacks some in a file; empty where there is none."""
    counts: Mapping[int, int] = file.null_value_counts or {}
    for field in schema.fields:
        if field.required and field.field_type.is_primitive and counts.get(field.field_id):
            return field.name
    return ""


def output_of(table: IcebergTable, name: str, *, changes: bool = False) -> IcebergFiles:
    """How an engine writes rows for a table, in the order of its columns; `name` is in the names of the files."""
    schema = table.schema
    sources = {field.field_id: field.name for field in schema.fields}
    keys = []
    for part in table.metadata.spec().fields:
        if part.source_id not in sources:
            raise Refused(f"partitioning by fields inside others is not supported: {part.name}")
        keys.append((sources[part.source_id], *_transform_of(part)))
    properties = table.metadata.properties
    given = {
        "compression": properties.get("write.parquet.compression-codec", "zstd"),
        "compression_level": properties.get("write.parquet.compression-level", ""),
        "target_file_size": properties.get("write.target-file-size-bytes", ""),
    }
    return IcebergFiles(
        columns=tuple(Column(field.name, lake_type(field.field_type)) for field in schema.fields),
        field_ids={field.name: with_id(field.field_id, field.field_type) for field in schema.fields},
        keys=tuple(keys),
        properties={member: value for member, value in given.items() if value},
        name=name,
        changes=changes,
    )


def stored_data(access: Access, table: IcebergTable, written: Sequence[WrittenFile]) -> list[DataFile]:
    """Store the data files that an engine wrote; return what manifests say of them. Raises Refused, AwsError."""
    found = []
    spec, schema = table.metadata.spec(), table.schema
    for file in written:
        path = Path(file.path)
        partition = [_partition_value(part, schema, text) for part, text in zip(spec.fields, file.values, strict=True)]
        folder = spec.partition_to_path(Record(*partition), schema) if partition else ""
        uri = table.data_path(f"{_unique_part(path)}.parquet", folder)
        made = data_file(table.metadata, uri, path, partition, spec.spec_id)
        lacking = missing_values(made, schema)
        if lacking:
            raise Refused(f"NULL value not allowed for NOT NULL column: {lacking}")
        access.put(uri, path)
        found.append(made)
    return found


def _unique_part(path: Path) -> str:
    return path.name.removesuffix(".parquet")


def _transform_of(part: PartitionField) -> tuple[str, int]:
    transform: Any = part.transform
    name, _, width = str(transform).rstrip("]").partition("[")
    if name not in ("identity", "year", "month", "day", "hour", "bucket", "truncate"):
        raise Refused(f"Cannot write to a table that is partitioned by {transform}")
    return name, int(width or 0)


def _partition_value(part: PartitionField, schema: Schema, text: str | None) -> Any:
    """The value of a partition that an engine shows as a text, as manifests have it."""
    if text is None:
        return None
    of = schema.find_field(part.source_id).field_type
    if str(part.transform).partition("[")[0] not in ("identity", "truncate"):
        return int(text)
    return _VALUES.get(type(of), str)(text)


def _micros(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - _EPOCH) // timedelta(microseconds=1)


def _bytes(text: str) -> bytes:
    return re.sub(r"\\x([0-9A-Fa-f]{2})", lambda found: chr(int(found[1], 16)), text).encode("latin-1")


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VALUES: Mapping[type[IcebergType], Callable[[str], Any]] = {
    BooleanType: lambda text: text == "true",
    IntegerType: int,
    LongType: int,
    FloatType: float,
    DoubleType: float,
    DecimalType: Decimal,
    DateType: lambda text: (date.fromisoformat(text) - date(1970, 1, 1)).days,
    TimestampType: _micros,
    TimestamptzType: _micros,
    TimeType: lambda text: _micros(f"1970-01-01T{text}"),
    BinaryType: _bytes,
    FixedType: _bytes,
}


def _with_spec(file: DataFile, spec_id: int) -> DataFile:
    file.spec_id = spec_id
    return file

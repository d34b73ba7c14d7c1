"""New tables: their schema and partitioning, their first metadata, and their entry in the catalog."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from pyiceberg.exceptions import ValidationError
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC, PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.serializers import ToOutputFile
from pyiceberg.table.metadata import TableMetadata, new_table_metadata
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from pyiceberg.transforms import (
    BucketTransform,
    DayTransform,
    HourTransform,
    IdentityTransform,
    MonthTransform,
    Transform,
    TruncateTransform,
    YearTransform,
)
from pyiceberg.types import NestedField

from clary.kernel.core.errors import AwsError
from clary.lake.iceberg.access import Access, ObjectIO, s3_location
from clary.lake.iceberg.tables import IcebergTable, Refused, opened, table_input
from clary.lake.iceberg.types import iceberg_type
from clary.lake.tables import Column

_FIRST_PARTITION_ID = 1000


@dataclass(frozen=True, slots=True)
class PartitionBy:
    """What a table is partitioned by: a column, through `identity`, `year`, `month`, `day`, `hour`, `bucket` or
    `truncate`, of a width for the last two."""

    column: str
    transform: str = "identity"
    width: int = 0


def schema_of(columns: Sequence[Column]) -> Schema:
    """The columns as a schema, all of them optional."""
    numbers = count(1)
    places = [next(numbers) for _ in columns]
    fields = [
        NestedField(place, column.name, iceberg_type(column.type, lambda: next(numbers)), False, column.comment or None)
        for place, column in zip(places, columns, strict=True)
    ]
    return Schema(*fields)


def spec_of(schema: Schema, keys: Sequence[PartitionBy]) -> PartitionSpec:
    """The partitioning of a new table by these keys. Raises Refused."""
    if not keys:
        return UNPARTITIONED_PARTITION_SPEC
    by_name = {field.name.lower(): field for field in schema.fields}
    made: Any = PartitionField  # whose type knows the members by Iceberg's spelling alone
    fields = []
    for place, key in enumerate(keys):
        source = by_name.get(key.column.lower())
        if source is None:
            raise Refused(f"Unable to partition by a column that is not there: {key.column}")
        transform, name = _transform(key)
        if not source.field_type.is_primitive or not transform.can_transform(source.field_type):
            raise Refused(f"Invalid source type {source.field_type} of {key.column} for transform: {transform}")
        fields.append(
            made(source_id=source.field_id, field_id=_FIRST_PARTITION_ID + place, transform=transform, name=name)
        )
    if len({each.name for each in fields}) < len(fields):
        raise Refused("a column is partitioned by more than once in the same way")
    return PartitionSpec(*fields, spec_id=0)


def new_metadata(schema: Schema, spec: PartitionSpec, location: str, properties: Mapping[str, str]) -> TableMetadata:
    """The first metadata of a table. Raises Refused."""
    try:
        return new_table_metadata(
            schema, spec, UNSORTED_SORT_ORDER, s3_location(location).rstrip("/"), dict(properties), uuid.uuid4()
        )
    except (ValueError, ValidationError) as error:
        raise Refused(str(error)) from error


def create(
    access: Access,
    database: str,
    name: str,
    metadata: TableMetadata,
    *,
    owner: str = "",
    description: str = "",
    io: ObjectIO | None = None,
) -> IcebergTable:
    """Add a table to the catalog. Raises AwsError, AlreadyExistsException where there is one."""
    io = io or ObjectIO(access)
    location = f"{metadata.location}/metadata/00000-{uuid.uuid4()}.metadata.json"
    document = table_input(name, metadata, location, {"Owner": owner} if owner else {})
    if description:
        document["Description"] = description
    try:
        ToOutputFile.table_metadata(metadata, io.new_output(location), overwrite=True)
        access.call("CreateTable", DatabaseName=database, TableInput=document)
    except AwsError:
        io.discard([location])
        raise
    return opened({**document, "DatabaseName": database}, io)


def _transform(key: PartitionBy) -> tuple[Transform[Any, Any], str]:
    """The transform and, as other engines name it, the name of the field of the partition."""
    if key.transform == "identity":
        return IdentityTransform(), key.column
    if key.transform == "bucket":
        return BucketTransform(key.width), f"{key.column}_bucket"
    if key.transform == "truncate":
        return TruncateTransform(key.width), f"{key.column}_trunc"
    made = {"year": YearTransform, "month": MonthTransform, "day": DayTransform, "hour": HourTransform}
    return made[key.transform](), f"{key.column}_{key.transform}"

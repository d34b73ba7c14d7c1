"""Tables as the catalog describes them: columns, keys, where the files lie, and in which format. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clary.lake.types import Type, parse_type

PARQUET, ORC, AVRO, ICEBERG = "parquet", "orc", "avro", "iceberg"
CSV, OPEN_CSV, JSON, REGEX, GROK = "csv", "open_csv", "json", "regex", "grok"
CLOUDTRAIL = "cloudtrail"

_BY_SERIALIZER = {
    "org.apache.hadoop.hive.ql.io.parquet.serde.parquethiveserde": PARQUET,
    "org.apache.hadoop.hive.ql.io.orc.orcserde": ORC,
    "org.apache.hadoop.hive.serde2.avro.avroserde": AVRO,
    "org.apache.hadoop.hive.serde2.lazy.lazysimpleserde": CSV,
    "org.apache.hadoop.hive.serde2.opencsvserde": OPEN_CSV,
    "org.openx.data.jsonserde.jsonserde": JSON,
    "org.apache.hive.hcatalog.data.jsonserde": JSON,
    "org.apache.hadoop.hive.serde2.jsonserde": JSON,
    "com.amazon.ionhiveserde.ionhiveserde": "ion",
    "org.apache.hadoop.hive.serde2.regexserde": REGEX,
    "com.amazonaws.glue.serde.grokserde": GROK,
    "com.amazon.emr.hive.serde.cloudtrailserde": CLOUDTRAIL,
}
_CLOUDTRAIL_READER = "com.amazon.emr.cloudtrail.cloudtrailinputformat"
_BY_CLASSIFICATION = {"parquet": PARQUET, "orc": ORC, "avro": AVRO, "csv": CSV, "json": JSON}


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name in lower case, and its type."""

    name: str
    type: Type
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Partition:
    """Files of a table that share the values of its keys, as texts. Its format and columns may be its own."""

    values: tuple[str, ...]
    location: str
    format: str
    serde: Mapping[str, str] = field(default_factory=dict)
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the catalog.

    `location` is the S3 URI of its folder. `format` is one of the names above, empty where the catalog says none that
    is known; `serde` has the properties of its serializer, `properties` those of the table. `version` is the catalog's.
    A view has `view`, its text, and nothing that lies anywhere.
    """

    database: str
    name: str
    columns: tuple[Column, ...]
    keys: tuple[Column, ...] = ()
    location: str = ""
    format: str = ""
    serializer: str = ""
    serde: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    buckets: int = 0
    bucketed_by: tuple[str, ...] = ()
    view: str = ""
    version: str = ""


def table_of(document: Mapping[str, Any]) -> Table:
    """The table that a `Table` of Glue's API describes. Raises ValueError where a column's type is none."""
    descriptor = document.get("StorageDescriptor") or {}
    properties = dict(document.get("Parameters") or {})
    return Table(
        database=document["DatabaseName"],
        name=document["Name"],
        columns=columns_of(descriptor.get("Columns") or ()),
        keys=columns_of(document.get("PartitionKeys") or ()),
        location=descriptor.get("Location") or "",
        format=format_of(descriptor, properties),
        serializer=_serializer(descriptor),
        serde=_serde(descriptor),
        properties=properties,
        buckets=max(descriptor.get("NumberOfBuckets") or 0, 0),
        bucketed_by=tuple(name.lower() for name in descriptor.get("BucketColumns") or ()),
        view=(document.get("ViewOriginalText") or "") if document.get("TableType") == "VIRTUAL_VIEW" else "",
        version=document.get("VersionId") or "",
    )


def partition_of(table: Table, document: Mapping[str, Any]) -> Partition:
    """A partition of a table, from a `Partition` of Glue's API; what it does not say is as the table has it."""
    descriptor = document.get("StorageDescriptor") or {}
    columns = columns_of(descriptor.get("Columns") or ())
    return Partition(
        values=tuple(document["Values"]),
        location=descriptor.get("Location") or "",
        format=format_of(descriptor, document.get("Parameters") or {}) or table.format,
        serde=_serde(descriptor) or table.serde,
        columns=columns or table.columns,
    )


def columns_of(documents: Sequence[Mapping[str, Any]]) -> tuple[Column, ...]:
    """Columns as Glue's API lists them, less those that an Iceberg table had once.

    Raises ValueError, naming the column, where a type is none.
    """
    return tuple(_column(each) for each in documents if not _is_past(each))


def format_of(descriptor: Mapping[str, Any], properties: Mapping[str, str]) -> str:
    """The format that a StorageDescriptor says, by its serializer, else by its input format or classification."""
    if (properties.get("table_type") or "").upper() == "ICEBERG":
        return ICEBERG
    serializer = _serializer(descriptor).lower()
    reader = (descriptor.get("InputFormat") or "").lower()
    if serializer in _BY_SERIALIZER:
        found = _BY_SERIALIZER[serializer]
        return CLOUDTRAIL if found == JSON and reader == _CLOUDTRAIL_READER else found
    for name in (PARQUET, ORC, AVRO):
        if name in reader and not serializer:
            return name
    return "" if serializer else _BY_CLASSIFICATION.get((properties.get("classification") or "").lower(), "")


def _is_past(document: Mapping[str, Any]) -> bool:
    return (document.get("Parameters") or {}).get("iceberg.field.current") == "false"


def _column(document: Mapping[str, Any]) -> Column:
    try:
        return Column(
            document["Name"].lower(), parse_type(document.get("Type") or "string"), document.get("Comment") or ""
        )
    except ValueError as error:
        raise ValueError(f"column {document['Name']}: {error}") from None


def _serializer(descriptor: Mapping[str, Any]) -> str:
    return (descriptor.get("SerdeInfo") or {}).get("SerializationLibrary") or ""


def _serde(descriptor: Mapping[str, Any]) -> dict[str, str]:
    return dict((descriptor.get("SerdeInfo") or {}).get("Parameters") or {})

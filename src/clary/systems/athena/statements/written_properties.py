"""The properties of CREATE TABLE AS and of UNLOAD: which there are, and how they have files written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from clary.lake import tables
from clary.lake.formats.sinks import check_compression
from clary.lake.tables import Column
from clary.systems.athena.contract import StatementFailed
from clary.systems.athena.language.statements import Value
from clary.systems.athena.statements.storage import LAZY_SIMPLE, STORAGES, TEXT_READER, TEXT_WRITER, Storage

FORMATS: Mapping[str, tuple[str, Storage]] = {
    "PARQUET": (tables.PARQUET, STORAGES["PARQUET"]),
    "ORC": (tables.ORC, STORAGES["ORC"]),
    "AVRO": (tables.AVRO, STORAGES["AVRO"]),
    "JSON": (tables.JSON, Storage(TEXT_READER, TEXT_WRITER, "org.apache.hive.hcatalog.data.JsonSerDe")),
    "TEXTFILE": (tables.CSV, Storage(TEXT_READER, TEXT_WRITER, LAZY_SIMPLE)),
}
"""By the name of a format: what the engine calls it, and the classes that Hive names for it."""
_OF_TABLES = (
    "format", "write_compression", "parquet_compression", "orc_compression", "compression_level", "partitioned_by",
    "bucketed_by", "bucket_count", "external_location", "field_delimiter", "table_type", "is_external",
)  # fmt: skip
_OF_UNLOAD = ("format", "compression", "compression_level", "partitioned_by", "field_delimiter")
_DEFAULT_DELIMITER = "\x01"


@dataclass(frozen=True, slots=True)
class Written:
    """How rows are written: format, compression, keys, buckets, and where to when that is said."""

    format: str
    storage: Storage
    compression: str
    keys: tuple[str, ...] = ()
    bucketed_by: tuple[str, ...] = ()
    buckets: int = 0
    location: str | None = None
    serde: Mapping[str, str] = field(default_factory=dict)

    @property
    def properties(self) -> dict[str, str]:
        """What the engine is told."""
        return {**self.serde, "write.compression": self.compression}


def of_table(properties: Mapping[str, Value]) -> Written:
    """What CREATE TABLE AS says. Raises StatementFailed for a property that there is not, or a value that none has."""
    for name in properties:
        if name not in _OF_TABLES:
            raise _invalid(f"Catalog 'awsdatacatalog' table property '{name}' does not exist")
    kind = _text(properties, "table_type", "HIVE").upper()
    if kind != "HIVE":
        raise _invalid(f"table_type '{kind}' is not supported: it is HIVE or ICEBERG")
    if properties.get("is_external", True) is not True:
        raise _invalid("is_external must be true for tables of Hive")
    name = _format(properties)
    compression = _text(properties, "write_compression", "")
    for other, of in (("parquet_compression", "PARQUET"), ("orc_compression", "ORC")):
        if other in properties and name != of:
            raise _invalid(f"{other} is for tables of the format {of}, and this one's is {name}")
        compression = compression or _text(properties, other, "")
    buckets = properties.get("bucket_count")
    by = _names(properties, "bucketed_by")
    if bool(by) != (buckets is not None):
        raise _invalid("bucketed_by and bucket_count are set together")
    if buckets is not None and (
        not isinstance(buckets, int) or isinstance(buckets, bool) or not 0 < buckets <= 1_000_000
    ):
        raise _invalid(f"bucket_count must be a whole number above 0, and is {buckets}")
    location = _text(properties, "external_location", "") or None
    return _written(properties, name, compression, by, int(buckets or 0), location)


def of_unload(properties: Mapping[str, Value]) -> Written:
    """What UNLOAD says, which must name a format."""
    for name in properties:
        if name not in _OF_UNLOAD:
            raise _invalid(f"Unload property '{name}' does not exist: they are {', '.join(_OF_UNLOAD)}")
    if "format" not in properties:
        raise _invalid("Unload property 'format' is required: PARQUET, ORC, AVRO, JSON or TEXTFILE")
    return _written(properties, _format(properties), _text(properties, "compression", ""), (), 0, None)


def check_keys(columns: Sequence[Column], written: Written) -> None:
    """Raise StatementFailed unless the keys are the last columns, in their order, and the buckets' columns others."""
    names = [column.name for column in columns]
    data = names[: len(names) - len(written.keys)]
    if tuple(names[len(data) :]) != written.keys:
        missing = [name for name in written.keys if name not in names]
        if missing:
            raise _invalid(f"Partition columns {missing} not present in schema")
        raise StatementFailed(
            "HIVE_COLUMN_ORDER_MISMATCH",
            "Partition keys must be the last columns in the table and in the same order as the table properties: "
            f"[{', '.join(written.keys)}]",
        )
    if not data:
        raise _invalid("Table contains only partition columns")
    for name in written.bucketed_by:
        if name not in data:
            raise _invalid(f"Bucketing columns [{name}] not present in schema")
    for column in columns[len(data) :]:
        if column.type.children or column.type.name == "binary":
            raise StatementFailed(
                "INVALID_PARTITION_VALUE", f"{column.name} cannot be a partition key: its type is {column.type}"
            )


def _written(
    properties: Mapping[str, Value],
    name: str,
    compression: str,
    by: tuple[str, ...],
    buckets: int,
    location: str | None,
) -> Written:
    from clary.lake.engine.tasks import TaskFailed

    format_, storage = FORMATS[name]
    if "compression_level" in properties and compression.upper() != "ZSTD":
        raise _invalid("compression_level is for the compression ZSTD")
    if properties.get("compression_level", 3) != 3:
        raise _invalid("compression_level is 3, its default: Clary writes with no other")
    try:
        compression = check_compression(format_, compression)
    except TaskFailed as error:
        raise StatementFailed(error.code, error.message) from None
    serde = {"serialization.format": "1"}
    if "field_delimiter" in properties and name != "TEXTFILE":
        raise _invalid(f"field_delimiter is for the format TEXTFILE, and this one is {name}")
    if name == "TEXTFILE":
        delimiter = _text(properties, "field_delimiter", _DEFAULT_DELIMITER)
        if len(delimiter) != 1:
            raise _invalid(f"field_delimiter must be a single character, and is {delimiter!r}")
        serde = {"field.delim": delimiter, "serialization.format": delimiter}
    keys = _names(properties, "partitioned_by")
    return Written(format_, storage, compression, keys, by, buckets, location, serde)


def _format(properties: Mapping[str, Value]) -> str:
    name = _text(properties, "format", "PARQUET").upper()
    if name not in FORMATS:
        raise _invalid(f"format '{name}' is not supported: it is one of {', '.join(FORMATS)}")
    return name


def _text(properties: Mapping[str, Value], name: str, default: str) -> str:
    value = properties.get(name, default)
    if not isinstance(value, str):
        raise _invalid(f"Invalid value for property '{name}': it is a text, not {value}")
    return value


def _names(properties: Mapping[str, Value], name: str) -> tuple[str, ...]:
    value = properties.get(name, ())
    if not isinstance(value, tuple) or not all(isinstance(each, str) for each in value):
        raise _invalid(f"Invalid value for property '{name}': it is ARRAY['column', ...]")
    names = tuple(str(each).lower() for each in value)
    if len(set(names)) < len(names):
        raise _invalid(f"Property '{name}' names a column twice")
    return names


def _invalid(message: str) -> StatementFailed:
    return StatementFailed("INVALID_TABLE_PROPERTY", message)

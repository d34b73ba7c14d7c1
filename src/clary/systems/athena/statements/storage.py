"""How tables of each format are stored: the classes that Hive names for it, as Athena writes them into the catalog."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from clary.lake.tables import format_of
from clary.systems.athena.language.statements import CreateTable, StoredAs
from clary.systems.athena.statements.catalog import execution, semantic

_IO = "org.apache.hadoop.hive.ql.io"
_SERDE = "org.apache.hadoop.hive.serde2"


class Storage(NamedTuple):
    """The classes that read, write and serialize a format."""

    reader: str
    writer: str
    serde: str


LAZY_SIMPLE = f"{_SERDE}.lazy.LazySimpleSerDe"
TEXT_READER = "org.apache.hadoop.mapred.TextInputFormat"
TEXT_WRITER = f"{_IO}.HiveIgnoreKeyTextOutputFormat"
TEXTFILE = Storage(TEXT_READER, TEXT_WRITER, LAZY_SIMPLE)
JSON_SERDE = "org.openx.data.jsonserde.JsonSerDe"
STORAGES: Mapping[str, Storage] = {
    "TEXTFILE": TEXTFILE,
    "SEQUENCEFILE": Storage(
        "org.apache.hadoop.mapred.SequenceFileInputFormat", f"{_IO}.HiveSequenceFileOutputFormat", LAZY_SIMPLE
    ),
    "RCFILE": Storage(
        f"{_IO}.RCFileInputFormat", f"{_IO}.RCFileOutputFormat", f"{_SERDE}.columnar.LazyBinaryColumnarSerDe"
    ),
    "ORC": Storage(f"{_IO}.orc.OrcInputFormat", f"{_IO}.orc.OrcOutputFormat", f"{_IO}.orc.OrcSerde"),
    "PARQUET": Storage(
        f"{_IO}.parquet.MapredParquetInputFormat",
        f"{_IO}.parquet.MapredParquetOutputFormat",
        f"{_IO}.parquet.serde.ParquetHiveSerDe",
    ),
    "AVRO": Storage(
        f"{_IO}.avro.AvroContainerInputFormat", f"{_IO}.avro.AvroContainerOutputFormat", f"{_SERDE}.avro.AvroSerDe"
    ),
    "ION": Storage(
        "com.amazon.ionhiveserde.formats.IonInputFormat",
        "com.amazon.ionhiveserde.formats.IonOutputFormat",
        "com.amazon.ionhiveserde.IonHiveSerDe",
    ),
}
# SerDes that Athena knows and whose tables Clary's engine does not read: they may be described all the same.
_OTHER_SERDES = frozenset(
    {
        "com.amazon.emr.hive.serde.cloudtrailserde",
        "org.apache.hadoop.hive.serde2.columnar.columnarserde",
        "org.apache.hadoop.hive.serde2.columnar.lazybinarycolumnarserde",
        "com.amazonaws.glue.serde.grokserde",
        "org.apache.hadoop.hive.contrib.serde2.regexserde",
    }
)


def storage_of(statement: CreateTable) -> Storage:
    """How the table is stored that a statement creates. Raises StatementFailed for what Athena does not know."""
    stored = statement.stored_as or StoredAs("TEXTFILE")
    if stored.format and stored.format not in STORAGES:
        raise semantic(f"[Error 10055]: Unrecognized file format in STORED AS clause: {stored.format}")
    found = STORAGES[stored.format] if stored.format else Storage(stored.input_format, stored.output_format, "")
    given = statement.row_format.serde if statement.row_format is not None else ""
    if given:
        check_serde(given)
        return found._replace(serde=given)
    return found if found.serde else found._replace(serde=LAZY_SIMPLE)


def check_serde(name: str) -> None:
    """Raise StatementFailed unless Athena knows a SerDe."""
    if name.lower() not in _OTHER_SERDES and not format_of({"SerdeInfo": {"SerializationLibrary": name}}, {}):
        raise semantic(f"Cannot validate serde: {name}")


def checked_location(location: str) -> str:
    """A LOCATION as the catalog keeps it, without a slash at its end. Raises StatementFailed unless it is on S3."""
    scheme, _, rest = location.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme.lower() not in ("s3", "s3a", "s3n") or not bucket:
        raise execution(
            f"MetaException(message:{location} is no place of S3: LOCATION is written 's3://bucket/folder/')"
        )
    if "*" in key:
        raise execution(f"MetaException(message:{location}: a LOCATION has no wildcards)")
    return f"s3://{bucket}/{key.rstrip('/')}" if key.strip("/") else f"s3://{bucket}/"


def descriptor(storage: Storage, columns: list[dict[str, Any]], location: str, **more: Any) -> dict[str, Any]:
    """A StorageDescriptor as Athena writes it; `more` writes over what it says."""
    return {
        "Columns": columns,
        "Location": location,
        "InputFormat": storage.reader,
        "OutputFormat": storage.writer,
        "Compressed": False,
        "NumberOfBuckets": -1,
        "SerdeInfo": {"SerializationLibrary": storage.serde, "Parameters": {"serialization.format": "1"}},
        "BucketColumns": [],
        "SortColumns": [],
        "Parameters": {},
        "SkewedInfo": {
            "SkewedColumnNames": [],
            "SkewedColumnValues": [],
            "SkewedColumnValueLocationMaps": {},
        },
        "StoredAsSubDirectories": False,
        **more,
    }

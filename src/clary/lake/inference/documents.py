"""Tables and partitions as Glue's crawlers write them into the catalog. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from clary.lake.inference.csv_text import LAZY
from clary.lake.inference.found import NO_COMPRESSION, Found
from clary.lake.inference.grouping import Grouped, Measure, Part
from clary.lake.inference.merging import settled
from clary.lake.tables import AVRO, CSV, GROK, JSON, ORC, PARQUET, Column

_TEXT = (
    "org.apache.hadoop.mapred.TextInputFormat",
    "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
)
_FORMATS: Mapping[str, tuple[str, str]] = {
    PARQUET: (
        "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
        "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    ),
    ORC: ("org.apache.hadoop.hive.ql.io.orc.OrcInputFormat", "org.apache.hadoop.hive.ql.io.orc.OrcOutputFormat"),
    AVRO: (
        "org.apache.hadoop.hive.ql.io.avro.AvroContainerInputFormat",
        "org.apache.hadoop.hive.ql.io.avro.AvroContainerOutputFormat",
    ),
}
_SERIALIZERS: Mapping[str, str] = {
    PARQUET: "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
    ORC: "org.apache.hadoop.hive.ql.io.orc.OrcSerde",
    AVRO: "org.apache.hadoop.hive.serde2.avro.AvroSerDe",
    CSV: LAZY,
    JSON: "org.openx.data.jsonserde.JsonSerDe",
}
GROK_SERIALIZER = "com.amazonaws.glue.serde.GrokSerDe"
KEY_TYPE = "string"
_VERSION = "1.0"


class Crawled(NamedTuple):
    """Which crawler writes, in which run, and what it was told to leave out."""

    crawler: str
    run: str
    exclusions: tuple[str, ...] = ()


def table_input(name: str, location: str, table: Grouped, by: Crawled) -> dict[str, Any]:
    """The TableInput of a table at a location."""
    parameters = parameters_of(table.found, table.measure, by)
    return {
        "Name": name,
        "Owner": "owner",
        "Retention": 0,
        "TableType": "EXTERNAL_TABLE",
        "StorageDescriptor": descriptor(location, table.found, table.found.columns, parameters),
        "PartitionKeys": [{"Name": key, "Type": KEY_TYPE} for key in table.keys],
        "Parameters": parameters,
    }


def partition_input(location: str, part: Part, by: Crawled) -> dict[str, Any]:
    """The PartitionInput of a partition."""
    parameters = parameters_of(part.found, part.measure, by)
    made = descriptor(location, part.found, part.found.columns, parameters)
    return {"Values": list(part.values), "StorageDescriptor": made, "Parameters": parameters}


def descriptor(location: str, found: Found, columns: Sequence[Column], parameters: Mapping[str, str]) -> dict[str, Any]:
    """The StorageDescriptor of files that are read alike."""
    reader, writer = _FORMATS.get(found.classification, _TEXT)
    return {
        "Columns": columns_of(columns),
        "Location": location,
        "InputFormat": reader,
        "OutputFormat": writer,
        "Compressed": found.compression != NO_COMPRESSION,
        "NumberOfBuckets": -1,
        "SerdeInfo": _serde(found),
        "BucketColumns": [],
        "SortColumns": [],
        "Parameters": dict(parameters),
        "StoredAsSubDirectories": False,
    }


def columns_of(columns: Sequence[Column]) -> list[dict[str, str]]:
    return [
        {
            "Name": column.name,
            "Type": str(settled(column.type)),
            **({"Comment": column.comment} if column.comment else {}),
        }
        for column in columns
    ]


def parameters_of(found: Found, measure: Measure, by: Crawled) -> dict[str, str]:
    """What a crawler notes of files: how many there are, how large, and how they are read."""
    excluded = {"exclusions": "[" + ",".join(f'"{each}"' for each in by.exclusions) + "]"} if by.exclusions else {}
    return {
        "CrawlerSchemaDeserializerVersion": _VERSION,
        "CrawlerSchemaSerializerVersion": _VERSION,
        "UPDATED_BY_CRAWLER": by.crawler,
        **_measures(found, measure),
        "classification": found.classification,
        "compressionType": found.compression,
        "typeOfData": "file",
        **found.properties,
        **excluded,
    }


def _measures(found: Found, measure: Measure) -> dict[str, str]:
    return {
        "averageRecordSize": str(found.record_bytes),
        "objectCount": str(measure.objects),
        "recordCount": str(measure.records),
        "sizeKey": str(measure.size_bytes),
    }


def _serde(found: Found) -> dict[str, Any]:
    if found.reader == GROK:
        return {"SerializationLibrary": GROK_SERIALIZER, "Parameters": dict(found.serde)}
    library = found.reader or _SERIALIZERS.get(found.classification)
    parameters = dict(found.serde)
    if found.classification == JSON:
        parameters["paths"] = ",".join(found.paths)
    elif found.classification in _FORMATS:
        parameters["serialization.format"] = "1"
    return ({"SerializationLibrary": library} if library else {}) | {"Parameters": parameters}

"""JSON through a delivery stream into partitioned Parquet and ORC, by a table of the catalog: exactly what was sent."""

import base64
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.systems.firehose.tests.conftest import ROLE, Client
from clary.testing import eventually

pa = pytest.importorskip("pyarrow")

COLUMNS = [
    {"Name": "id", "Type": "bigint"},
    {"Name": "name", "Type": "string"},
    {"Name": "amount", "Type": "decimal(10,2)"},
    {"Name": "at", "Type": "timestamp"},
    {"Name": "tags", "Type": "array<string>"},
]


@pytest.fixture
def table(client: Client, unique: Callable[[str], str]) -> dict[str, str]:
    glue, database = client.server.client("glue"), unique("lake").replace("-", "_").lower()
    glue.create_database(DatabaseInput={"Name": database})
    glue.create_table(
        DatabaseName=database,
        TableInput={
            "Name": "events",
            "StorageDescriptor": {"Columns": COLUMNS, "Location": f"s3://{client.bucket}/data/"},
            "PartitionKeys": [{"Name": "country", "Type": "string"}],
        },
    )
    return {"DatabaseName": database, "TableName": "events", "RoleARN": ROLE}


def conversion(table: dict[str, str], serializer: dict[str, Any]) -> dict[str, Any]:
    return {
        "SchemaConfiguration": table,
        "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {}}},
        "OutputFormatConfiguration": {"Serializer": serializer},
    }


def event(number: int) -> dict[str, Any]:
    return {
        "Id": number,
        "name": f"event {number} é",
        "amount": f"{number}.25",
        "at": f"2024-03-09T12:00:{number % 60:02}Z",
        "tags": ["a"] * (number % 3),
        "country": "nl" if number % 2 else "de",
    }


def rows(data: bytes) -> list[dict[str, Any]]:
    from pyarrow import orc, parquet

    read = orc.read_table if data[:3] == b"ORC" else parquet.read_table
    return list(read(io.BytesIO(data)).to_pylist())


def test_partitioned_parquet_has_exactly_the_records(client: Client, table: dict[str, str]) -> None:
    configuration = client.part(
        BufferingHints={"SizeInMBs": 64, "IntervalInSeconds": 1},
        Prefix="data/country=!{partitionKeyFromQuery:country}/",
        ErrorOutputPrefix="errors/!{firehose:error-output-type}/",
        DynamicPartitioningConfiguration={"Enabled": True},
        DataFormatConversionConfiguration=conversion(table, {"ParquetSerDe": {"Compression": "GZIP"}}),
        ProcessingConfiguration={
            "Enabled": True,
            "Processors": [
                {
                    "Type": "MetadataExtraction",
                    "Parameters": [
                        {"ParameterName": "MetadataExtractionQuery", "ParameterValue": "{country:.country}"},
                        {"ParameterName": "JsonParsingEngine", "ParameterValue": "JQ-1.6"},
                    ],
                }
            ],
        },
    )
    name = client.create(configuration)
    sent = [event(number) for number in range(3000)]
    bad = b'{"id": "seven", "country": "nl"}'
    client.put(name, [*(json.dumps(each).encode() for each in sent), bad])

    def found() -> dict[str, list[dict[str, Any]]] | None:
        files = client.objects("data/")
        by_country: dict[str, list[dict[str, Any]]] = {"nl": [], "de": []}
        for key, data in files.items():
            assert key.endswith(".parquet")
            by_country[key.split("/")[1].removeprefix("country=")] += rows(data)
        return by_country if sum(map(len, by_country.values())) >= 3000 else None

    delivered = eventually(found)
    for country, got in delivered.items():
        expected = [each for each in sent if each["country"] == country]
        assert [row["id"] for row in sorted(got, key=lambda row: row["id"])] == [each["Id"] for each in expected]
        for row, each in zip(sorted(got, key=lambda row: row["id"]), expected, strict=True):
            assert (row["name"], row["tags"], str(row["amount"])) == (each["name"], each["tags"], each["amount"])
            assert row["at"].isoformat() == each["at"].removesuffix("Z")
    (line,) = client.delivered(1, "errors/format-conversion-failed/")
    document = json.loads(line)
    assert base64.b64decode(document.pop("rawData")) == bad
    assert document.pop("lastErrorMessage").startswith("Data does not match the schema. id: ")
    named = document.pop("dataCatalogTable")
    assert (named["databaseName"], named["tableName"]) == (table["DatabaseName"], "events")
    assert (named["versionId"], named["catalogId"], named["region"]) == ("0", "000000000000", "us-east-1")
    assert document.keys() == {
        "attemptsMade",
        "arrivalTimestamp",
        "lastErrorCode",
        "attemptEndingTimestamp",
        "sequenceNumber",
        "subSequenceNumber",
    }
    assert document["lastErrorCode"] == "DataFormatConversion.MalformedData"


def test_orc_waits_for_its_table_and_follows_its_changes(client: Client, table: dict[str, str]) -> None:
    glue = client.server.client("glue")
    missing = table | {"TableName": "later"}
    configuration = client.part(
        BufferingHints={"SizeInMBs": 64, "IntervalInSeconds": 0},
        Prefix="!{timestamp:yyyy}/",
        ErrorOutputPrefix="errors/",
        DataFormatConversionConfiguration=conversion(missing, {"OrcSerDe": {}}),
    )
    name = client.create(configuration)
    shown = client.describe(name)["Destinations"][0]["ExtendedS3DestinationDescription"]
    assert shown["DataFormatConversionConfiguration"]["SchemaConfiguration"] == missing
    client.put(name, [b'{"a": 1}'])

    def make(columns: dict[str, str]) -> dict[str, Any]:
        described = [{"Name": column, "Type": type_} for column, type_ in columns.items()]
        return {"Name": "later", "StorageDescriptor": {"Columns": described}}

    def read() -> list[dict[str, Any]]:
        files = client.objects("2")
        assert all(key.endswith(".orc") for key in files)
        return [row for data in files.values() for row in rows(data)]

    glue.create_table(DatabaseName=table["DatabaseName"], TableInput=make({"a": "int"}))
    eventually(lambda: read() == [{"a": 1}])
    glue.update_table(DatabaseName=table["DatabaseName"], TableInput=make({"a": "int", "b": "string"}))
    client.put(name, [b'{"a": 2, "b": "two"}'])
    eventually(lambda: sorted(read(), key=lambda row: row["a"]) == [{"a": 1}, {"a": 2, "b": "two"}])
    assert client.objects("errors/") == {}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"CompressionFormat": "GZIP"}, "UNCOMPRESSED"),
        ({"BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 60}}, "at least 64"),
        ({"DataFormatConversionConfiguration": {"Enabled": True}}, "SchemaConfiguration"),
    ],
)
def test_what_conversion_needs_is_said(client: Client, members: dict[str, Any], message: str) -> None:
    configuration = client.part(
        BufferingHints={"SizeInMBs": 64, "IntervalInSeconds": 60},
        DataFormatConversionConfiguration=conversion(
            {"DatabaseName": "d", "TableName": "t", "RoleARN": ROLE}, {"ParquetSerDe": {}}
        ),
    )
    with pytest.raises(ClientError, match=message) as refused:
        client.create(configuration | members)
    assert refused.value.response["Error"]["Code"] == "InvalidArgumentException"

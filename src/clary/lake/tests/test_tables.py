"""Tables as documents of Glue's API describe them."""

import pytest

from clary.lake.tables import CSV, ICEBERG, PARQUET, partition_of, table_of

PARQUET_SERDE = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
DOCUMENT = {
    "DatabaseName": "lake",
    "Name": "flights",
    "VersionId": "3",
    "PartitionKeys": [{"Name": "Month", "Type": "int"}],
    "StorageDescriptor": {
        "Columns": [{"Name": "Carrier", "Type": "string"}, {"Name": "delay"}],
        "Location": "s3://lake/flights/",
        "SerdeInfo": {"SerializationLibrary": PARQUET_SERDE, "Parameters": {"serialization.format": "1"}},
    },
}


def test_a_table_and_its_partition():
    table = table_of(DOCUMENT)
    assert [(column.name, str(column.type)) for column in (*table.columns, *table.keys)] == [
        ("carrier", "string"),
        ("delay", "string"),
        ("month", "int"),
    ]
    assert (table.format, table.location, table.version) == (PARQUET, "s3://lake/flights/", "3")
    partition = partition_of(table, {"Values": ["1"], "StorageDescriptor": {"Location": "s3://lake/flights/month=1/"}})
    assert (partition.format, partition.columns, partition.values) == (PARQUET, table.columns, ("1",))


def test_formats_by_what_says_them():
    lazy = {"SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"}}
    assert table_of({**DOCUMENT, "StorageDescriptor": lazy}).format == CSV
    assert table_of({**DOCUMENT, "Parameters": {"table_type": "ICEBERG"}}).format == ICEBERG
    assert (
        table_of({**DOCUMENT, "StorageDescriptor": {}, "Parameters": {"classification": "parquet"}}).format == PARQUET
    )
    assert table_of({**DOCUMENT, "StorageDescriptor": {"SerdeInfo": {"SerializationLibrary": "other"}}}).format == ""


def test_a_wrong_type_names_its_column():
    wrong = {"Columns": [{"Name": "when", "Type": "datetime"}]}
    with pytest.raises(ValueError, match="column when"):
        table_of({**DOCUMENT, "StorageDescriptor": wrong})

"""Partitions as clients use them."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

KEYS = [{"Name": "year", "Type": "int"}, {"Name": "region", "Type": "string"}]
COLUMNS = [{"Name": "id", "Type": "bigint"}]


@pytest.fixture
def table(glue: Any, database: str) -> dict[str, str]:
    glue.create_table(
        DatabaseName=database,
        TableInput={"Name": "t", "PartitionKeys": KEYS, "StorageDescriptor": {"Columns": COLUMNS}},
        PartitionIndexes=[{"IndexName": "by_region", "Keys": ["region"]}],
    )
    return {"DatabaseName": database, "TableName": "t"}


def partition(*values: str, **more: Any) -> dict[str, Any]:
    location = "s3://b/" + "/".join(values)
    return {"Values": list(values), "StorageDescriptor": {"Columns": COLUMNS, "Location": location}, **more}


def code(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    return str(refused.value.response["Error"]["Code"])


def test_a_partition_is_made_shown_moved_and_deleted(glue: Any, table: dict[str, str]) -> None:
    glue.create_partition(**table, PartitionInput=partition("2024", "eu/west", LastAccessTime=1700000000))
    assert code(glue.create_partition, **table, PartitionInput=partition("2024", "eu/west")) == "AlreadyExistsException"
    assert code(glue.create_partition, **table, PartitionInput=partition("2024")) == "InvalidInputException"
    shown = glue.get_partition(**table, PartitionValues=["2024", "eu/west"])["Partition"]
    assert shown["StorageDescriptor"]["Location"] == "s3://b/2024/eu/west"
    assert (shown["TableName"], shown["DatabaseName"]) == ("t", table["DatabaseName"])
    assert shown["LastAccessTime"].timestamp() == 1700000000
    change = {
        "PartitionValueList": ["2024", "eu/west"],
        "PartitionInput": partition("2025", "eu", Parameters={"n": "1"}),
    }
    glue.update_partition(**table, **change)
    assert code(glue.update_partition, **table, **change) == "EntityNotFoundException"
    assert glue.get_partition(**table, PartitionValues=["2025", "eu"])["Partition"]["Parameters"] == {"n": "1"}
    # Its keys cannot be taken from a table that has partitions.
    fewer = {"Name": "t", "PartitionKeys": KEYS[:1], "StorageDescriptor": {"Columns": COLUMNS}}
    update = {"DatabaseName": table["DatabaseName"], "TableInput": fewer}
    assert code(glue.update_table, **update) == "InvalidInputException"
    glue.delete_partition(**table, PartitionValues=["2025", "eu"])
    assert code(glue.delete_partition, **table, PartitionValues=["2025", "eu"]) == "EntityNotFoundException"
    assert code(glue.get_partition, **table, PartitionValues=["2025", "eu"]) == "EntityNotFoundException"


def test_many_are_made_found_and_deleted(glue: Any, table: dict[str, str]) -> None:
    regions = [f"r{number}" for number in range(100)]
    for year in ("2023", "2024"):
        errors = glue.batch_create_partition(
            **table, PartitionInputList=[partition(year, region) for region in regions]
        )["Errors"]
        assert errors == []
    errors = glue.batch_create_partition(
        **table, PartitionInputList=[partition("2024", "r0"), partition("2025", "new"), partition("2025")]
    )["Errors"]
    assert [(each["PartitionValues"], each["ErrorDetail"]["ErrorCode"]) for each in errors] == [
        (["2024", "r0"], "AlreadyExistsException"),
        (["2025"], "InvalidInputException"),
    ]

    def found(expression: str, size: int = 7, **more: Any) -> list[list[str]]:
        pages = glue.get_paginator("get_partitions").paginate(
            **table, Expression=expression, **more, PaginationConfig={"PageSize": size}
        )
        return [each["Values"] for page in pages for each in page["Partitions"]]

    everything = found("")
    assert len(everything) == 201
    assert everything == sorted(everything)
    assert found("year = 2024 and region in ('r1', 'r2', 'none')") == [["2024", "r1"], ["2024", "r2"]]
    assert found("region like 'r9%'", 3) == [each for each in everything if each[1].startswith("r9")]
    assert found("year >= 2025") == [["2025", "new"]]
    parts = [found("", 50, Segment={"SegmentNumber": number, "TotalSegments": 3}) for number in range(3)]
    assert sorted(each for part in parts for each in part) == everything
    assert all(40 < len(part) < 95 for part in parts)
    lean = glue.get_partitions(**table, ExcludeColumnSchema=True, MaxResults=1)["Partitions"][0]
    assert "Columns" not in lean["StorageDescriptor"]
    assert code(glue.get_partitions, **table, Expression="month = 1") == "InvalidInputException"
    got = glue.batch_get_partition(**table, PartitionsToGet=[{"Values": ["2023", "r5"]}, {"Values": ["1999", "r5"]}])
    assert [each["Values"] for each in got["Partitions"]] == [["2023", "r5"]]
    errors = glue.batch_update_partition(
        **table,
        Entries=[
            {"PartitionValueList": ["2023", "r5"], "PartitionInput": partition("2023", "r5", Parameters={"a": "b"})},
            {"PartitionValueList": ["1999", "r5"], "PartitionInput": partition("1999", "r5")},
        ],
    )["Errors"]
    assert [each["PartitionValueList"] for each in errors] == [["1999", "r5"]]
    errors = glue.batch_delete_partition(**table, PartitionsToDelete=[{"Values": each} for each in everything[:25]])
    assert errors["Errors"] == []
    assert len(found("", 1000)) == 176
    glue.delete_table(DatabaseName=table["DatabaseName"], Name="t")
    glue.create_table(DatabaseName=table["DatabaseName"], TableInput={"Name": "t", "PartitionKeys": KEYS})
    assert glue.get_partitions(**table)["Partitions"] == []


def test_indexes_are_kept(glue: Any, table: dict[str, str]) -> None:
    glue.create_partition_index(**table, PartitionIndex={"IndexName": "both", "Keys": ["year", "region"]})
    shown = glue.get_partition_indexes(**table)["PartitionIndexDescriptorList"]
    assert {each["IndexName"]: [key["Name"] for key in each["Keys"]] for each in shown} == {
        "by_region": ["region"],
        "both": ["year", "region"],
    }
    again = {"PartitionIndex": {"IndexName": "both", "Keys": ["year"]}}
    assert code(glue.create_partition_index, **table, **again) == "AlreadyExistsException"
    wrong = {"PartitionIndex": {"IndexName": "x", "Keys": ["id"]}}
    assert code(glue.create_partition_index, **table, **wrong) == "InvalidInputException"
    glue.delete_partition_index(**table, IndexName="both")
    assert code(glue.delete_partition_index, **table, IndexName="both") == "EntityNotFoundException"

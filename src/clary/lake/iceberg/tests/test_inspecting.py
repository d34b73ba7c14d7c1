"""What a table says of itself, and how its columns change."""

from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from clary.lake.iceberg.appending import Note, append
from clary.lake.iceberg.commits import commit, set_properties
from clary.lake.iceberg.creating import PartitionBy
from clary.lake.iceberg.evolving import add_columns, change_column, drop_column, replace_columns
from clary.lake.iceberg.inspecting import PARTS, part_columns, part_rows
from clary.lake.iceberg.tables import Refused, described
from clary.lake.iceberg.tests.conftest import DATABASE, Lake
from clary.lake.tables import Column
from clary.lake.types import parse_type, trino_type


def column(name: str, of: str, comment: str = "") -> Column:
    return Column(name, parse_type(of), comment)


def test_tables_of_a_table(lake: Lake) -> None:
    lake.create("t", "day date; id bigint; at timestamp; name string", PartitionBy("day", "month"), PartitionBy("name"))
    for number in range(2):
        rows = pa.table({"day": [date(2024, 1, 5), date(2024, 3, 1)], "id": [number, None], "name": ["a", "b"]})
        append(lake.access, DATABASE, "t", rows, Note("w", number))
    table = lake.load("t")
    found: dict[str, list[dict[str, Any]]] = {part: part_rows(table, part).to_pylist() for part in PARTS}
    first, second = table.metadata.snapshots
    assert [len(found[part]) for part in ("files", "history", "snapshots", "manifests", "refs")] == [4, 2, 2, 2, 1]
    assert {row["file_path"].rpartition("/")[0] for row in found["files"]} == {
        "s3://lake/t/data/day_month=2024-01/name=a",
        "s3://lake/t/data/day_month=2024-03/name=b",
    }
    one = next(row for row in found["files"] if "name=a" in row["file_path"])
    assert one["lower_bounds"][0] == (1, "2024-01-05")
    assert one["record_count"] == 1
    assert found["history"][1] == {
        "made_current_at": found["snapshots"][1]["committed_at"],
        "snapshot_id": second.snapshot_id,
        "parent_id": first.snapshot_id,
        "is_current_ancestor": True,
    }
    assert found["refs"][0]["name"] == "main"
    assert dict(found["snapshots"][0]["summary"])["added-records"] == "2"
    of_b = next(row for row in found["partitions"] if row["partition"]["name"] == "b")
    assert of_b["partition"] == {"day_month": 650, "name": "b"}
    assert (of_b["record_count"], of_b["file_count"]) == (2, 2)
    assert of_b["data"]["day"] == {"min": date(2024, 3, 1), "max": date(2024, 3, 1), "null_count": 0, "nan_count": None}
    assert of_b["data"]["id"]["null_count"] == 2
    types = {each.name: trino_type(each.type) for each in part_columns(table, "history")}
    assert types["made_current_at"] == "timestamp(6) with time zone"
    assert part_rows(lake.create("empty", "id int"), "files").num_rows == 0


def test_columns_change_as_iceberg_allows(lake: Lake) -> None:
    lake.create("t", "id int; k string; amount decimal(5,2)", PartitionBy("k"))
    append(lake.access, DATABASE, "t", pa.table({"id": pa.array([1], pa.int32()), "k": ["a"]}), Note("w", 1))

    def change(how: Any) -> list[str]:
        commit(lake.access, DATABASE, "t", how)
        return [f"{each.name}:{each.type}" for each in described(lake.load("t")).columns]

    assert change(add_columns([column("extra", "struct<a:int,b:array<string>>", "more")]))[-1] == (
        "extra:struct<a:int,b:array<string>>"
    )
    assert change(change_column("id", column("number", "bigint"), first=True))[0] == "number:bigint"
    assert change(change_column("amount", column("amount", "decimal(9,2)"), after="number"))[1] == "amount:decimal(9,2)"
    assert change(drop_column("extra")) == ["number:bigint", "amount:decimal(9,2)", "k:string"]
    for how, message in (
        (drop_column("k"), "Cannot drop partition field: k"),
        (drop_column("none"), "Column does not exist: none"),
        (add_columns([column("NUMBER", "int")]), "Column already exists"),
        (change_column("number", column("number", "string")), "Cannot change column type: long -> string"),
        (change_column("number", column("k", "bigint")), "Column already exists: k"),
        (replace_columns([column("number", "bigint")]), "source column"),
    ):
        with pytest.raises(Refused, match=message):
            change(how)
    assert lake.rows("t", "number, k, amount") == [(1, "a", None)]
    commit(lake.access, DATABASE, "t", set_properties({"a": "1", "b": "2"}))
    commit(lake.access, DATABASE, "t", set_properties({"b": "3"}, ["a", "none"]))
    assert {key: value for key, value in lake.load("t").metadata.properties.items() if key in "ab"} == {"b": "3"}
    columns = lake.load("t").document["StorageDescriptor"]["Columns"]
    assert [(each["Name"], each["Parameters"]["iceberg.field.current"]) for each in columns] == [
        ("number", "true"), ("amount", "true"), ("k", "true"), ("id", "false"), ("extra", "false"),
    ]  # fmt: skip

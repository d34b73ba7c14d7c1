"""Rows are appended exactly once, and read where they lie: by partition, by metrics, at a snapshot."""

from datetime import date, datetime
from types import SimpleNamespace

import pyarrow as pa
import pytest

from clary.lake.iceberg.appending import Note, append
from clary.lake.iceberg.creating import PartitionBy
from clary.lake.iceberg.domains import expression_of
from clary.lake.iceberg.reading import scan_of
from clary.lake.iceberg.tables import Refused, UnknownSnapshot, described
from clary.lake.iceberg.tests.conftest import DATABASE, Lake


def test_rows_are_there_once(lake: Lake) -> None:
    lake.create("t", "id bigint; name string; at timestamp; tags array<struct<a:int,b:string>>; m map<string,int>")
    rows = pa.table(
        {
            "id": [1, 2],
            "name": ["a", None],
            "at": [datetime.fromisoformat("2024-01-01T12:00:00.000005")] * 2,
            "tags": [[{"a": 1, "b": "x"}], []],
        }
    )
    assert append(lake.access, DATABASE, "t", rows, Note("writer", 1))
    assert not append(lake.access, DATABASE, "t", rows, Note("writer", 1))
    assert append(lake.access, DATABASE, "t", rows.slice(0, 1), Note("writer", 5))
    assert not append(lake.access, DATABASE, "t", rows, Note("writer", 3))
    assert append(lake.access, DATABASE, "t", rows.slice(0, 0), Note("other", 1))
    assert lake.rows("t", "id, name, tags, m") == [
        (1, "a", [{"a": 1, "b": "x"}], None), (1, "a", [{"a": 1, "b": "x"}], None), (2, None, [], None),
    ]  # fmt: skip
    with pytest.raises(Refused, match="no column other"):
        append(lake.access, DATABASE, "t", pa.table({"other": [1]}), Note("writer", 9))
    with pytest.raises(Refused, match="cannot be int64"):
        append(lake.access, DATABASE, "t", pa.table({"id": ["x"]}), Note("writer", 9))
    table = lake.load("t")
    assert [str(column.type) for column in described(table).columns] == [
        "bigint", "string", "timestamp(6)", "array<struct<a:int,b:string>>", "map<string,int>",
    ]  # fmt: skip
    columns = table.document["StorageDescriptor"]["Columns"]
    assert [column["Type"] for column in columns][2:4] == ["timestamp", "array<struct<a:int,b:string>>"]


def test_files_are_left_out_by_partition_and_by_metrics(lake: Lake) -> None:
    lake.create("t", "day date; id int; name string", PartitionBy("day", "month"), PartitionBy("name", "truncate", 1))
    for month in (1, 2, 3):
        days = [date(2024, month, day) for day in (1, 20)]
        rows = pa.table(
            {"day": days, "id": pa.array([month * 10, month * 10 + 1], pa.int32()), "name": ["apple", "pear"]}
        )
        append(lake.access, DATABASE, "t", rows, Note("w", month))

    def left(**domains: tuple[str, str]) -> int:
        given = {
            name: SimpleNamespace(values=None, low=low, high=high, low_included=True, high_included=True)
            for name, (low, high) in domains.items()
        }
        table = lake.load("t")
        return len(scan_of(table, "t", expression=expression_of(given, table.schema)).files)

    assert left() == 6
    assert left(day=("2024-02-01", "2024-02-03")) == 1
    assert left(name=("apricot", "azure")) == 0
    assert left(name=("a", "b")) == 3
    assert left(id=("10", "20")) == 3
    assert left(id=("10", "99999999999999")) == 6
    assert left(name=("a", "b"), day=("2024-03-01", "2024-12-31")) == 1
    uris = lake.rows("t", '"$path", "$partition", "$pos", id', used=["$path", "$partition", "$pos"])
    assert sorted(row[3] for row in uris) == [10, 11, 20, 21, 30, 31]
    assert uris[0][0].startswith("s3://lake/t/data/day_month=2024-01/name_trunc=a/")
    assert uris[0][1:3] == ("day_month=2024-01/name_trunc=a", 0)


def test_a_table_is_read_as_it_was(lake: Lake) -> None:
    lake.create("t", "id bigint")
    for number in range(3):
        append(lake.access, DATABASE, "t", pa.table({"id": [number]}), Note("w", number))
    table = lake.load("t")
    first, second, _ = table.metadata.snapshots
    assert lake.rows("t", snapshot=table.snapshot(identifier=first.snapshot_id)) == [(0,)]
    assert lake.rows("t", snapshot=table.snapshot(seconds=second.timestamp_ms / 1000)) == [(0,), (1,)]
    assert lake.rows("t", snapshot=table.snapshot(ref="main")) == [(0,), (1,), (2,)]
    for asked in ({"identifier": 7}, {"ref": "none"}, {"seconds": 1.0}):
        with pytest.raises(UnknownSnapshot):
            table.snapshot(**asked)  # type: ignore[arg-type]

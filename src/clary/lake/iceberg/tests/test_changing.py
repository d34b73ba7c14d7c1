"""Rows are deleted and updated, files compacted, snapshots expired; and whoever was overtaken knows."""

from collections.abc import Mapping
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from pyiceberg.expressions import AlwaysTrue, BooleanExpression, EqualTo

from clary.kernel.core.errors import AwsError
from clary.kernel.core.ids import new_uuid
from clary.lake.engine.tasks import TaskFailed
from clary.lake.iceberg import commits, expiring
from clary.lake.iceberg.appending import Note, append
from clary.lake.iceberg.changing import ROW, changed_rows
from clary.lake.iceberg.commits import Change, CommitConflict, change, set_properties
from clary.lake.iceberg.compacting import compaction
from clary.lake.iceberg.creating import PartitionBy
from clary.lake.iceberg.expiring import vacuum
from clary.lake.iceberg.files import output_of, stored_data
from clary.lake.iceberg.inspecting import part_rows
from clary.lake.iceberg.planning import plan
from clary.lake.iceberg.reading import scan_of_files
from clary.lake.iceberg.tests.conftest import DATABASE, Lake
from clary.lake.iceberg.writing import write

ALL: BooleanExpression = AlwaysTrue()
OF_A = EqualTo("k", "a")  # type: ignore[call-arg, arg-type]


def made(
    lake: Lake, name: str, select: str, *, read: BooleanExpression = ALL, updates: bool = True
) -> tuple[int, Change]:
    """What a query over `t` that says what becomes of rows is as a change, not committed yet."""
    table = lake.load(name)
    snapshot = table.metadata.current_snapshot()
    planned = plan(table, snapshot, read)
    scan = scan_of_files(table, "t", planned, schema=table.schema, used=ROW)
    folder = table.io.fresh()
    with duckdb.connect() as connection:
        connection.execute(f"CREATE VIEW t AS {scan.sql}")
        rows, files = write(connection, select, output_of(table, new_uuid(), changes=True), folder)
    return rows, changed_rows(
        lake.access, table, planned, files, snapshot=snapshot, read=read, updates=updates, summary={}
    )


def deleted(lake: Lake, name: str, where: str, columns: int, read: BooleanExpression = ALL) -> tuple[int, Change]:
    nulls = ", NULL" * columns
    select = f"""SELECT 'D', "$file", "$uri", "$pos"{nulls} FROM t WHERE {where}"""
    return made(lake, name, select, read=read, updates=False)


def filled(lake: Lake, name: str = "t", count: int = 3, **properties: str) -> None:
    lake.create(name, "k string; id bigint", PartitionBy("k"), **properties)
    for number in range(count):
        rows = pa.table({"k": ["a", "a", "b"], "id": [number * 10, number * 10 + 1, number * 10 + 2]})
        append(lake.access, DATABASE, name, rows, Note("w", number))


def operations(lake: Lake, name: str = "t") -> list[str]:
    return [snapshot.summary.operation.value for snapshot in lake.load(name).metadata.snapshots if snapshot.summary]


def summary(lake: Lake, name: str = "t") -> Mapping[str, str]:
    snapshot = lake.load(name).metadata.current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    return snapshot.summary.additional_properties


def test_rows_are_deleted_and_updated(lake: Lake) -> None:
    filled(lake)
    rows, gone = deleted(lake, "t", "id = 0 OR k = 'b'", 2)
    assert rows == 4
    change(lake.access, DATABASE, "t", gone)
    assert lake.rows("t", "id") == [(1,), (10,), (11,), (20,), (21,)]
    # Files that lose all their rows go themselves.
    assert (summary(lake)["deleted-data-files"], summary(lake)["added-position-deletes"]) == ("3", "1")
    select = """SELECT 'U', "$file", "$uri", "$pos", 'c', id + 100 FROM t WHERE id IN (1, 11)"""
    rows, updated = made(lake, "t", select)
    assert rows == 2
    change(lake.access, DATABASE, "t", updated)
    assert lake.rows("t") == [("a", 10), ("a", 20), ("a", 21), ("c", 101), ("c", 111)]
    merged = """
        SELECT CASE WHEN t.id IS NULL THEN 'I' WHEN s.id = 20 THEN 'D' WHEN s.id = 21 THEN 'U' END,
               "$file", "$uri", "$pos", 'm', s.id
        FROM (VALUES (20), (21), (30), (101)) s(id) LEFT JOIN t ON t.id = s.id"""
    rows, change_of_merge = made(lake, "t", merged)
    assert rows == 3
    change(lake.access, DATABASE, "t", change_of_merge)
    assert lake.rows("t") == [("a", 10), ("c", 101), ("c", 111), ("m", 21), ("m", 30)]
    assert operations(lake)[3:] == ["overwrite" if n else "delete" for n in range(3)]
    twice = """SELECT 'D', "$file", "$uri", "$pos", NULL, NULL FROM t, (VALUES (1), (2))"""
    with pytest.raises(TaskFailed, match="matched more than one source row"):
        made(lake, "t", twice)


def test_whoever_was_overtaken_knows(lake: Lake) -> None:
    filled(lake, optimize_rewrite_data_file_threshold="2")
    _, of_a = deleted(lake, "t", "id = 1", 2, read=OF_A)
    _, of_all = deleted(lake, "t", "id = 11", 2)
    _, updating = made(lake, "t", """SELECT 'U', "$file", "$uri", "$pos", k, -1 FROM t WHERE id = 10""", read=OF_A)
    append(lake.access, DATABASE, "t", pa.table({"k": ["b"], "id": [99]}), Note("w", 9))
    change(lake.access, DATABASE, "t", of_a)  # what came was of another partition than what was read
    with pytest.raises(CommitConflict, match="can contain records matching"):
        change(lake.access, DATABASE, "t", of_all)
    change(lake.access, DATABASE, "t", updating)
    _, again = made(lake, "t", """SELECT 'U', "$file", "$uri", "$pos", k, -2 FROM t WHERE id = 20""", read=OF_A)
    _, meanwhile = deleted(lake, "t", "id = 20", 2)
    change(lake.access, DATABASE, "t", meanwhile)
    with pytest.raises(CommitConflict, match="new conflicting delete files"):
        change(lake.access, DATABASE, "t", again)
    _, late = deleted(lake, "t", "id = 21", 2)
    compacted(lake)
    with pytest.raises(CommitConflict, match="missing data files"):
        change(lake.access, DATABASE, "t", late)
    assert sorted(row[1] for row in lake.rows("t")) == [-1, 0, 2, 11, 12, 21, 22, 99]


def compacted(lake: Lake, name: str = "t") -> int:
    """Compact a table as OPTIMIZE does; return how many files were written anew."""
    table = lake.load(name)
    found = compaction(table)
    if found is None:
        return 0
    scan = scan_of_files(table, "t", found.files, schema=table.schema)
    with duckdb.connect() as connection:
        connection.execute(f"CREATE VIEW t AS {scan.sql}")
        _, files = write(connection, "SELECT * FROM t", output_of(table, new_uuid()), table.io.fresh())
    change(lake.access, DATABASE, name, found.change(table, stored_data(lake.access, table, files), {}))
    return len(found.files)


def test_files_are_compacted_and_expire(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(lake, count=6)
    for number in (0, 1, 11):
        change(lake.access, DATABASE, "t", deleted(lake, "t", f"id = {number}", 2)[1])
    before = lake.rows("t")
    assert compacted(lake) == 12
    assert lake.rows("t") == before
    assert part_rows(lake.load("t"), "files").num_rows == 2
    assert compacted(lake) == 0
    assert summary(lake)["total-delete-files"] == "0"
    assert (summary(lake)["total-records"], operations(lake)[-1]) == ("15", "replace")
    table = lake.load("t")
    now = table.metadata.last_updated_ms / 1000
    assert vacuum(lake.access, DATABASE, "t", now).snapshots == 0
    commits.commit(
        lake.access,
        DATABASE,
        "t",
        set_properties({"vacuum_max_snapshot_age_seconds": "60", "vacuum_max_metadata_files_to_keep": "2"}),
    )
    for place in ("data/orphan.parquet", "other/file"):
        path = table.io.fresh()
        path.write_bytes(b"x")
        lake.access.put(f"s3://lake/t/{place}", path)
    done = vacuum(lake.access, DATABASE, "t", now + 7200)
    assert done.snapshots == 9
    left = [each.uri for each in lake.access.objects("s3://lake/t/")]
    assert "s3://lake/t/other/file" in left
    assert "s3://lake/t/data/orphan.parquet" not in left
    assert len([uri for uri in left if "/data/" in uri]) == 2
    assert len([uri for uri in left if uri.endswith(".json")]) == 3
    assert lake.rows("t") == before
    assert len(lake.load("t").metadata.snapshots) == 1
    assert set(expiring.all_files(lake.access, lake.load("t"))) <= set(left)


def test_commits_of_many_are_all_there(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(lake, count=1, **{"commit.manifest.min-count-to-merge": "3"})
    real = lake.access.call
    between = [3]

    def call(operation: str, **params: Any) -> Any:
        if operation == "UpdateTable" and between[0]:
            between[0] -= 1
            append(
                lake.access, DATABASE, "t", pa.table({"k": ["x"], "id": [between[0]]}), Note(f"other{between[0]}", 1)
            )
        return real(operation, **params)

    monkeypatch.setattr(lake.access, "call", call)
    append(lake.access, DATABASE, "t", pa.table({"k": ["y"], "id": [7]}), Note("w", 5))
    monkeypatch.undo()
    assert sorted(row[1] for row in lake.rows("t") if row[0] in "xy") == [0, 1, 2, 7]
    snapshot = lake.load("t").metadata.current_snapshot()
    assert snapshot is not None
    assert len(snapshot.manifests(lake.load("t").io)) < 4
    with pytest.raises(AwsError) as refused:
        change(lake.access, DATABASE, "none", Change())
    assert refused.value.code == "EntityNotFoundException"

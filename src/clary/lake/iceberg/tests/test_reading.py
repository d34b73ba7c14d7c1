"""What others' writers leave is read as Iceberg says: deletes of both kinds, and columns that changed."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.expressions import EqualTo
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import Table, Transaction
from pyiceberg.table.update import TableUpdate
from pyiceberg.typedef import Record
from pyiceberg.types import DoubleType, IntegerType, LongType, StringType

from clary.lake.iceberg.appending import Note, StoredFile, append, append_files
from clary.lake.iceberg.commits import DELETE, Change, Update, change, commit
from clary.lake.iceberg.creating import PartitionBy
from clary.lake.iceberg.files import PATH_FIELD, POSITION_FIELD, position_deletes
from clary.lake.iceberg.planning import plan
from clary.lake.iceberg.reading import scan_of
from clary.lake.iceberg.tables import IcebergTable
from clary.lake.iceberg.tests.conftest import DATABASE, Lake


def evolve(lake: Lake, name: str, how: Any) -> None:
    """Change a schema by pyiceberg's own rules, through our commit."""

    def prepare(table: IcebergTable) -> Update:
        made: Any = Transaction
        whole = made(Table((DATABASE, name), table.metadata, table.location, table.io, None))  # type: ignore[arg-type]
        with whole.update_schema(allow_incompatible_changes=True) as update:
            how(update)
        updates: Sequence[TableUpdate] = whole._updates
        return Update(updates)

    commit(lake.access, DATABASE, name, prepare)


def stored(lake: Lake, name: str, rows: pa.Table) -> tuple[str, Any]:
    table = lake.load(name)
    path, uri = table.io.fresh(), table.data_path(f"{len(list(lake.access.folder.rglob('*')))}.parquet")
    pq.write_table(rows, path)
    lake.access.put(uri, path)
    return uri, path


def gone_by_position(lake: Lake, name: str, positions: Mapping[str, Sequence[int]], like: DataFile) -> DataFile:
    pairs = [(uri, place) for uri, places in sorted(positions.items()) for place in places]
    fields = [
        pa.field(field.name, of, nullable=False, metadata={"PARQUET:field_id": str(field.field_id)})
        for field, of in ((PATH_FIELD, pa.string()), (POSITION_FIELD, pa.int64()))
    ]
    rows = pa.table([[uri for uri, _ in pairs], [place for _, place in pairs]], schema=pa.schema(fields))
    uri, path = stored(lake, name, rows)
    partition = [like.partition[n] for n in range(len(like.partition))]
    return position_deletes(uri, path, partition, like.spec_id, len(pairs), list(positions))


def gone_by_equality(lake: Lake, name: str, ids: list[int], rows: pa.Table, partition: Sequence[Any] = ()) -> DataFile:
    fields = [
        field.with_metadata({"PARQUET:field_id": str(number)}) for number, field in zip(ids, rows.schema, strict=True)
    ]
    uri, path = stored(lake, name, rows.cast(pa.schema(fields)))
    file = DataFile.from_args(
        content=DataFileContent.EQUALITY_DELETES,
        file_path=uri,
        file_format=FileFormat.PARQUET,
        partition=Record(*partition),
        record_count=rows.num_rows,
        file_size_in_bytes=path.stat().st_size,
        equality_ids=ids,
    )
    file.spec_id = 0
    return file


def test_deleted_rows_are_not_read(lake: Lake) -> None:
    lake.create("t", "k string; id bigint; v double", PartitionBy("k"))
    for number in range(2):
        rows = pa.table(
            {"k": ["a"] * 3 + ["b"] * 2, "id": range(number * 5, number * 5 + 5), "v": [1.0, 2.0, None, 4.0, 5.0]}
        )
        append(lake.access, DATABASE, "t", rows, Note("w", number))
    files = [each.file for each in plan(lake.load("t"), lake.load("t").metadata.current_snapshot())]
    of_a = [file for file in files if file.partition[0] == "a"]
    several = gone_by_position(lake, "t", {of_a[0].file_path: [0], of_a[1].file_path: [0, 1]}, of_a[0])
    change(lake.access, DATABASE, "t", Change(DELETE, [several]))
    first = {row[1] for row in lake.rows("t")}
    assert len(first) == 7
    null = gone_by_equality(lake, "t", [3], pa.table({"v": pa.array([None], pa.float64())}), ["a"])
    change(lake.access, DATABASE, "t", Change(DELETE, [null]))
    assert {row[1] for row in lake.rows("t")} == first - {2, 7}
    pair = gone_by_equality(lake, "t", [1, 2], pa.table({"k": ["b", "b"], "id": [3, 99]}), ["b"])
    change(lake.access, DATABASE, "t", Change(DELETE, [pair]))
    expected = first - {2, 7, 3}
    assert {row[1] for row in lake.rows("t")} == expected
    # What comes after a delete by equality is not deleted by it.
    append(lake.access, DATABASE, "t", pa.table({"k": ["b", "a"], "id": [3, 50], "v": [None, None]}), Note("w", 2))
    assert {row[1] for row in lake.rows("t")} == expected | {3, 50}
    assert sum(row[0] for row in lake.rows("t", "count(*)")) == len(expected) + 2
    table = lake.load("t")
    only = scan_of(table, "t", expression=EqualTo("k", "b"))  # type: ignore[call-arg, arg-type]
    assert len(only.files) == 3
    assert sum(bool(file.deletes) for file in only.files) == 2
    # A column that decided which rows are gone may itself be gone.
    evolve(lake, "t", lambda update: update.delete_column("v"))
    assert {row[1] for row in lake.rows("t")} == expected | {3, 50}
    assert len(lake.rows("t")[0]) == 2


def test_columns_are_found_by_their_ids(lake: Lake) -> None:
    lake.create("t", "id int; name string; price float; gone string")
    rows = pa.table(
        {"id": pa.array([1], pa.int32()), "name": ["a"], "price": pa.array([1.5], pa.float32()), "gone": ["x"]}
    )
    append(lake.access, DATABASE, "t", rows, Note("w", 1))

    def changed(update: Any) -> None:
        update.rename_column("name", "Title")
        update.delete_column("gone")
        update.update_column("id", LongType())
        update.update_column("price", DoubleType())
        update.add_column("added", StringType())
        update.move_first("price")

    evolve(lake, "t", changed)
    evolve(lake, "t", lambda update: update.add_column("gone", StringType()))
    append(
        lake.access,
        DATABASE,
        "t",
        pa.table({"id": [1 << 40], "title": ["b"], "added": ["n"], "gone": ["y"]}),
        Note("w", 2),
    )
    assert lake.rows("t", "price, id, title, added, gone") == [
        (1.5, 1, "a", None, None),
        (None, 1 << 40, "b", "n", "y"),
    ]
    assert lake.rows("t", "id", used=["id"]) == [(1,), (1 << 40,)]


def test_fields_inside_columns_are_found_by_their_ids(lake: Lake) -> None:
    lake.create("t", "id int; s struct<a:int,b:string>; l array<struct<x:int,y:int>>; m map<string,struct<p:int>>")
    rows = {"s": {"a": 1, "b": "x"}, "l": [{"x": 1, "y": 2}], "m": [("k", {"p": 1})]}
    schema = lake.load("t").schema.as_arrow()
    append(lake.access, DATABASE, "t", pa.Table.from_pylist([{"id": 1, **rows}, {"id": 2}], schema), Note("w", 1))

    def changed(update: Any) -> None:
        update.rename_column("s.a", "renamed")
        update.delete_column("s.b")
        update.add_column(("s", "c"), StringType())
        update.update_column("l.x", LongType())
        update.delete_column("l.y")
        update.add_column(("m", "q"), IntegerType())

    evolve(lake, "t", changed)
    assert lake.rows("t") == [
        (1, {"renamed": 1, "c": None}, [{"x": 1}], {"k": {"p": 1, "q": None}}),
        (2, None, None, None),
    ]


def test_files_without_ids_are_read_by_names(lake: Lake) -> None:
    lake.create("t", "k string; id int; name string", PartitionBy("k"))
    uri, path = stored(lake, "t", pa.table({"id": pa.array([1], pa.int32()), "k": ["a"], "name": ["n"]}))
    assert append_files(lake.access, DATABASE, "t", [StoredFile(uri, path)], Note("w", 1))
    assert not append_files(lake.access, DATABASE, "t", [StoredFile(uri, path)], Note("w", 1))
    evolve(lake, "t", lambda update: update.rename_column("name", "title"))
    assert lake.rows("t", "k, id, title") == [("a", 1, "n")]

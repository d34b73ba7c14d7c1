"""Parquet, ORC and Avro of other writers: names and types that are not the table's, missing columns, damaged files."""

import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal

import duckdb
import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import orc

from clary.lake import tables
from clary.lake.formats.parts import BytesRead
from clary.lake.formats.reading import over
from clary.lake.formats.tests.reading import columns_of, fails, rows_of, scan_of
from clary.lake.scans import ScanPartition

NOON = datetime.fromisoformat("2024-02-03T12:00:00.123456")


@pytest.fixture
def parquet(tmp_path):
    """Writes Arrow tables as files of Parquet, and reads them as one table."""

    def read(columns, *files, fail=False, serde=None, options=None, **given):
        paths = []
        for number, columns_of_file in enumerate(files):
            paths.append(tmp_path / f"{number}")
            pq.write_table(pa.table(columns_of_file), paths[-1], **(options or {}))
        scan = scan_of(paths, columns, tables.PARQUET, serde, **given)
        return fails(scan) if fail else rows_of(scan)

    return read


def test_files_of_a_table_differ(parquet):
    rows = parquet(
        "n bigint; s string; x double; l array<struct<a:int,b:string>>; t timestamp",
        {"N": pa.array([1], pa.int32()), "S": ["a"], "l": pa.array([[{"B": "x", "a": 1}]]), "gone": [1]},
        {"s": pa.array([b"b\xc3\xa9"]), "n": pa.array([2], pa.int8()), "x": pa.array([1.5], pa.float32())},
        {"n": pa.array([Decimal(3)]), "t": pa.array([NOON], pa.timestamp("ns")), "l": pa.array([[{"c": 1, "a": 2}]])},
    )
    assert sorted(rows) == [
        (1, "a", None, [{"a": 1, "b": "x"}], None), (2, "bé", 1.5, None, None),
        (3, None, None, [{"a": 2, "b": None}], NOON),
    ]  # fmt: skip


def test_times_decimals_and_bytes(parquet):
    old = parquet(
        "t timestamp", {"t": pa.array([NOON], pa.timestamp("ns"))}, options={"use_deprecated_int96_timestamps": True}
    )
    assert old == [(NOON,)]
    utc = {
        "t": pa.array([NOON.replace(tzinfo=UTC)]),
        "d": pa.array([Decimal("1.255")]),
        "b": pa.array(["é"]),
        "s": pa.array([b"x"]),
    }
    assert parquet("t timestamp; d decimal(5,2); b binary; s string; a date", utc) == [
        (NOON, Decimal("1.26"), "é".encode(), "x", None)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("int", ["1"]), ("string", [1]), ("int", [1.0]), ("float", [1.5]), ("array<int>", [1]), ("date", [1]),
        ("struct<a:int>", [{"a": "1"}]), ("timestamp", [1]), ("map<string,int>", [{"a": 1}]), ("boolean", [1]),
    ],
)  # fmt: skip
def test_types_that_are_not_the_table_s(parquet, kind, values):
    code, message = parquet(f"n int; c {kind}", {"c": values}, fail=True)
    assert code == "HIVE_BAD_DATA"
    assert message.startswith("Field c's type ")
    assert f" in parquet file s3://lake/0 is incompatible with type {kind} " in message


def test_values_that_do_not_fit_are_told_with_their_file(parquet):
    code, message = parquet("n tinyint", {"n": [1]}, {"n": [300]}, fail=True)
    assert code == "HIVE_BAD_DATA"
    assert "Field n's type BIGINT in parquet file s3://lake/1 is incompatible with type TINYINT" in message


def test_parquet_by_position_and_hidden_columns(parquet, tmp_path):
    serde = {"parquet.column.index.access": "true"}
    rows = parquet(
        "b int; a string; c int", {"x": [1], "y": ["p"]}, {"y": [2], "z": ["q"]}, serde=serde,
        used=("b", "a", "c", "$path", "$file_size"),
    )  # fmt: skip
    assert rows == [
        (1, "p", None, "s3://lake/0", (tmp_path / "0").stat().st_size),
        (2, "q", None, "s3://lake/1", (tmp_path / "1").stat().st_size),
    ]


def test_filters_and_columns_reach_the_files(tmp_path):
    """A scan prunes files by their keys and row groups by their statistics, and reads only the columns of the query."""
    for year in (2023, 2024):
        (tmp_path / f"year={year}").mkdir()
        rows = pa.table({"n": range(100_000), "s": [f"text {n}" for n in range(100_000)]})
        pq.write_table(rows, tmp_path / f"year={year}" / "0", row_group_size=10_000)
    scan = scan_of(
        [tmp_path / "year=2023" / "0", tmp_path / "year=2024" / "0"], "n bigint; s string", tables.PARQUET,
        keys=columns_of("year int"), partitions=(ScanPartition(("2023",), tables.PARQUET),), used=("n", "s", "year"),
    )  # fmt: skip

    def bytes_of(sql):
        connection = duckdb.connect()
        query = over(connection, sql, [scan], BytesRead())
        connection.execute("PRAGMA enable_profiling='no_output'")
        connection.execute(query).fetchall()
        found = connection.get_profiling_information()
        return (json.loads(found) if isinstance(found, str) else found)["io"]["total_bytes_read"]

    whole = bytes_of("SELECT sum(n), max(s) FROM scan_0")
    assert bytes_of("SELECT sum(n), max(s) FROM scan_0 WHERE year = 2024") < whole * 0.6
    assert bytes_of("SELECT max(n) FROM scan_0 WHERE n BETWEEN 55000 AND 55100") < whole * 0.2
    assert bytes_of("SELECT count(*) FROM scan_0") < whole * 0.1


def test_orc_by_position_and_by_name(tmp_path):
    path = tmp_path / "rows"
    rows = {"_col0": pa.array([1, 2], pa.int32()), "b": ["x", None], "Day": pa.array([date(2024, 1, 1)] * 2)}
    orc.write_table(pa.table(rows), path)
    assert rows_of(scan_of([path], "n bigint; s varchar(3); other date; more int", tables.ORC)) == [
        (1, "x", date(2024, 1, 1), None), (2, None, date(2024, 1, 1), None),
    ]  # fmt: skip
    by_name = {"orc.column.index.access": "false"}
    assert rows_of(scan_of([path], "day date; n int", tables.ORC, by_name))[0] == (date(2024, 1, 1), None)
    assert fails(scan_of([path], "n string", tables.ORC))[0] == "HIVE_BAD_DATA"
    path.write_bytes(path.read_bytes()[:-9])
    assert fails(scan_of([path], "n int", tables.ORC))[0] == "HIVE_CANNOT_OPEN_SPLIT"


@pytest.mark.parametrize("codec", ["null", "deflate", "snappy", "zstandard"])
def test_avro_by_the_table_s_schema_or_the_file_s(tmp_path, codec):
    from clary.lake.formats import avro_codecs

    avro_codecs.install()
    schema = {
        "type": "record", "name": "r", "fields": [
            {"name": "Id", "type": "long"},
            {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
            {"name": "kind", "type": {"type": "enum", "name": "k", "symbols": ["A", "B"]}},
            {"name": "sub", "type": ["null", {
                "type": "record", "name": "s", "fields": [{"name": "X", "type": "double"}],
            }]},
            {"name": "m", "type": {"type": "map", "values": "int"}},
        ],
    }  # fmt: skip
    records = [
        {"Id": n, "at": NOON.replace(tzinfo=UTC), "kind": "AB"[n % 2], "sub": {"X": 0.5} if n else None, "m": {"k": n}}
        for n in range(9_000)
    ]
    sink = io.BytesIO()
    fastavro.writer(sink, schema, records, codec=codec)
    path = tmp_path / "rows.avro"
    path.write_bytes(sink.getvalue())
    rows = rows_of(
        scan_of(
            [path], "id bigint; at timestamp; kind string; sub struct<x:double>; m map<string,int>; no int", tables.AVRO
        )
    )
    assert rows[:2] == [(0, NOON, "A", None, {"k": 0}, None), (1, NOON, "B", {"x": 0.5}, {"k": 1}, None)]
    assert len(rows) == 9_000
    literal = {
        "type": "record",
        "name": "r",
        "fields": [{"name": "more", "type": "string", "default": "d"}, {"name": "Id", "type": "long"}],
    }
    serde = {"avro.schema.literal": json.dumps(literal)}
    assert rows_of(scan_of([path], "more string; id bigint", tables.AVRO, serde))[:1] == [("d", 0)]
    assert fails(scan_of([path], "id string", tables.AVRO))[0] == "HIVE_BAD_DATA"
    path.write_bytes(sink.getvalue()[:-100])
    assert fails(scan_of([path], "id bigint", tables.AVRO))[0] == "HIVE_CANNOT_OPEN_SPLIT"


def test_damaged_parquet(tmp_path):
    (tmp_path / "bad").write_bytes(b"PAR1 this is none PAR1")
    code, message = fails(scan_of([tmp_path / "bad"], "n int", tables.PARQUET))
    assert code == "HIVE_CANNOT_OPEN_SPLIT"
    assert "s3://lake/bad" in message
    assert str(tmp_path) not in message

"""Tables that are written and read again, in every format, with every type, parted and in buckets."""

import dataclasses
import datetime
import decimal
from collections import Counter

import duckdb
import pytest

from clary.lake import tables
from clary.lake.engine.tasks import TableFiles
from clary.lake.formats.parts import BytesRead
from clary.lake.formats.reading import over
from clary.lake.formats.writing import write
from clary.lake.scans import DataFile, Scan, ScanPartition
from clary.lake.tables import Column
from clary.lake.types import parse_type

D = decimal.Decimal
LAST = datetime.datetime.fromisoformat("2024-02-28T23:59:59.125")
COLUMNS = tuple(
    Column(name, parse_type(kind))
    for name, kind in {
        "bo": "boolean", "ti": "tinyint", "sm": "smallint", "n": "int", "bi": "bigint", "fl": "float", "do": "double",
        "de": "decimal(12,3)", "st": "string", "vc": "varchar(6)", "ch": "char(3)", "by": "binary", "da": "date",
        "ts": "timestamp", "li": "array<int>", "ma": "map<string,int>", "su": "struct<a:int,b:array<string>>",
        "k": "string",
    }.items()
)  # fmt: skip
SQL = """
SELECT x % 2 = 0, x, x * 3, x * 1000, x * 10000000000, x / 4, x / 8, x / 8, 'text ' || x, 'v' || x, 'abc',
    encode('b' || x), DATE '2024-02-28' + x::int, TIMESTAMP '2024-02-28 23:59:59.125' + to_days(x::int), [x, NULL],
    MAP {'a': x, 'b': NULL}, {a: x, b: ['p', 'q ' || x]}, CASE WHEN x % 3 > 0 THEN 'k/=' || x % 3 END
FROM range(100) t(x) UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
"""


def row(x):
    return (
        x % 2 == 0, x, x * 3, x * 1000, x * 10**10, x / 4, x / 8, D(x) / 8, f"text {x}", f"v{x}", "abc",
        f"b{x}".encode(), datetime.date(2024, 2, 28) + datetime.timedelta(x),
        LAST + datetime.timedelta(x), [x, None], {"a": x, "b": None},
        {"a": x, "b": ["p", f"q {x}"]}, f"k/={x % 3}" if x % 3 else None,
    )  # fmt: skip


def scan_of(written, output, serde):
    keys = output.columns[len(output.columns) - len(output.keys) :]
    partitions = list(dict.fromkeys(file.values for file in written))
    return Scan(
        name="scan_0",
        columns=output.columns[: len(output.columns) - len(keys)],
        keys=keys,
        partitions=tuple(ScanPartition(values, output.format, serde) for values in partitions),
        files=tuple(
            DataFile(file.path, f"s3://lake{file.path}", file.size_bytes, partitions.index(file.values))
            for file in written
        ),
        used=(*(column.name for column in output.columns), "$bucket", "$path"),
    )


@pytest.mark.parametrize("parted", ["whole", "keys", "buckets", "both"])
@pytest.mark.parametrize("format_", [tables.PARQUET, tables.CSV, tables.JSON, tables.ORC, tables.AVRO])
def test_every_type(tmp_path, format_, parted):
    keys = ("k",) if parted in ("keys", "both") else ()
    buckets, by = (4, ("n", "st")) if parted in ("buckets", "both") else (0, ())
    output = TableFiles(format_, COLUMNS, keys, by, buckets, {}, "query-1")
    connection, read = duckdb.connect(), BytesRead()
    written = write(connection, SQL, output, tmp_path)
    assert sum(file.rows for file in written) == 101
    assert len(written) == {"whole": 1, "keys": 3, "buckets": 4, "both": 12}[parted]
    scan = scan_of(written, output, {})
    rows = connection.execute(over(connection, "SELECT * FROM scan_0 ORDER BY n NULLS LAST", [scan], read)).fetchall()
    assert [each[:18] for each in rows[:100]] == [row(x) for x in range(100)]
    assert Counter(each[19] for each in rows) == Counter(
        file.bucket if file.bucket >= 0 else None for file in written for _ in range(file.rows)
    )
    assert rows[100][:18] == (None,) * 18
    counting = over(connection, "SELECT count(*) FROM scan_0", [dataclasses.replace(scan, used=())])
    assert connection.execute(counting).fetchall() == [(101,)]
    if format_ != tables.PARQUET:
        assert sum(file.size_bytes for file in written) / 2 < read.total

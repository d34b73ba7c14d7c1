"""Writing files of a table, inside the engine: data files in their partitions, with the ids of fields, and deletes.

Data files lie below `data/` of the folder, one folder for each partition; files of position deletes below `deletes/`,
one for each data file that loses rows, in the order of its rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.transforms import BucketTransform
from pyiceberg.types import (
    BinaryType,
    DateType,
    DecimalType,
    LongType,
    StringType,
    TimestampType,
    TimestamptzType,
    TimeType,
)

from clary.lake.engine.tasks import IcebergFiles, TaskFailed, WrittenFile
from clary.lake.iceberg.projection import literal
from clary.lake.tables import Column
from clary.lake.types import Type, duckdb_type, quoted

DATA, DELETES = "data", "deletes"
MULTIPLE_MATCHES = "MERGE_TARGET_ROW_MULTIPLE_MATCHES"

_FILE_BYTES = 512 * 1024 * 1024
_ROW_GROUP = 122880
_CODECS = {
    "NONE": "uncompressed",
    "UNCOMPRESSED": "uncompressed",
    "SNAPPY": "snappy",
    "GZIP": "gzip",
    "ZSTD": "zstd",
    "LZ4": "lz4",
}
_DELETE_SCHEMA = pa.schema(
    [
        pa.field("file_path", pa.string(), nullable=False, metadata={"PARQUET:field_id": "2147483546"}),
        pa.field("pos", pa.int64(), nullable=False, metadata={"PARQUET:field_id": "2147483545"}),
    ]
)
_BUCKETED: Mapping[str, tuple[str, Any]] = {
    "tinyint": ("BIGINT", LongType()), "smallint": ("BIGINT", LongType()), "int": ("BIGINT", LongType()),
    "bigint": ("BIGINT", LongType()), "string": ("VARCHAR", StringType()), "char": ("VARCHAR", StringType()),
    "varchar": ("VARCHAR", StringType()), "binary": ("BLOB", BinaryType()), "date": ("DATE", DateType()),
    "timestamp": ("TIMESTAMP", TimestampType()), "timestamptz": ("TIMESTAMPTZ", TimestamptzType()),
    "time": ("TIME", TimeType()), "uuid": ("BLOB", BinaryType()),
}  # fmt: skip


def write(
    connection: duckdb.DuckDBPyConnection, sql: str, output: IcebergFiles, folder: Path
) -> tuple[int, list[WrittenFile]]:
    """Write the rows of a query; return how many there are, and the files. Raises TaskFailed and DuckDB's errors."""
    if not output.changes:
        files = list(_data_files(connection, sql, output, folder / DATA))
        return sum(file.rows for file in files), files
    connection.execute(f"CREATE OR REPLACE TEMP TABLE __changes AS SELECT * FROM ({sql}) q({_aliases(output)})")
    _check_one_match_each(connection)
    found = connection.execute(
        "SELECT count(*), count(*) FILTER (op <> 'D') FROM __changes WHERE op IS NOT NULL"
    ).fetchall()
    count, written = found[0]
    files = list(_delete_files(connection, output, folder / DELETES))
    if written:
        columns = ", ".join(f"c{place}" for place in range(len(output.columns)))
        kept = f"SELECT {columns} FROM __changes WHERE op IN ('I', 'U')"
        files += _data_files(connection, kept, output, folder / DATA)
    connection.execute("DROP TABLE __changes")
    return count, files


def _aliases(output: IcebergFiles) -> str:
    return ", ".join(["op", "file", "uri", "pos", *(f"c{place}" for place in range(len(output.columns)))])


def _check_one_match_each(connection: duckdb.DuckDBPyConnection) -> None:
    twice = connection.execute(
        "SELECT 1 FROM __changes WHERE op IN ('D', 'U') GROUP BY file, pos HAVING count(*) > 1 LIMIT 1"
    ).fetchall()
    if twice:
        raise TaskFailed(MULTIPLE_MATCHES, "One MERGE target table row matched more than one source row")


def _data_files(
    connection: duckdb.DuckDBPyConnection, sql: str, output: IcebergFiles, folder: Path
) -> Iterator[WrittenFile]:
    folder.mkdir(parents=True, exist_ok=True)
    by_name = {column.name: column for column in output.columns}
    chosen = [f"CAST(c{n} AS {duckdb_type(each.type)}) AS {quoted(each.name)}" for n, each in enumerate(output.columns)]
    aliases = ", ".join(f"c{place}" for place in range(len(output.columns)))
    rows = f"SELECT {', '.join(chosen)} FROM ({sql}) q({aliases})"
    keys = [_key(connection, by_name[name], how, width) for name, how, width in output.keys]
    if keys:
        rows = f"SELECT *, {', '.join(f'{key} AS __key_{n}' for n, key in enumerate(keys))} FROM ({rows}) r"
    options = {
        "FORMAT": "parquet",
        "COMPRESSION": _codec(output.properties),
        "FIELD_IDS": _struct(output.field_ids),
        "FILENAME_PATTERN": literal(f"{{i}}-{output.name}"),
        "RETURN_STATS": "true",
        "ROW_GROUP_SIZE": str(_ROW_GROUP),
        **(
            {"COMPRESSION_LEVEL": output.properties["compression_level"]}
            if "compression_level" in output.properties
            else {}
        ),
        **(
            {"PARTITION_BY": f"({', '.join(f'__key_{n}' for n in range(len(keys)))})"}
            if keys
            else {"FILE_SIZE_BYTES": str(int(output.properties.get("target_file_size", _FILE_BYTES)))}
        ),
    }
    clause = ", ".join(f"{name} {value}" for name, value in options.items())
    for path, count, size, _, _, values, *_ in connection.execute(
        f"COPY ({rows}) TO {literal(str(folder))} ({clause})"
    ).fetchall():
        if count:
            given = tuple(values[f"__key_{n}"] for n in range(len(keys))) if keys else ()
            yield WrittenFile(path, given, int(count), int(size))


def _delete_files(connection: duckdb.DuckDBPyConnection, output: IcebergFiles, folder: Path) -> Iterator[WrittenFile]:
    """Write which rows go, one file for each data file that they are in; a file's `values` are that one's number."""
    gone = connection.sql("SELECT file, uri, pos FROM __changes WHERE op IN ('D', 'U') ORDER BY file, pos")
    current: int | None = None
    writer: Any = None
    path, rows = folder, 0
    folder.mkdir(parents=True, exist_ok=True)
    for batch in _batches(gone):
        for number, part in _runs(batch):
            if number != current:
                if writer is not None:
                    writer.close()
                    yield WrittenFile(str(path), (str(current),), rows, path.stat().st_size)
                current, rows = number, 0
                path = folder / f"{number}-{output.name}-deletes.parquet"
                writer = pq.ParquetWriter(path, _DELETE_SCHEMA, compression="zstd")
            writer.write_table(part)
            rows += part.num_rows
    if writer is not None:
        writer.close()
        yield WrittenFile(str(path), (str(current),), rows, path.stat().st_size)


def _batches(result: Any) -> Iterator[pa.Table]:
    for batch in result.to_arrow_reader(100_000):
        yield pa.Table.from_batches([batch])


def _runs(rows: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    """The rows of one file after those of another, as files of deletes have them."""
    numbers = rows.column("file").to_pylist()
    written = pa.Table.from_arrays(
        [rows.column("uri").cast(pa.string()), rows.column("pos").cast(pa.int64())], schema=_DELETE_SCHEMA
    )
    start = 0
    for place in range(1, len(numbers) + 1):
        if place == len(numbers) or numbers[place] != numbers[start]:
            yield numbers[start], written.slice(start, place - start)
            start = place


def _key(connection: duckdb.DuckDBPyConnection, column: Column, transform: str, width: int) -> str:
    """SQL of what a column is to a partition, as Iceberg's transforms make it."""
    value, of = quoted(column.name), column.type
    if transform == "identity":
        return value
    if transform == "bucket":
        return _bucket(connection, value, of, width)
    if transform == "truncate":
        return _truncated(value, of, width)
    moment = f"({value} AT TIME ZONE 'UTC')" if of.name == "timestamptz" else value
    if transform == "year":
        return f"CAST(year({moment}) - 1970 AS INTEGER)"
    if transform == "month":
        return f"CAST((year({moment}) - 1970) * 12 + month({moment}) - 1 AS INTEGER)"
    if transform == "day":
        return f"CAST(CAST({moment} AS DATE) - DATE '1970-01-01' AS INTEGER)"
    return f"CAST(floor(epoch_us({moment}) / 3600000000) AS INTEGER)"


def _truncated(value: str, of: Type, width: int) -> str:
    if of.name in ("string", "char", "varchar"):
        return f"left({value}, {width})"
    if of.name == "binary":
        return f"{value}[1:{width}]"
    if of.name == "decimal":
        step = f"CAST({width} * pow(10, -{of.numbers[1]}) AS {duckdb_type(of)})"
        return f"CAST({value} - ((({value} % {step}) + {step}) % {step}) AS {duckdb_type(of)})"
    return f"CAST({value} - ((({value} % {width}) + {width}) % {width}) AS {duckdb_type(of)})"


def _bucket(connection: duckdb.DuckDBPyConnection, value: str, of: Type, width: int) -> str:
    if of.name == "decimal":
        kind, iceberg, name = (
            duckdb_type(of),
            DecimalType(*of.numbers),
            f"__bucket_decimal_{of.numbers[0]}_{of.numbers[1]}",
        )
    else:
        kind, iceberg = _BUCKETED[of.name]
        name = f"__bucket_{of.name}"
    name = f"{name}_{width}"
    bucket = BucketTransform(width).pyarrow_transform(iceberg)

    def buckets(values: pa.ChunkedArray) -> pa.Array:
        found = bucket(values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values)
        return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found

    made: Any = connection  # whose types know no functions of columns
    try:
        made.create_function(name, buckets, [kind], "INTEGER", type="arrow")
    except duckdb.CatalogException:
        pass  # of an earlier task of the connection
    given = f"unhex(replace(CAST({value} AS VARCHAR), '-', ''))" if of.name == "uuid" else f"CAST({value} AS {kind})"
    return f"{name}({given})"


def _codec(properties: Mapping[str, str]) -> str:
    return _CODECS[properties.get("compression", "ZSTD").upper()]


def _struct(ids: Mapping[str, Any]) -> str:
    """The ids of fields as DuckDB's COPY has them."""
    parts: Sequence[str] = [
        f"{quoted(name)}: {_struct(inner) if isinstance(inner, Mapping) else inner}" for name, inner in ids.items()
    ]
    return "{" + ", ".join(parts) + "}"

"""Rows of a query as files of a table: of its format and types, in folders of its keys, in its buckets.

Parquet without keys is DuckDB's own to write. All else comes as a stream of batches, ordered by keys and buckets where
there are some, so that but a few files are ever open, however many partitions there are; DuckDB orders within its
memory limit. Several threads write.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clary.lake import tables
from clary.lake.engine.tasks import TableFiles, TaskFailed, WrittenFile
from clary.lake.formats import hive_hash, text_writing
from clary.lake.formats.names import LINE, RUN
from clary.lake.formats.parts import literal
from clary.lake.formats.sinks import Shape, check_compression
from clary.lake.formats.writers import Writers
from clary.lake.tables import Column
from clary.lake.types import duckdb_type, quoted

LARGEST_BYTES = 256 << 20
"""About how large a file becomes before another begins."""
_BATCH_ROWS = 65_536
_COMPRESSIONS = (
    "write_compression", "write.compression", "parquet_compression", "orc_compression", "parquet.compression",
    "orc.compress", "avro.compression", "compression",
)  # fmt: skip


def write(connection: Any, sql: str, output: TableFiles, folder: str | Path) -> list[WrittenFile]:
    """Write the rows of `sql` as files below `folder`; a table of no rows has no files, unless it has buckets.

    Keys make folders in Hive's way. Raises TaskFailed for a format or compression that there is not, and where a value
    does not fit its column.
    """
    compression = compression_for(output)
    data = output.columns[: len(output.columns) - len(output.keys)]
    keys = output.columns[len(data) :]
    typed = _typed(sql, output)
    os.makedirs(folder, exist_ok=True)
    if output.format == tables.PARQUET and not keys and not output.buckets:
        return _copied(connection, typed, output, Path(folder), compression)
    shape = Shape(output.format, data, compression, output.properties)
    bucket = _bucket(connection, output, data)
    query = _ordered(typed, shape, keys, bucket)
    threads = int(connection.execute("SELECT current_setting('threads')").fetchall()[0][0])
    writers = Writers(shape, Path(folder), output, threads if not keys else min(threads, 4), LARGEST_BYTES)
    with writers:
        reader = connection.sql(query).to_arrow_reader(_BATCH_ROWS)
        for batch in reader:
            writers.add(batch)
    return writers.files


def compression_for(output: TableFiles) -> str:
    """The compression that the properties ask for, or else Athena's for the format. Raises TaskFailed for another."""
    properties = {name.lower(): value for name, value in output.properties.items()}
    asked = next((properties[name] for name in _COMPRESSIONS if properties.get(name)), "")
    return check_compression(output.format, asked)


def _typed(sql: str, output: TableFiles) -> str:
    """The rows with the table's types; a text that is longer than its column is an error, as in Athena."""
    names = [f'"c{place}"' for place in range(len(output.columns))]
    items = [
        f"{_cast(name, column)} AS {quoted(column.name)}" for name, column in zip(names, output.columns, strict=True)
    ]
    return f"SELECT {', '.join(items)} FROM ({sql}) AS rows_({', '.join(names)})"


def _cast(name: str, column: Column) -> str:
    of = column.type
    if of.name in ("varchar", "char") and of.numbers:
        length = of.numbers[0]
        said = f"INVALID_CAST_ARGUMENT: Cannot truncate non-space characters when casting to {of} on INSERT"
        kept = f"left({name}, {length})"
        return f"CASE WHEN length(rtrim({name}, ' ')) > {length} THEN error({literal(said)}) ELSE {kept} END"
    kind = duckdb_type(of)
    return f"CAST({name} AS {_milliseconds(kind)})"


def _milliseconds(kind: str) -> str:
    """The type with timestamps as Athena writes them, to the millisecond."""
    return kind.replace("TIMESTAMP", "TIMESTAMP_MS")


def _copied(connection: Any, typed: str, output: TableFiles, folder: Path, compression: str) -> list[WrittenFile]:
    pattern = literal(f"{output.name or 'part'}_{{i}}")
    options = (
        f"FORMAT parquet, COMPRESSION {compression}, FILE_SIZE_BYTES {LARGEST_BYTES}, FILENAME_PATTERN {pattern}, "
        "FILE_EXTENSION 'parquet', RETURN_STATS, OVERWRITE_OR_IGNORE"
    )
    copied = connection.execute(f"COPY ({typed}) TO {literal(str(folder))} ({options})").fetchall()
    written = []
    for number, (path, rows, size, *_) in enumerate(copied):
        if not rows:
            os.unlink(path)
            continue
        named = folder / f"{output.name or 'part'}_{number:05d}"
        os.rename(path, named)
        written.append(WrittenFile(str(named), (), rows, size))
    return written


def _bucket(connection: Any, output: TableFiles, data: Sequence[Column]) -> str:
    """The SQL of a row's bucket, empty without buckets."""
    if not output.buckets:
        return ""
    by_name = {column.name: column for column in data}
    missing = [name for name in output.bucketed_by if name not in by_name]
    if missing:
        raise TaskFailed("INVALID_TABLE_PROPERTY", f"Bucketing columns {missing} not present in schema")
    version = int(output.properties.get("bucketing_version") or 1)
    return hive_hash.bucket_sql(connection, [by_name[name] for name in output.bucketed_by], output.buckets, version)


def _ordered(typed: str, shape: Shape, keys: Sequence[Column], bucket: str) -> str:
    """The query of what is written: columns, or the line they make, and what says which rows go into one file."""
    if shape.is_text:
        items = [f"{text_writing.line(shape)} AS {quoted(LINE)}"]
    else:
        items = [quoted(column.name) for column in shape.columns]
    parts = [f"coalesce(CAST({_key_text(key)} AS VARCHAR), '')" for key in keys]
    parts += [f"CAST({bucket} AS VARCHAR)"] if bucket else []
    if not parts:
        return f"SELECT {', '.join(items)} FROM ({typed})"
    run = " || chr(31) || ".join(parts)
    order = ", ".join([*(quoted(key.name) for key in keys), *([bucket] if bucket else [])])
    return f"SELECT {', '.join(items)}, {run} AS {quoted(RUN)} FROM ({typed}) ORDER BY {order}"


def _key_text(key: Column) -> str:
    """A key as text of a folder's name; a timestamp as Hive writes it."""
    name = quoted(key.name)
    if key.type.name == "timestamp":
        return f"CAST(CAST({name} AS TIMESTAMP) AS VARCHAR)"
    return name

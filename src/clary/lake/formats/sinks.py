"""Where batches of rows become a file: one kind for each format that can be written a piece at a time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from clary.lake import tables
from clary.lake.engine.tasks import TaskFailed
from clary.lake.formats import avro_codecs
from clary.lake.formats.avro_schema import avro_schema
from clary.lake.formats.compressors import COMPRESSORS, text_compressor
from clary.lake.tables import Column

TEXTS = frozenset({tables.CSV, tables.JSON, tables.OPEN_CSV})
_DEFAULTS = {tables.PARQUET: "snappy", tables.ORC: "zlib", tables.AVRO: "zlib"}
_ALLOWED: Mapping[str, Mapping[str, str]] = {
    tables.PARQUET: {"snappy": "snappy", "gzip": "gzip", "zstd": "zstd", "lz4": "lz4", "none": "uncompressed"},
    tables.ORC: {"zlib": "zlib", "snappy": "snappy", "zstd": "zstd", "lz4": "lz4", "none": "uncompressed"},
    tables.AVRO: {
        "zlib": "deflate", "deflate": "deflate", "gzip": "deflate", "snappy": "snappy", "zstd": "zstandard",
        "bzip2": "bzip2", "none": "null",
    },
}  # fmt: skip
_TEXT_ALLOWED = {
    "gzip": "gzip", "zstd": "zstd", "bzip2": "bzip2", "snappy": "snappy", "lz4": "lz4", "deflate": "deflate",
    "zlib": "deflate", "none": "none",
}  # fmt: skip
_GROUP_ROWS = 131_072
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Shape:
    """What a file is to be: its format, its columns without the keys, its compression, and what else is said of it."""

    format: str
    columns: tuple[Column, ...]
    compression: str
    properties: Mapping[str, str]

    @property
    def is_text(self) -> bool:
        return self.format in TEXTS

    @property
    def ending(self) -> str:
        """What names of files end with; it tells readers how texts are compressed."""
        return COMPRESSORS[self.compression].ending if self.is_text else ""


class Sink(Protocol):
    """A file that is being written. `size_bytes` is about what it has by now."""

    rows: int
    size_bytes: int

    def add(self, batch: Any) -> None:
        """Write rows."""
        ...

    def close(self) -> None:
        """Have the file whole."""
        ...


def check_compression(format_: str, asked: str) -> str:
    """The name of a compression in the format's own words. Raises TaskFailed for one that it has not."""
    if format_ not in _ALLOWED and format_ not in TEXTS:
        raise TaskFailed("NOT_SUPPORTED", f"Clary writes no files of the format {format_ or 'unknown'}")
    allowed = _ALLOWED.get(format_, _TEXT_ALLOWED)
    name = asked.lower() or _DEFAULTS.get(format_, "gzip")
    name = {"uncompressed": "none", "bz2": "bzip2", "zstandard": "zstd"}.get(name, name)
    if name not in allowed:
        shown = ", ".join(sorted(each.upper() for each in allowed))
        raise TaskFailed("INVALID_TABLE_PROPERTY", f"{asked} is no compression of {format_} files: they are {shown}")
    return allowed[name]


def sink_of(shape: Shape, path: Path) -> Sink:
    """A new file."""
    return _SINKS.get(shape.format, _Text)(shape, path)


class _Text:
    """Lines, each with its newline already: an array of them is one stretch of bytes, which goes out as it is."""

    def __init__(self, shape: Shape, path: Path) -> None:
        self.rows = self.size_bytes = 0
        self._file = path.open("wb")
        self._compressor = text_compressor(shape.compression)

    def add(self, batch: Any) -> None:
        lines = batch.column(0)
        _, ends, data = lines.buffers()
        at = memoryview(ends).cast("i") if lines.type == pa.string() else memoryview(ends).cast("q")
        first, last = at[lines.offset], at[lines.offset + len(lines)]
        self._write(self._compressor.add(memoryview(data)[first:last] if last > first else b""))
        self.rows += len(lines)

    def close(self) -> None:
        with self._file:
            self._write(self._compressor.finish())

    def _write(self, data: Any) -> None:
        self._file.write(data)
        self.size_bytes += len(data)


class _Parquet:
    def __init__(self, shape: Shape, path: Path) -> None:
        self.rows = self.size_bytes = 0
        self._path, self._shape = path, shape
        self._waiting: list[Any] = []
        self._waiting_rows = 0
        self._writer: Any = None

    def add(self, batch: Any) -> None:
        self.rows += batch.num_rows
        self._waiting.append(batch)
        self._waiting_rows += batch.num_rows
        if self._waiting_rows >= _GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        self._flush()
        if self._writer is None:
            self._open(_empty_schema(self._shape))
        self._writer.close()
        self._file.close()

    def _flush(self) -> None:
        if not self._waiting:
            return
        rows = pa.Table.from_batches(self._waiting)
        self._waiting, self._waiting_rows = [], 0
        if self._writer is None:
            self._open(rows.schema)
        self._writer.write_table(rows)
        self.size_bytes = self._file.tell()

    def _open(self, schema: Any) -> None:
        import pyarrow.parquet as pq

        codec = "none" if self._shape.compression == "uncompressed" else self._shape.compression
        self._file = self._path.open("wb")
        self._writer = pq.ParquetWriter(self._file, schema, compression=codec)


class _Orc:
    def __init__(self, shape: Shape, path: Path) -> None:
        from pyarrow import orc

        self.rows = self.size_bytes = 0
        self._file = path.open("wb")
        self._shape = shape
        self._writer = orc.ORCWriter(self._file, compression=shape.compression, stripe_size=64 << 20)

    def add(self, batch: Any) -> None:
        self.rows += batch.num_rows
        if any(column.offset and pa.types.is_nested(column.type) for column in batch.columns):
            # Arrow's writer of ORC takes the fields of structs from where their array begins, not the slice of it.
            batch = batch.take(pa.array(range(batch.num_rows), pa.int32()))
        self._writer.write(pa.Table.from_batches([batch]))
        self.size_bytes = self._file.tell()

    def close(self) -> None:
        with self._file:
            if not self.rows:
                self._writer.write(_empty_schema(self._shape).empty_table())
            self._writer.close()


class _Avro:
    def __init__(self, shape: Shape, path: Path) -> None:
        from fastavro.write import Writer

        self.rows = self.size_bytes = 0
        self._file = path.open("wb")
        avro_codecs.install()
        schema = avro_schema(shape.columns)
        self._names = [field["name"] for field in schema["fields"]]
        self._maps = [_pairs_to_maps(column.type) for column in shape.columns]
        self._writer = Writer(self._file, schema, codec=shape.compression, sync_interval=_BLOCK_BYTES)

    def add(self, batch: Any) -> None:
        columns = [column.to_pylist() for column in batch.columns]
        for place, change in enumerate(self._maps):
            if change is not None:
                columns[place] = [change(value) for value in columns[place]]
        for row in zip(*columns, strict=True):
            self._writer.write(dict(zip(self._names, row, strict=True)))
        self.rows += batch.num_rows
        self.size_bytes = self._file.tell()

    def close(self) -> None:
        with self._file:
            self._writer.flush()


def _pairs_to_maps(of: Any) -> Callable[[Any], Any] | None:
    """What makes values of Arrow such as fastavro takes: maps are lists of pairs there; None where nothing is to do."""
    if not of.children:
        return None
    inner = [_pairs_to_maps(child) or (lambda value: value) for child in of.children]
    if of.name == "map":
        return lambda value: None if value is None else {str(key): inner[1](each) for key, each in value}
    if not any(_pairs_to_maps(child) for child in of.children):
        return None
    if of.name == "array":
        return lambda value: None if value is None else [inner[0](each) for each in value]
    names = of.names
    return lambda value: (
        None if value is None else {name: change(value[name]) for name, change in zip(names, inner, strict=True)}
    )


def _empty_schema(shape: Shape) -> Any:
    from clary.lake.types import arrow_type

    return pa.schema([(column.name, _to_millis(arrow_type(column.type))) for column in shape.columns])


def _to_millis(kind: Any) -> Any:
    return pa.timestamp("ms") if pa.types.is_timestamp(kind) else kind


_SINKS: dict[str, Callable[[Shape, Path], Sink]] = {tables.PARQUET: _Parquet, tables.ORC: _Orc, tables.AVRO: _Avro}

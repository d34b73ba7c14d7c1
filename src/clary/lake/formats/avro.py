"""Avro, read block by block: by the schema that the table says, `avro.schema.literal`, or by the files' own."""

import io
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pyarrow as pa
from fastavro import read as fastavro_read
from fastavro.schema import SchemaParseException, parse_schema

from clary.lake.engine.tasks import TaskFailed
from clary.lake.formats import avro_codecs
from clary.lake.formats.counted import CountedFile
from clary.lake.formats.lines import properties_of
from clary.lake.formats.parts import FILE_NUMBER, BytesRead, Part, null, of_files
from clary.lake.types import Type, arrow_type, quoted

LITERAL = "avro.schema.literal"
_BATCH_ROWS = 8192
_BUFFER_BYTES = 1 << 20


class AvroRows:
    """Hands out a part's rows anew each time it is asked, as columns of the table's types."""

    def __init__(self, part: Part, schema: Any, read: BytesRead) -> None:
        self._part = part
        self._wanted = part.wanted
        self._reader = schema
        self._read = read
        self._plain = [_plain(column.type) for column in self._wanted]
        fields = [pa.field(column.name, _in_microseconds(arrow_type(column.type))) for column in self._wanted]
        self._schema = pa.schema([*fields, pa.field(FILE_NUMBER, pa.int32())])

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return pa.RecordBatchReader.from_batches(self._schema, self._batches()).__arrow_c_stream__(requested_schema)

    def _batches(self) -> Iterator[Any]:
        for number, file in zip(self._part.numbers, self._part.files, strict=True):
            rows: list[Any] = []
            try:
                with io.BufferedReader(CountedFile(file.path, self._read), _BUFFER_BYTES) as opened:
                    if not self._wanted:
                        for block in fastavro_read.block_reader(opened):
                            if block.num_records:
                                yield self._batch([{}] * block.num_records, number, file.uri)
                        continue
                    for record in fastavro_read.reader(opened, self._reader):
                        rows.append(record)
                        if len(rows) == _BATCH_ROWS:
                            yield self._batch(rows, number, file.uri)
                            rows = []
            except TaskFailed:
                raise
            except Exception as error:  # noqa: BLE001 - a damaged file raises whatever its bytes lead to
                message = f"Error opening Hive split {file.uri}: {type(error).__name__}: {error}"
                raise self._read.failed("HIVE_CANNOT_OPEN_SPLIT", message) from None
            if rows:
                yield self._batch(rows, number, file.uri)

    def _batch(self, rows: list[Any], number: int, uri: str) -> Any:
        names = {key.lower(): key for key in rows[0]}
        columns = []
        for column, plain, field in zip(self._wanted, self._plain, self._schema, strict=False):
            key = names.get(column.name)
            values = [None] * len(rows) if key is None else [row[key] for row in rows]
            try:
                columns.append(pa.array(values if plain is None else list(map(plain, values)), field.type))
            except (pa.ArrowException, TypeError, ValueError, AttributeError, OverflowError) as error:
                what = f"Field {column.name} in Avro file {uri} is incompatible with type {column.type}: {error}"
                raise self._read.failed("HIVE_BAD_DATA", what.splitlines()[0]) from None
        return pa.record_batch([*columns, pa.repeat(pa.scalar(number, pa.int32()), len(rows))], schema=self._schema)


def selects(connection: Any, part: Part, name: str, read: BytesRead) -> list[str]:
    """The rows of a part."""
    avro_codecs.install()
    connection.register(name, AvroRows(part, _reader_schema(properties_of(part)), read))
    wanted = {column.name for column in part.wanted}
    items = [
        f"{quoted(each.name) if each.name in wanted else null(each.type)} AS {quoted(each.name)}"
        for each in part.scan.columns
    ]
    items += of_files(part.scan, quoted(FILE_NUMBER))
    return [f"SELECT {', '.join(items)} FROM {quoted(name)}"]


def _reader_schema(properties: Mapping[str, str]) -> Any:
    text = properties.get(LITERAL)
    if not text or text.lower() == "none":
        return None
    try:
        return parse_schema(json.loads(text))
    except (ValueError, SchemaParseException, KeyError, TypeError) as error:
        raise TaskFailed("HIVE_INVALID_METADATA", f"{LITERAL} is not a schema of Avro: {error}") from None


def _plain(of: Type) -> Callable[[Any], Any] | None:
    """What makes Avro's values such as Arrow takes for a type; None where they are so already."""
    if of.name == "timestamp":
        return lambda value: value.replace(tzinfo=None) if hasattr(value, "tzinfo") else value
    if of.name in ("string", "char", "varchar"):
        return lambda value: value if value is None or isinstance(value, str | bytes) else _text(value)
    if not of.children:
        return None
    inner = [_plain(child) or _same for child in of.children]
    if of.name == "map":
        return lambda value: None if value is None else [(inner[0](key), inner[1](each)) for key, each in value.items()]
    if of.name == "array":
        return lambda value: None if value is None else [inner[0](each) for each in value]
    names = of.names

    def struct(value: Any) -> Any:
        if value is None:
            return None
        lower = {key.lower(): each for key, each in value.items()}
        return {name: change(lower.get(name.lower())) for name, change in zip(names, inner, strict=True)}

    return struct


def _text(value: Any) -> str:
    if hasattr(value, "hex") and not isinstance(value, float):
        return str(value)
    raise TypeError(f"{value!r} is not a text")


def _same(value: Any) -> Any:
    return value


def _in_microseconds(kind: Any) -> Any:
    """The type with timestamps as DuckDB has them."""
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us")
    if pa.types.is_list(kind):
        return pa.list_(_in_microseconds(kind.value_type))
    if pa.types.is_map(kind):
        return pa.map_(_in_microseconds(kind.key_type), _in_microseconds(kind.item_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(each.name, _in_microseconds(each.type)) for each in kind])
    return kind

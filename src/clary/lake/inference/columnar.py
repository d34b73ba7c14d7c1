"""Files that say themselves which columns they have: Parquet, ORC, Avro. Their types as the catalog writes them."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from clary.lake.inference.found import Found
from clary.lake.inference.merging import STRING, merged
from clary.lake.tables import AVRO, ORC, PARQUET, Column
from clary.lake.types import Type

_DEEPEST = 24
_PLAIN_AVRO = {
    "boolean": "boolean", "int": "int", "long": "bigint", "float": "float", "double": "double", "bytes": "binary",
    "fixed": "binary", "string": "string", "enum": "string", "null": "string",
}  # fmt: skip


def find_parquet(path: Path) -> Found | None:
    """What a file of Parquet says at its end. Raises ValueError where it is damaged."""
    import pyarrow.parquet as pq

    if not _begins(path, b"PAR1"):
        return None
    with pq.ParquetFile(path) as file:
        rows, columns = file.metadata.num_rows, _columns(file.schema_arrow)
        size = sum(file.metadata.row_group(place).total_byte_size for place in range(file.metadata.num_row_groups))
    return Found(PARQUET, columns, records=rows, record_bytes=size // rows if rows else 0)


def find_orc(path: Path) -> Found | None:
    """What a file of ORC says at its end. Raises ValueError where it is damaged."""
    from pyarrow import orc

    if not _begins(path, b"ORC"):
        return None
    file = orc.ORCFile(path)
    rows = file.nrows
    return Found(ORC, _columns(file.schema), records=rows, record_bytes=file.content_length // rows if rows else 0)


def find_avro(path: Path) -> Found | None:
    """What a file of Avro says at its beginning. Raises ValueError where it is damaged."""
    import fastavro

    if not _begins(path, b"Obj\x01"):
        return None
    with path.open("rb") as stream:
        schema = fastavro.reader(stream).writer_schema
        stream.seek(0)
        records = sum(block.num_records for block in fastavro.block_reader(stream))
    if not isinstance(schema, dict) or schema.get("type") != "record":
        raise ValueError("its schema is not that of records")
    named: dict[str, Any] = {}
    columns = [Column(field["name"].lower(), _of_avro(field["type"], named, 0)) for field in schema["fields"]]
    literal = json.dumps(_without_hints(schema), separators=(",", ":"))
    return Found(
        AVRO,
        _unique(columns),
        properties={"avro.schema.literal": literal},
        serde={"avro.schema.literal": literal},
        records=records,
        record_bytes=path.stat().st_size // records if records else 0,
    )


def type_of_arrow(of: Any) -> Type:
    """The type of the catalog for one of Arrow; for what it has none, text."""
    import pyarrow.types as kinds

    if kinds.is_struct(of):
        fields = [of.field(place) for place in range(of.num_fields)]
        if not fields:
            return STRING
        return Type(
            "struct", (), tuple(type_of_arrow(each.type) for each in fields), tuple(each.name for each in fields)
        )
    if kinds.is_map(of):
        return Type("map", children=(type_of_arrow(of.key_type), type_of_arrow(of.item_type)))
    if kinds.is_list(of) or kinds.is_large_list(of) or kinds.is_fixed_size_list(of):
        return Type("array", children=(type_of_arrow(of.value_type),))
    if kinds.is_dictionary(of):
        return type_of_arrow(of.value_type)
    if kinds.is_decimal(of):
        return Type("decimal", (min(of.precision, 38), max(of.scale, 0)))
    tests: tuple[tuple[Callable[[Any], bool], str], ...] = (
        (kinds.is_boolean, "boolean"), (kinds.is_int8, "tinyint"), (kinds.is_int16, "smallint"),
        (kinds.is_uint8, "smallint"), (kinds.is_int32, "int"), (kinds.is_uint16, "int"), (kinds.is_integer, "bigint"),
        (kinds.is_float16, "float"), (kinds.is_float32, "float"), (kinds.is_float64, "double"), (kinds.is_date, "date"),
        (kinds.is_timestamp, "timestamp"), (kinds.is_binary, "binary"), (kinds.is_large_binary, "binary"),
        (kinds.is_fixed_size_binary, "binary"),
    )  # fmt: skip
    return Type(next((name for test, name in tests if test(of)), "string"))


def _columns(schema: Any) -> tuple[Column, ...]:
    return _unique([Column(field.name.lower(), type_of_arrow(field.type)) for field in schema])


def _unique(columns: list[Column]) -> tuple[Column, ...]:
    """Names that differ in case alone are one."""
    return tuple(
        {column.name: column for column in reversed(columns)}[name] for name in dict.fromkeys(c.name for c in columns)
    )


def _of_avro(of: Any, named: dict[str, Any], depth: int) -> Type:
    """The type of the catalog for one of Avro; a union is what holds all that it may be."""
    if depth > _DEEPEST:
        return STRING
    if isinstance(of, list):
        found: Type | None = None
        for each in of:
            found = found if each == "null" else merged(found, _of_avro(each, named, depth + 1))
        return found or STRING
    if isinstance(of, str):
        return _of_avro(named[of], named, depth + 1) if of in named else Type(_PLAIN_AVRO.get(of, "string"))
    return _of_declared(of, named, depth)


def _of_declared(of: Mapping[str, Any], named: dict[str, Any], depth: int) -> Type:
    kind, logical = of["type"], of.get("logicalType")
    if "name" in of:
        named[of["name"]] = of
    if kind == "record":
        fields = [(field["name"], _of_avro(field["type"], named, depth + 1)) for field in of["fields"]]
        return (
            Type("struct", (), tuple(type_ for _, type_ in fields), tuple(name for name, _ in fields))
            if fields
            else STRING
        )
    if kind == "array":
        return Type("array", children=(_of_avro(of["items"], named, depth + 1),))
    if kind == "map":
        return Type("map", children=(STRING, _of_avro(of["values"], named, depth + 1)))
    if logical == "decimal":
        return Type("decimal", (min(of["precision"], 38), of.get("scale", 0)))
    if logical == "date":
        return Type("date")
    if logical in ("timestamp-millis", "timestamp-micros", "local-timestamp-millis", "local-timestamp-micros"):
        return Type("timestamp")
    return _of_avro(kind, named, depth + 1)


def _without_hints(of: Any) -> Any:
    """A schema without what its reader noted in it."""
    if isinstance(of, dict):
        return {key: _without_hints(value) for key, value in of.items() if not key.startswith("__")}
    return [_without_hints(each) for each in of] if isinstance(of, list) else of


def _begins(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic

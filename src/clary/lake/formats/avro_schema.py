"""Schemas of Avro for columns of tables, with the logical types that Hive gives them."""

import re
from collections.abc import Sequence
from typing import Any

from clary.lake.engine.tasks import TaskFailed
from clary.lake.tables import Column
from clary.lake.types import Type

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN: dict[str, Any] = {
    "boolean": "boolean", "tinyint": "int", "smallint": "int", "int": "int", "bigint": "long", "float": "float",
    "double": "double", "string": "string", "char": "string", "varchar": "string", "binary": "bytes",
    "date": {"type": "int", "logicalType": "date"}, "timestamp": {"type": "long", "logicalType": "timestamp-millis"},
}  # fmt: skip


def avro_schema(columns: Sequence[Column]) -> dict[str, Any]:
    """The record that rows of these columns are; each may be null. Raises TaskFailed where Avro has no such type."""
    return _record("row", [(column.name, column.type) for column in columns], [])


def _record(name: str, fields: Sequence[tuple[str, Type]], above: list[str]) -> dict[str, Any]:
    path = [*above, name]
    for field, _ in fields:
        if not _NAME.fullmatch(field):
            raise TaskFailed("NOT_SUPPORTED", f"Avro has no names such as {field!r}: they are letters, digits and _")
    made = [{"name": field, "type": ["null", _type(of, [*path, field])], "default": None} for field, of in fields]
    return {"type": "record", "name": "_".join(path), "fields": made}


def _type(of: Type, path: list[str]) -> Any:
    if of.name == "struct":
        return _record("t", list(zip(of.names, of.children, strict=True)), path)
    if of.name == "array":
        return {"type": "array", "items": ["null", _type(of.children[0], path)]}
    if of.name == "map":
        if of.children[0].name not in ("string", "varchar", "char"):
            raise TaskFailed("NOT_SUPPORTED", f"keys of Avro's maps are texts, and those of {of} are none")
        return {"type": "map", "values": ["null", _type(of.children[1], path)]}
    if of.name == "decimal":
        return {"type": "bytes", "logicalType": "decimal", "precision": of.numbers[0], "scale": of.numbers[1]}
    return _PLAIN[of.name]

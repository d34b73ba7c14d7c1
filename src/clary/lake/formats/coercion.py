"""Which types of files may be read as which types of tables, as Trino has it for Parquet and ORC."""

from typing import Any

from clary.lake.types import Type

_WHOLE = frozenset(
    {"tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint"}
)
_TEXTS = frozenset({"varchar", "blob", "enum", "uuid", "geometry"})
_TIMES = frozenset({"timestamp", "timestamp_ns", "timestamp_ms", "timestamp_s", "timestamp with time zone"})
_INTEGERS = frozenset({"tinyint", "smallint", "int", "bigint"})
_STRINGS = frozenset({"string", "char", "varchar"})


def may_be_read_as(given: Any, wanted: Type) -> bool:
    """Whether a column of DuckDB's type `given` is one of the table's type `wanted`.

    Whole numbers and decimals may be of any width, and a value that does not fit is an error when it is met; numbers
    become wider kinds of numbers. Fields of a struct that only one side has are no hindrance.
    """
    kind: str = given.id
    if kind in ("struct", "list", "map"):
        return _nested(kind, dict(given.children), wanted)
    if kind in _WHOLE:
        return wanted.name in _INTEGERS or wanted.name in ("decimal", "double", "float")
    if kind == "decimal":
        whole = dict(given.children)["scale"] == 0
        return wanted.name in ("decimal", "double", "float") or (whole and wanted.name in _INTEGERS)
    if kind in _TEXTS:
        return wanted.name in _STRINGS or wanted.name == "binary"
    if kind in _TIMES:
        return wanted.name == "timestamp"
    return wanted.name in {"float": ("float", "double"), "double": ("double",), '"null"': (wanted.name,)}.get(
        kind, (kind,)
    )


def _nested(kind: str, children: dict[str, Any], wanted: Type) -> bool:
    if kind == "list":
        return wanted.name == "array" and may_be_read_as(children["child"], wanted.children[0])
    if kind == "map":
        return wanted.name == "map" and all(
            may_be_read_as(children[side], child) for side, child in zip(("key", "value"), wanted.children, strict=True)
        )
    if wanted.name != "struct":
        return False
    fields = {name.lower(): child for name, child in children.items()}
    pairs = zip(wanted.names, wanted.children, strict=True)
    return all(name.lower() not in fields or may_be_read_as(fields[name.lower()], child) for name, child in pairs)

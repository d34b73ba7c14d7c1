"""Types as a query writes them: `row(a bigint, b array(varchar))`, `timestamp(6) with time zone`."""

from sqlglot import exp

from clary.systems.athena.select.types import (
    DAY_SECOND,
    MOST_DIGITS,
    YEAR_MONTH,
    ZONED,
    T,
    array,
    map_of,
)
from clary.systems.athena.select.values import fail, unsupported

_PLAIN = {
    "BOOLEAN": "boolean", "TINYINT": "tinyint", "SMALLINT": "smallint", "INT": "integer", "BIGINT": "bigint",
    "FLOAT": "real", "DOUBLE": "double", "VARBINARY": "varbinary", "BINARY": "varbinary", "DATE": "date",
    "JSON": "json", "TEXT": "varchar", "UUID": "uuid", "IPADDRESS": "ipaddress", "UNKNOWN": "unknown", "REAL": "real",
}  # fmt: skip
_TIMES = {"TIME": "time", "TIMESTAMP": "timestamp", "TIMESTAMPTZ": ZONED, "TIMESTAMPNTZ": "timestamp"}
_PRECISEST = 6


def type_of(node: exp.Expr) -> T:
    """The type that a node of a query names. Fails for one that there is not, or that is not supported."""
    if isinstance(node, exp.Interval):
        unit = node.args.get("unit")
        return T(YEAR_MONTH if unit is not None and "YEAR" in unit.sql().upper() else DAY_SECOND)
    if not isinstance(node, exp.DataType):
        fail("TYPE_NOT_FOUND", node, f"Unknown type: {node.sql()}")
    kind = node.this
    if isinstance(kind, exp.Interval):
        return type_of(kind)
    name = kind.name if isinstance(kind, exp.DType) else str(kind)
    if name in _PLAIN:
        return T(_PLAIN[name])
    if name in ("ARRAY", "LIST"):
        return array(type_of(node.expressions[0]))
    if name == "MAP":
        return map_of(type_of(node.expressions[0]), type_of(node.expressions[1]))
    if name == "STRUCT":
        return _row(node)
    if name in _TIMES:
        return T(_TIMES[name], (_precision(node),))
    if name in ("VARCHAR", "CHAR", "DECIMAL"):
        return _sized(name, node)
    unsupported(node, f"the type {node.sql(dialect='trino').lower()}")


def _numbers(node: exp.DataType) -> tuple[int, ...]:
    try:
        return tuple(int(each.name) for each in node.expressions)
    except ValueError:
        fail("SYNTAX_ERROR", node, f"{node.sql(dialect='trino')} does not name a type")


def _precision(node: exp.DataType) -> int:
    found = _numbers(node)
    if found and found[0] > _PRECISEST:
        unsupported(node, f"a precision of {found[0]} digits of a second, more than {_PRECISEST},")
    return found[0] if found else 3


def _sized(name: str, node: exp.DataType) -> T:
    numbers = _numbers(node)
    if name == "VARCHAR":
        return T("varchar", numbers[:1])
    if name == "CHAR":
        return T("char", numbers[:1] or (1,))
    digits, scale = (*numbers, 0)[:2] if numbers else (MOST_DIGITS, 0)
    if not 1 <= digits <= MOST_DIGITS or scale > digits:
        fail("INVALID_FUNCTION_ARGUMENT", node, f"DECIMAL({digits},{scale}) has more digits than there can be")
    return T("decimal", (digits, scale))


def _row(node: exp.DataType) -> T:
    children: list[T] = []
    names: list[str | None] = []
    for each in node.expressions:
        if isinstance(each, exp.ColumnDef):
            children.append(type_of(each.args["kind"]))
            names.append(each.name if each.this.args.get("quoted") else each.name.lower())
        else:
            children.append(type_of(each))
            names.append(None)
    return T("row", children=tuple(children), names=tuple(names))

"""Columns of results as ColumnInfo shows them: Athena's names of types, precisions and scales."""

import re
from typing import Any

_NUMBERS = re.compile(r"\((\d+)(?:\s*,\s*(\d+))?\)")
_LONGEST = 2147483647
# Precision and scale by type, as Athena's drivers see them.
_SIZES = {
    "boolean": (0, 0), "tinyint": (3, 0), "smallint": (5, 0), "integer": (10, 0), "bigint": (19, 0),
    "float": (17, 0), "double": (17, 0), "date": (0, 0), "timestamp": (3, 0), "timestamp with time zone": (3, 0),
    "time": (3, 0), "time with time zone": (3, 0), "varchar": (_LONGEST, 0), "varbinary": (1073741824, 0),
    "json": (0, 0), "array": (0, 0), "map": (0, 0), "row": (0, 0), "unknown": (0, 0), "uuid": (0, 0),
    "ipaddress": (0, 0), "string": (0, 0), "interval day to second": (0, 0), "interval year to month": (0, 0),
}  # fmt: skip
_NAMES = {"real": "float", "int": "integer"}
_SENSITIVE = frozenset({"varchar", "char", "json"})


def column_info(name: str, type_: str) -> dict[str, Any]:
    """A column by its name and its type of Trino."""
    shown = athena_type(type_)
    numbers = _NUMBERS.search(type_) if shown in ("decimal", "char", "varchar") else None
    precision, scale = _SIZES.get(shown, (0, 0))
    if numbers is not None:
        precision, scale = int(numbers[1]), int(numbers[2] or 0)
    return {
        "CatalogName": "hive",
        "SchemaName": "",
        "TableName": "",
        "Name": name,
        "Label": name,
        "Type": shown,
        "Precision": precision,
        "Scale": scale,
        "Nullable": "UNKNOWN",
        "CaseSensitive": shown in _SENSITIVE,
    }


def athena_type(type_: str) -> str:
    """The name of a type without what is in it: `array` of `array(row(a integer))`, `timestamp` of `timestamp(3)`."""
    plain = re.sub(r"\([^()]*\)", "", type_) if type_.startswith(("timestamp", "time")) else type_.partition("(")[0]
    plain = " ".join(plain.split())
    return _NAMES.get(plain, plain)

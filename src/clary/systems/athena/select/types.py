"""Types of Trino: how they are written, which of them become others by themselves, and what DuckDB holds them in."""

from dataclasses import dataclass, replace

from clary.lake.types import Type, field_names, quoted

MOST_DIGITS = 38
ZONED = "timestamp with time zone"
DAY_SECOND = "interval day to second"
YEAR_MONTH = "interval year to month"

_INTEGERS = ("tinyint", "smallint", "integer", "bigint")
_INTEGER_DIGITS = {"tinyint": 3, "smallint": 5, "integer": 10, "bigint": 19}
_NUMBERS = (*_INTEGERS, "decimal", "real", "double")
_DUCKDB = {
    "unknown": "INTEGER", "boolean": "BOOLEAN", "tinyint": "TINYINT", "smallint": "SMALLINT", "integer": "INTEGER",
    "bigint": "BIGINT", "real": "FLOAT", "double": "DOUBLE", "varchar": "VARCHAR", "char": "VARCHAR",
    "varbinary": "BLOB", "date": "DATE", "time": "TIME", "timestamp": "TIMESTAMP",
    ZONED: "STRUCT(t TIMESTAMP, z VARCHAR)", "json": "VARCHAR",
    DAY_SECOND: "INTERVAL", YEAR_MONTH: "INTERVAL", "uuid": "UUID", "ipaddress": "BLOB",
}  # fmt: skip
_HIVE = {"int": "integer", "float": "real", "string": "varchar", "binary": "varbinary"}


@dataclass(frozen=True, slots=True)
class T:
    """A type of Trino.

    `numbers` are the digits and scale of a decimal, the length of a char or varchar (none: unbounded), the precision of
    a time. `children` are the types of elements, of key and value, or of fields, whose `names` may be missing.
    """

    name: str
    numbers: tuple[int, ...] = ()
    children: tuple["T", ...] = ()
    names: tuple[str | None, ...] = ()

    def __str__(self) -> str:
        """As Trino writes it: `row(a integer, b array(varchar(3)))`."""
        if self.name == "row":
            fields = zip(self.names, self.children, strict=True)
            return f"row({', '.join(f'{_field(name)}{child}' for name, child in fields)})"
        if self.children:
            return f"{self.name}({', '.join(map(str, self.children))})"
        if self.name == ZONED:
            return f"timestamp({self.numbers[0]}) with time zone"
        return f"{self.name}({','.join(map(str, self.numbers))})" if self.numbers else self.name

    @property
    def is_integer(self) -> bool:
        return self.name in _INTEGERS

    @property
    def is_number(self) -> bool:
        return self.name in _NUMBERS

    @property
    def is_text(self) -> bool:
        return self.name in ("varchar", "char")

    @property
    def is_moment(self) -> bool:
        return self.name in ("date", "timestamp", ZONED)


UNKNOWN, BOOLEAN = T("unknown"), T("boolean")
TINYINT, SMALLINT, INTEGER, BIGINT = T("tinyint"), T("smallint"), T("integer"), T("bigint")
REAL, DOUBLE = T("real"), T("double")
VARCHAR, VARBINARY, JSON, DATE = T("varchar"), T("varbinary"), T("json"), T("date")
TIME, TIMESTAMP, TIMESTAMP_ZONED = T("time", (3,)), T("timestamp", (3,)), T(ZONED, (3,))
INTERVAL_DAYS, INTERVAL_MONTHS = T(DAY_SECOND), T(YEAR_MONTH)


def decimal(digits: int, scale: int) -> T:
    return T("decimal", (min(digits, MOST_DIGITS), scale))


def array(of: T) -> T:
    return T("array", children=(of,))


def map_of(key: T, value: T) -> T:
    return T("map", children=(key, value))


def row(*children: T, names: tuple[str | None, ...] = ()) -> T:
    return T("row", children=children, names=names or (None,) * len(children))


def of_column(kind: Type, *, iceberg: bool = False) -> T:
    """The type of a catalog's column in a query. Times of Iceberg count microseconds, others milliseconds."""
    name = _HIVE.get(kind.name, kind.name)
    children = tuple(of_column(child, iceberg=iceberg) for child in kind.children)
    if name == "struct":
        return T("row", children=children, names=tuple(each.lower() for each in kind.names))
    if name == "timestamp":
        return T("timestamp", (6 if iceberg else 3,))
    if name in ("timestamptz", "time"):
        return T({"timestamptz": ZONED}.get(name, name), (6,))
    return T(name, kind.numbers, children)


def duckdb(of: T) -> str:
    """What holds values of the type, as DuckDB's SQL spells it."""
    if of.name == "decimal":
        return f"DECIMAL({of.numbers[0]},{of.numbers[1]})"
    if of.name == "array":
        return f"{duckdb(of.children[0])}[]"
    if of.name == "map":
        return f"MAP({duckdb(of.children[0])}, {duckdb(of.children[1])})"
    if of.name == "row":
        return f"STRUCT({', '.join(f'{quoted(n)} {duckdb(c)}' for n, c in zip(fields(of), of.children, strict=True))})"
    return _DUCKDB[of.name]


def fields(of: T) -> list[str]:
    """The names that DuckDB has the fields of a row under."""
    return field_names(of.names)


def as_decimal(of: T) -> T:
    return decimal(_INTEGER_DIGITS[of.name], 0) if of.is_integer else of


def common(left: T, right: T) -> T | None:
    """The type that values of both become where they meet, if there is one."""
    if left == right or right.name == "unknown":
        return left
    if left.name == "unknown":
        return right
    if left.is_number and right.is_number:
        return _number(left, right)
    if left.is_text and right.is_text:
        return _text(left, right)
    if left.is_moment and right.is_moment:
        wider = max(left, right, key=lambda each: ("date", "timestamp", ZONED).index(each.name))
        return replace(wider, numbers=max(left.numbers, right.numbers) or wider.numbers)
    if left.name != right.name or len(left.children) != len(right.children):
        return None
    if left.name == "time":
        return max(left, right, key=lambda each: each.numbers)
    children = [common(one, other) for one, other in zip(left.children, right.children, strict=True)]
    if None in children or not children:
        return None
    names = tuple(one if one == other else None for one, other in zip(left.names, right.names, strict=True))
    return T(left.name, left.numbers, tuple(each for each in children if each), names)


def becomes(one: T, other: T) -> bool:
    """Whether a value of `one` is taken where `other` is asked for."""
    if other.name == "varchar" and not other.numbers and one.is_text:
        return True
    found = common(one, other)
    return found is not None and (found == other or (found.name == "row" and _alike(found, other)))


def _alike(found: T, other: T) -> bool:
    return [str(each) for each in found.children] == [str(each) for each in other.children]


def _number(left: T, right: T) -> T:
    for kind in (DOUBLE, REAL):
        if kind in (left, right):
            return kind
    if left.is_integer and right.is_integer:
        return max(left, right, key=lambda each: _INTEGERS.index(each.name))
    (digits, scale), (others, other_scale) = as_decimal(left).numbers, as_decimal(right).numbers
    most = max(scale, other_scale)
    return decimal(max(digits - scale, others - other_scale) + most, most)


def _text(left: T, right: T) -> T:
    if left.name == right.name == "char" or ("char" in (left.name, right.name) and left.numbers and right.numbers):
        return T("char", (max(left.numbers[0], right.numbers[0]),))
    if not left.numbers or not right.numbers:
        return VARCHAR
    return T("varchar", (max(left.numbers[0], right.numbers[0]),))


def _field(name: str | None) -> str:
    if name is None:
        return ""
    plain = name.isidentifier() and name.isascii() and name == name.lower()
    return f"{name} " if plain else f"{quoted(name)} "

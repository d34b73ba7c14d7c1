"""Types of columns, as the Glue catalog writes them: `struct<a:int,b:array<decimal(10,2)>>`.

Read once into a tree, and shown as Hive, Trino, DuckDB and Arrow call them.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_DEEPEST = 32
_MOST_DIGITS = 38
_WORD = re.compile(r"\s*([a-z]+(?: precision)?)\s*", re.IGNORECASE)
_NUMBERS = re.compile(r"\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)\s*")
_FIELD = re.compile(r"\s*`?([^:`<>,]+?)`?\s*:")
_ALIASES = {"integer": "int", "long": "bigint", "real": "float", "double precision": "double", "numeric": "decimal"}
_DUCKDB = {
    "boolean": "BOOLEAN", "tinyint": "TINYINT", "smallint": "SMALLINT", "int": "INTEGER", "bigint": "BIGINT",
    "float": "FLOAT", "double": "DOUBLE", "string": "VARCHAR", "char": "VARCHAR", "varchar": "VARCHAR",
    "binary": "BLOB", "date": "DATE", "timestamp": "TIMESTAMP",
}  # fmt: skip
_TRINO = {
    "boolean": "boolean", "tinyint": "tinyint", "smallint": "smallint", "int": "integer", "bigint": "bigint",
    "float": "real", "double": "double", "string": "varchar", "char": "char", "varchar": "varchar",
    "binary": "varbinary", "date": "date", "timestamp": "timestamp(3)",
}  # fmt: skip
PLAIN = frozenset(_DUCKDB)
# What tables of Iceberg have beyond: the catalog has no names for them.
_DUCKDB |= {"timestamptz": "TIMESTAMPTZ", "time": "TIME", "uuid": "UUID"}
_TRINO |= {"timestamptz": "timestamp(6) with time zone", "time": "time(6)", "uuid": "uuid"}


@dataclass(frozen=True, slots=True)
class Type:
    """A type by its Hive name.

    `numbers` are the digits and the scale of a decimal, the length of a char or varchar, or how many digits of a
    second a timestamp has where they are not three. `children` are the types of an array's elements, of a map's keys
    and values, of a struct's fields; `names` are those of the fields.
    """

    name: str
    numbers: tuple[int, ...] = ()
    children: tuple["Type", ...] = ()
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        """As the catalog writes it."""
        if self.name == "struct":
            fields = (f"{name}:{child}" for name, child in zip(self.names, self.children, strict=True))
            return f"struct<{','.join(fields)}>"
        if self.children:
            return f"{self.name}<{','.join(map(str, self.children))}>"
        return f"{self.name}({','.join(map(str, self.numbers))})" if self.numbers else self.name


def parse_type(text: str, *, also: Collection[str] = ()) -> Type:
    """The type that a text of the catalog is. Raises ValueError, saying what is wrong with it.

    `also` are names of plain types that the catalog does not have.
    """
    found, end = _Reader(text, PLAIN.union(also)).type(0, 0)
    if end < len(text):
        raise ValueError(f"{text[end : end + 20]!r} follows a type that is complete in {text[:80]!r}")
    return found


def duckdb_type(of: Type) -> str:
    """The type as DuckDB's SQL spells it."""
    if of.name == "struct":
        fields = (f"{quoted(name)} {duckdb_type(child)}" for name, child in zip(of.names, of.children, strict=True))
        return f"STRUCT({', '.join(fields)})"
    if of.name == "array":
        return f"{duckdb_type(of.children[0])}[]"
    if of.name == "map":
        return f"MAP({', '.join(map(duckdb_type, of.children))})"
    if of.name == "decimal":
        return f"DECIMAL({of.numbers[0]},{of.numbers[1]})"
    return _DUCKDB[of.name]


def trino_type(of: Type) -> str:
    """The type as Trino, and so Athena's DESCRIBE-like answers of queries, spell it."""
    if of.name == "struct":
        fields = (f"{name} {trino_type(child)}" for name, child in zip(of.names, of.children, strict=True))
        return f"row({', '.join(fields)})"
    if of.children:
        return f"{of.name}({', '.join(map(trino_type, of.children))})"
    if of.name == "decimal":
        return f"decimal({of.numbers[0]},{of.numbers[1]})"
    if of.name == "timestamp" and of.numbers:
        return f"timestamp({of.numbers[0]})"
    plain = _TRINO[of.name]
    return f"{plain}({of.numbers[0]})" if of.numbers else plain


def arrow_type(of: Type | str) -> Any:
    """The type as pyarrow has it; timestamps count nanoseconds. Raises ValueError for a text that is none."""
    import pyarrow as pa

    found = parse_type(of) if isinstance(of, str) else of
    children = [arrow_type(child) for child in found.children]
    if found.name == "struct":
        return pa.struct([pa.field(name, child) for name, child in zip(found.names, children, strict=True)])
    if found.name == "decimal":
        return pa.decimal128(*found.numbers)
    made: Mapping[str, Callable[..., Any]] = {
        "array": pa.list_, "map": pa.map_, "boolean": pa.bool_, "tinyint": pa.int8, "smallint": pa.int16,
        "int": pa.int32, "bigint": pa.int64, "float": pa.float32, "double": pa.float64, "string": pa.string,
        "char": pa.string, "varchar": pa.string, "binary": pa.binary, "date": pa.date32,
        "timestamp": lambda: pa.timestamp("ns"), "timestamptz": lambda: pa.timestamp("us", "UTC"),
        "time": lambda: pa.time64("us"), "uuid": pa.uuid,
    }  # fmt: skip
    return made[found.name](*children)


def field_names(names: Sequence[str | None]) -> list[str]:
    """The names that DuckDB has a row's fields under: their own as far as they have one and it is the only one."""
    found: list[str] = []
    for place, name in enumerate(names):
        taken = [each.lower() for each in found]
        free = name if name is not None and name.lower() not in taken else f"field{place}"
        while free.lower() in taken:
            free += "_"
        found.append(free)
    return found


def quoted(name: str) -> str:
    """A name as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


class _Reader:
    """Reads a type from a place on, and says where it ends."""

    def __init__(self, text: str, plain: Collection[str]) -> None:
        self._text = text
        self._plain = plain

    def type(self, place: int, depth: int) -> tuple[Type, int]:
        found = _WORD.match(self._text, place)
        if found is None or depth > _DEEPEST:
            raise ValueError(f"a type is missing at position {place} of {self._text[:80]!r}")
        name, place = found[1].lower(), found.end()
        name = _ALIASES.get(name, name)
        if name in ("array", "map", "struct"):
            return self._nested(name, place, depth + 1)
        numbers = _NUMBERS.match(self._text, place)
        if name == "decimal":
            digits, scale = (int(numbers[1]), int(numbers[2] or 0)) if numbers else (10, 0)
            if not 1 <= digits <= _MOST_DIGITS or scale > digits:
                raise ValueError(f"decimal({digits},{scale}) has more digits than there can be")
            return Type(name, (digits, scale)), numbers.end() if numbers else place
        if name not in self._plain:
            raise ValueError(f"{name} is not a type of columns: they are {', '.join(sorted(PLAIN))}, decimal(p,s), "
                             "array<>, map<,> and struct<:>")  # fmt: skip
        if numbers and name in ("char", "varchar"):
            return Type(name, (int(numbers[1]),)), numbers.end()
        return Type(name), place

    def _nested(self, name: str, place: int, depth: int) -> tuple[Type, int]:
        place = self._expect("<", place)
        if name == "struct":
            return self._struct(place, depth)
        first, place = self.type(place, depth)
        if name == "array":
            return Type(name, children=(first,)), self._expect(">", place)
        second, place = self.type(self._expect(",", place), depth)
        return Type(name, children=(first, second)), self._expect(">", place)

    def _struct(self, place: int, depth: int) -> tuple[Type, int]:
        names: list[str] = []
        children: list[Type] = []
        while True:
            field = _FIELD.match(self._text, place)
            if field is None or field[1].lower() in (name.lower() for name in names):
                raise ValueError(f"the name of a new field is missing at position {place} of {self._text[:80]!r}")
            child, place = self.type(field.end(), depth)
            names.append(field[1])
            children.append(child)
            if self._text[place : place + 1] != ",":
                return Type("struct", children=tuple(children), names=tuple(names)), self._expect(">", place)
            place += 1

    def _expect(self, sign: str, place: int) -> int:
        if self._text[place : place + 1] != sign:
            raise ValueError(f"{sign} is missing at position {place} of {self._text[:80]!r}")
        rest = self._text[place + 1 :]
        return len(self._text) - len(rest.lstrip())

"""Types and columns that hold what several do, and how alike lists of columns are. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from clary.lake.tables import Column
from clary.lake.types import Type

STRING, BOOLEAN, INT, BIGINT, DOUBLE = (Type(name) for name in ("string", "boolean", "int", "bigint", "double"))
DATE, TIMESTAMP = Type("date"), Type("timestamp")
# The type, also within others, of what says none: a field that is always null, the elements of an empty array. Other
# files may know more, so it is kept until a table is made.
NOTHING = Type("void")

_WHOLE = {"tinyint": 3, "smallint": 5, "int": 10, "bigint": 19}
_MOST_DIGITS = 38
_BROKEN = ("float", "double")
# Glue takes schemas for alike when more than this share of their columns is.
ALIKE = 0.7


def merged(one: Type | None, other: Type | None) -> Type | None:
    """The narrowest type for the values of both; None is the type of values that say none."""
    if one is None or one == NOTHING:
        return other or one
    if other is None or other == NOTHING or one == other:
        return one
    if one.name == other.name == "struct":
        return _structs(one, other)
    if one.name == other.name in ("array", "map"):
        children = [merged(a, b) or STRING for a, b in zip(one.children, other.children, strict=True)]
        return Type(one.name, children=tuple(children))
    numbers = {one.name, other.name}
    if numbers <= {*_WHOLE, *_BROKEN, "decimal"}:
        return _numbers(one, other)
    if numbers == {"date", "timestamp"}:
        return TIMESTAMP
    return STRING


def merged_all(types: Iterable[Type | None]) -> Type | None:
    found: Type | None = None
    for each in types:
        found = merged(found, each)
    return found


def settled(of: Type) -> Type:
    """The type as a table has it: with text for what says none."""
    return STRING if of == NOTHING else replace(of, children=tuple(map(settled, of.children)))


def merged_columns(lists: Iterable[Sequence[Column]]) -> tuple[Column, ...]:
    """The columns of all lists, each once, where it first comes; of the type that holds what all of them hold."""
    found: dict[str, Column] = {}
    for columns in lists:
        for column in columns:
            known = found.get(column.name)
            if known is None:
                found[column.name] = column
            elif known.type != column.type:
                found[column.name] = Column(column.name, merged(known.type, column.type) or STRING, known.comment)
    return tuple(found.values())


def similar(one: Sequence[Column], other: Sequence[Column]) -> bool:
    """Whether two lists of columns are so alike that they may be of one table."""
    if not one or not other:
        return len(one) == len(other)
    types = {column.name: column.type for column in one}
    same = sum(column.name in types and _goes_with(types[column.name], column.type) for column in other)
    return same / max(len(one), len(other)) > ALIKE


def _goes_with(one: Type, other: Type) -> bool:
    """Whether one type can hold the values of both: any scalar can be a text, but nothing nested can."""
    return merged(one, other) != STRING or not (one.children or other.children)


def _numbers(one: Type, other: Type) -> Type:
    if one.name in _BROKEN or other.name in _BROKEN:
        return DOUBLE
    if "decimal" in (one.name, other.name):
        (digits, scale), (more, finer) = _digits(one), _digits(other)
        finest = max(scale, finer)
        whole = max(digits - scale, more - finer)
        return Type("decimal", (whole + finest, finest)) if whole + finest <= _MOST_DIGITS else DOUBLE
    return max(one, other, key=lambda each: _WHOLE[each.name])


def _digits(of: Type) -> tuple[int, int]:
    return (of.numbers[0], of.numbers[1]) if of.name == "decimal" else (_WHOLE[of.name], 0)


def _structs(one: Type, other: Type) -> Type:
    """Fields of the same name, however it is written, are one."""
    fields: dict[str, tuple[str, Type | None]] = {}
    for struct in (one, other):
        for name, child in zip(struct.names, struct.children, strict=True):
            known = fields.get(name.lower())
            fields[name.lower()] = (name, child) if known is None else (known[0], merged(known[1], child))
    names, children = zip(*fields.values(), strict=True)
    return Type("struct", children=tuple(child or STRING for child in children), names=names)

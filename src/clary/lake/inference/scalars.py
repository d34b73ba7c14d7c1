"""The types of single values: of texts in files of text, and of values of JSON. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from clary.lake.inference.merging import BIGINT, BOOLEAN, DOUBLE, INT, NOTHING, STRING, merged, merged_all
from clary.lake.types import Type

_INTEGER = re.compile(r"[+-]?\d{1,19}")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?")
_BOOLEANS = frozenset({"true", "false"})
_SMALLEST, _LARGEST = -(2**31), 2**31 - 1
_LEAST, _MOST = -(2**63), 2**63 - 1
_WIDEST = 10**38
_DEEPEST = 24
# What a name of a field of a struct cannot hold, for it would end there.
_UNNAMEABLE = re.compile(r"[:<>,`]")


def type_of_text(text: str) -> Type | None:
    """The type of a text in a file of text: whole numbers are bigint. None for an empty one."""
    plain = text.strip()
    if not plain:
        return None
    if _INTEGER.fullmatch(plain):
        return BIGINT if _LEAST <= int(plain) <= _MOST else DOUBLE
    if _NUMBER.fullmatch(plain):
        return DOUBLE
    return BOOLEAN if plain.lower() in _BOOLEANS else STRING


def type_of_texts(texts: Iterable[str]) -> Type | None:
    return merged_all(map(type_of_text, texts))


def type_of_value(value: Any, depth: int = 0) -> Type | None:
    """The type of a value of JSON: whole numbers are int where they fit. None for null, and for what is empty."""
    if value is None:
        return None
    if isinstance(value, bool):
        return BOOLEAN
    if isinstance(value, int):
        return _whole(value)
    if isinstance(value, float):
        return DOUBLE
    if isinstance(value, str) or depth > _DEEPEST:
        return STRING
    if isinstance(value, list):
        return Type("array", children=(merged_all(type_of_value(each, depth + 1) for each in value) or NOTHING,))
    return _struct(value, depth)


def columns_of_rows(rows: Sequence[Mapping[str, Any]]) -> dict[str, Type]:
    """The types of all fields of rows, in the order in which they first come; of what is always null, none."""
    types: dict[str, Type | None] = {}
    for row in rows:
        for name, value in row.items():
            types[name] = merged(types.get(name), type_of_value(value))
    return {name: type_ or NOTHING for name, type_ in types.items()}


def _whole(value: int) -> Type:
    if _SMALLEST <= value <= _LARGEST:
        return INT
    if _LEAST <= value <= _MOST:
        return BIGINT
    return Type("decimal", (38, 0)) if abs(value) < _WIDEST else DOUBLE


def _struct(value: Mapping[str, Any], depth: int) -> Type | None:
    fields: dict[str, tuple[str, Type | None]] = {}
    for name, inner in value.items():
        plain = _UNNAMEABLE.sub("_", name).strip() or "_"
        known = fields.get(plain.lower(), (plain, None))
        fields[plain.lower()] = (known[0], merged(known[1], type_of_value(inner, depth + 1)))
    if not fields:
        return None
    names, children = zip(*fields.values(), strict=True)
    return Type("struct", children=tuple(child or NOTHING for child in children), names=names)

"""Hive's types, as the catalog writes them, as Arrow's: `struct<a:int,b:array<decimal(10,2)>>`."""

import re
from typing import Any

import pyarrow as pa

_DEEPEST = 32
_WORD = re.compile(r"\s*([a-z]+(?: precision)?)\s*", re.IGNORECASE)
_NUMBERS = re.compile(r"\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)\s*")
_FIELD = re.compile(r"\s*`?([^:`<>,]+?)`?\s*:")
_MOST_DIGITS = 38


def arrow_type(text: str) -> Any:
    """The Arrow type of a Hive type. Raises ValueError, saying what is wrong with it."""
    found, end = _Reader(text).type(0, 0)
    if end < len(text):
        raise ValueError(f"{text[end : end + 20]!r} follows a type that is complete in {text[:80]!r}")
    return found


class _Reader:
    """Reads a type from a place on, and says where it ends."""

    def __init__(self, text: str) -> None:
        self._text = text

    def type(self, place: int, depth: int) -> tuple[Any, int]:
        found = _WORD.match(self._text, place)
        if found is None or depth > _DEEPEST:
            raise ValueError(f"a type is missing at position {place} of {self._text[:80]!r}")
        name, place = found[1].lower(), found.end()
        if name in ("array", "map", "struct"):
            return self._nested(name, place, depth + 1)
        numbers = _NUMBERS.match(self._text, place)
        if name in ("decimal", "numeric"):
            digits, scale = (int(numbers[1]), int(numbers[2] or 0)) if numbers else (10, 0)
            if not 1 <= digits <= _MOST_DIGITS or scale > digits:
                raise ValueError(f"decimal({digits},{scale}) has more digits than there can be")
            return pa.decimal128(digits, scale), numbers.end() if numbers else place
        plain = _plain(name)
        if plain is None:
            raise ValueError(f"{name} is not a type that records can be converted to")
        return plain, numbers.end() if numbers and name in ("char", "varchar") else place

    def _nested(self, name: str, place: int, depth: int) -> tuple[Any, int]:
        place = self._expect("<", place)
        if name == "struct":
            fields, names = [], set()
            while True:
                field = _FIELD.match(self._text, place)
                if field is None or field[1].lower() in names:
                    raise ValueError(f"the name of a new field is missing at position {place} of {self._text[:80]!r}")
                names.add(field[1].lower())
                child, place = self.type(field.end(), depth)
                fields.append(pa.field(field[1], child))
                if self._text[place : place + 1] != ",":
                    return pa.struct(fields), self._expect(">", place)
                place += 1
        first, place = self.type(place, depth)
        if name == "array":
            return pa.list_(first), self._expect(">", place)
        second, place = self.type(self._expect(",", place), depth)
        return pa.map_(first, second), self._expect(">", place)

    def _expect(self, sign: str, place: int) -> int:
        if self._text[place : place + 1] != sign:
            raise ValueError(f"{sign} is missing at position {place} of {self._text[:80]!r}")
        rest = self._text[place + 1 :]
        return len(self._text) - len(rest.lstrip())


def _plain(name: str) -> Any:
    return {
        "boolean": pa.bool_(),
        "tinyint": pa.int8(),
        "smallint": pa.int16(),
        "int": pa.int32(),
        "integer": pa.int32(),
        "bigint": pa.int64(),
        "float": pa.float32(),
        "real": pa.float32(),
        "double": pa.float64(),
        "double precision": pa.float64(),
        "string": pa.string(),
        "char": pa.string(),
        "varchar": pa.string(),
        "binary": pa.binary(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("ns"),
    }.get(name)

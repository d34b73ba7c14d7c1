"""JSON, an object a line, as the openx and hcatalog serializers read it: DuckDB parses it, in all its threads.

Keys are found whatever their case, unless `case.insensitive` is false. DuckDB compares keys as they are, and takes
numbers for doubles: lines whose keys are not in lower case, and those in which a decimal or a text is to be made of a
number that a double would show in other digits, are written anew before it sees them.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from clary.lake import tables
from clary.lake.formats.cloudtrail import records_of
from clary.lake.formats.lines import LINE, Lines, lines_of, properties_of
from clary.lake.formats.parts import FILE_NUMBER, BytesRead, Part, literal, null, of_files
from clary.lake.formats.values import Texts
from clary.lake.types import Type, duckdb_type, quoted

_UPPER_KEY = r'[A-Z\x{80}-\x{10FFFF}][^"\\]*"\s*:'
_DOTTED_KEY = r'\.[^"\\]*"\s*:'
_ODD_NUMBER = r"-?(?:[0-9.]{16,}|[0-9]+\.[0-9]+0(?:[^0-9]|$)|[0-9]+\.0000|[0-9.]+[eE])|-0(?:[^0-9.]|$)"
"""A number that a double shows otherwise: by its length, zeros at its end, or an exponent it has or would get."""
_MOST_KEYS = 500
_EXACT = frozenset({"decimal", "string", "varchar", "char", "binary"})
_EXACTLY = object()  # the shape of what is made of a value's text
_VALUE = "#v"


class JsonLines(Lines):
    """Lines of JSON with the keys of structs in lower case."""

    def __init__(self, part: Part, read: BytesRead, types: Mapping[str, Type], *, folded: bool, dotless: bool) -> None:
        super().__init__(part, read)
        self._shape = {name: _shape(of) for name, of in types.items()}
        self._folded = folded
        self._dotless = dotless
        patterns = ([_UPPER_KEY] if folded else []) + ([_DOTTED_KEY] if dotless else [])
        exact = [key for key, of in types.items() if _is_exact(of)]
        patterns += [_odd_numbers(exact, folded=folded)] if exact else []
        self._pattern = "|".join(patterns)

    def batches(self) -> Iterator[tuple[int, Any]]:
        source = records_of if self._part.format == tables.CLOUDTRAIL else lines_of
        for number, lines in source(self._part, self._read):
            if not self._pattern:
                yield number, lines
                continue
            odd = pc.match_substring_regex(lines, self._pattern)
            if not pc.any(odd).as_py():
                yield number, lines
                continue
            pairs = zip(lines.to_pylist(), odd.to_pylist(), strict=True)
            yield number, pa.array([self._plain(line) if is_odd else line for line, is_odd in pairs], pa.string())

    def _plain(self, line: str) -> str:
        try:
            found = json.loads(line, parse_int=_Number, parse_float=_Number)
        except (ValueError, RecursionError):
            return line
        return self._written(found, self._shape)

    def _written(self, value: Any, shape: Any) -> str:
        """A value as JSON again. The keys of structs are in lower case, those of maps as they were; what shows its
        digits is a text."""
        if isinstance(value, (dict, list, _Number)) and shape is _EXACTLY:
            return json.dumps(_text(value))
        if isinstance(value, dict):
            if isinstance(shape, dict):
                plain = {self._key(key): each for key, each in value.items()}
                pairs = [(key, each, shape.get(key)) for key, each in plain.items()]
            else:
                inner = shape.values if isinstance(shape, _Map) else None
                pairs = [(key, each, inner) for key, each in value.items()]
            return f"{{{','.join(f'{json.dumps(key)}:{self._written(each, of)}' for key, each, of in pairs)}}}"
        if isinstance(value, list):
            inner = shape[0] if isinstance(shape, list) else None
            return f"[{','.join(self._written(each, inner) for each in value)}]"
        return _text(value)

    def _key(self, key: str) -> str:
        key = key.lower() if self._folded else key
        return key.replace(".", "_") if self._dotless else key


class _Number(str):
    """A number as it was written."""

    __slots__ = ()


class _Map:
    def __init__(self, values: Any) -> None:
        self.values = values


def selects(connection: Any, part: Part, name: str, read: BytesRead) -> list[str]:
    """The rows of a part. What is no JSON is an error, or all NULL with `ignore.malformed.json`."""
    properties = properties_of(part)
    folded = properties.get("case.insensitive", "true").lower() != "false"
    dotless = properties.get("dots.in.keys", "false").lower() == "true"
    keys = {key.removeprefix("mapping.").lower(): value for key, value in properties.items() if key[:8] == "mapping."}
    wanted = part.wanted
    names = {each.name: keys.get(each.name, each.name) for each in wanted}
    if folded:
        names = {column: key.lower() for column, key in names.items()}
    types = {names[each.name]: each.type for each in wanted}
    connection.register(name, JsonLines(part, read, types, folded=folded, dotless=dotless))
    # Two columns may be of one key; one that is used by its text alone is taken apart by none.
    shape = json.dumps({key: _text_type(of, folded) for key, of in types.items()})
    items = []
    for column in part.scan.columns:
        made = null(column.type)
        if column.name in names:
            texts = _JsonTexts(Texts(strict=True, times=_times(properties), field=column.name, epochs=True), folded)
            value = texts.value(f"{quoted(_VALUE)}.{quoted(names[column.name])}", column.type)
            made = f"CAST({value} AS {duckdb_type(column.type)})"
        items.append(f"{made} AS {quoted(column.name)}")
    items += of_files(part.scan, quoted(FILE_NUMBER))
    if not wanted:
        return [f"SELECT {', '.join(items)} FROM {quoted(name)}"]
    ignored = properties.get("ignore.malformed.json", "false").lower() == "true"
    parsed = f"TRY(json_transform({quoted(LINE)}, {literal(shape)}))"
    if not ignored:
        said = literal("HIVE_CURSOR_ERROR: Row is not a valid JSON Object - JSONException: ")
        wrong = f"CASE WHEN trim({quoted(LINE)}) <> '' THEN error({said} || left({quoted(LINE)}, 200)) END"
        kind = ", ".join(f"{quoted(key)} {_text_type(of, folded)}" for key, of in types.items())
        parsed = f"coalesce({parsed}, CAST({wrong} AS STRUCT({kind})))"
    source = f"SELECT {parsed} AS {quoted(_VALUE)}, {quoted(FILE_NUMBER)} FROM {quoted(name)}"
    return [f"SELECT {', '.join(items)} FROM ({source})"]


class _JsonTexts:
    """SQL that makes values of what JSON holds, whose texts are still texts."""

    def __init__(self, texts: Texts, folded: bool) -> None:
        self._texts = texts
        self._folded = folded
        self._names = 0

    def value(self, given: str, of: Type) -> str:
        if of.name == "boolean":
            return f"(lower({given}) = 'true')"
        if not of.children:
            return self._texts.value(given, of)
        self._names += 1
        one = f"e{self._names}"
        if of.name == "array":
            return f"list_transform({given}, lambda {one}: {self.value(one, of.children[0])})"
        if of.name == "map":
            key, value = self.value(f"{one}.key", of.children[0]), self.value(f"{one}.value", of.children[1])
            return f"map_from_entries(list_transform(map_entries({given}), lambda {one}: {{k: {key}, v: {value}}}))"
        fields = ", ".join(
            f"{literal(name)}: {self.value(f'{given}.{quoted(_key(name, self._folded))}', child)}"
            for name, child in zip(of.names, of.children, strict=True)
        )
        return f"CASE WHEN {given} IS NOT NULL THEN {{{fields}}} END"


def _times(properties: Mapping[str, str]) -> tuple[str, ...]:
    text = properties.get("timestamp.formats") or ""
    return tuple(each.strip() for each in text.split(",") if each.strip())


def _key(name: str, folded: bool) -> str:
    return name.lower() if folded else name


def _text_type(of: Type, folded: bool) -> str:
    """The type with texts for all that is plain, as DuckDB spells it."""
    if of.name == "array":
        return f"{_text_type(of.children[0], folded)}[]"
    if of.name == "map":
        return f"MAP(VARCHAR, {_text_type(of.children[1], folded)})"
    if of.name == "struct":
        pairs = zip(of.names, of.children, strict=True)
        return (
            f"STRUCT({', '.join(f'{quoted(_key(name, folded))} {_text_type(child, folded)}' for name, child in pairs)})"
        )
    return "VARCHAR"


def _is_exact(of: Type) -> bool:
    """Whether something of this type shows the digits of numbers as they were written."""
    return of.name in _EXACT or any(map(_is_exact, of.children[of.name == "map" :]))


def _odd_numbers(keys: Sequence[str], *, folded: bool) -> str:
    """The pattern of lines that have an odd number under one of the keys, directly or somewhere within."""
    named = "|".join(map(re.escape, keys)) if len(keys) <= _MOST_KEYS else r'[^"\\]*'
    return rf'(?{"i" if folded else ""}:"(?:{named})")\s*:(?:\s*[\[{{](?:.*[:,\[])?)?\s*(?:{_ODD_NUMBER})'


def _text(value: Any) -> str:
    """A value as compact JSON, its numbers as they were written."""
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, dict):
        return f"{{{','.join(f'{_text(key)}:{_text(each)}' for key, each in value.items())}}}"
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _shape(of: Type) -> Any:
    """Which keys are names of fields: a dict for a struct, a list for an array; `_EXACTLY` where digits are shown."""
    if of.name == "struct":
        return {name.lower(): _shape(child) for name, child in zip(of.names, of.children, strict=True)}
    if of.name == "array":
        return [_shape(of.children[0])]
    if of.name == "map":
        return _Map(_shape(of.children[1]))
    return _EXACTLY if of.name in _EXACT else None

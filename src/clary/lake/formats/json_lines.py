"""JSON, an object a line, as the openx and hcatalog serializers read it: DuckDB parses it, in all its threads.

Keys are found whatever their case, unless `case.insensitive` is false. DuckDB compares keys as they are, and takes
numbers for doubles: lines whose keys are not in lower case, and those with numbers of more digits than a double has
where there are decimals to read, are written anew before it sees them.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from clary.lake.formats.lines import LINE, Lines, lines_of, properties_of
from clary.lake.formats.parts import FILE_NUMBER, BytesRead, Part, literal, null, of_files
from clary.lake.formats.values import Texts
from clary.lake.types import Type, duckdb_type, quoted

_UPPER_KEY = r'[A-Z\x{80}-\x{10FFFF}][^"\\]*"\s*:'
_DOTTED_KEY = r'\.[^"\\]*"\s*:'
_DOUBLE_DIGITS = 15
_LONG_NUMBER = rf"[0-9.]{{{_DOUBLE_DIGITS + 1},}}"
_VALUE = "#v"
_AS_IT_IS = object()  # the shape of what is in JSON that is a text here


class JsonLines(Lines):
    """Lines of JSON with the keys of structs in lower case."""

    def __init__(self, part: Part, read: BytesRead, types: Mapping[str, Type], *, folded: bool, dotless: bool) -> None:
        super().__init__(part, read)
        self._shape = {name: _shape(of) for name, of in types.items()}
        self._folded = folded
        self._dotless = dotless
        patterns = ([_UPPER_KEY] if folded else []) + ([_DOTTED_KEY] if dotless else [])
        patterns += [_LONG_NUMBER] if any(map(_has_decimals, types.values())) else []
        self._pattern = "|".join(patterns)

    def batches(self) -> Iterator[tuple[int, Any]]:
        for number, lines in lines_of(self._part, self._read):
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
        """A value as JSON again. The keys of structs are in lower case, those of maps as they were."""
        if isinstance(value, _Number):
            return f'"{value}"' if len(value) > _DOUBLE_DIGITS and shape is not _AS_IT_IS else str(value)
        if isinstance(value, dict):
            if shape is None or shape is _AS_IT_IS:
                pairs = ((key, each, _AS_IT_IS) for key, each in value.items())
            elif isinstance(shape, _Map):
                pairs = ((key, each, shape.values) for key, each in value.items())
            else:
                fields = shape if isinstance(shape, dict) else {}
                plain = {self._key(key): each for key, each in value.items()}
                pairs = ((key, each, fields.get(key)) for key, each in plain.items())
            made = ",".join(f"{json.dumps(key)}:{self._written(each, of)}" for key, each, of in pairs)
            return f"{{{made}}}"
        if isinstance(value, list):
            inner = shape[0] if isinstance(shape, list) else _AS_IT_IS
            return f"[{','.join(self._written(each, inner) for each in value)}]"
        return json.dumps(value)

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


def _has_decimals(of: Type) -> bool:
    return of.name == "decimal" or any(map(_has_decimals, of.children))


def _shape(of: Type) -> Any:
    """Which keys are names of fields: a dict for a struct, a list for an array; None where keys stay as they are."""
    if of.name == "struct":
        return {name.lower(): _shape(child) for name, child in zip(of.names, of.children, strict=True)}
    if of.name == "array":
        return [_shape(of.children[0])]
    return _Map(_shape(of.children[1])) if of.name == "map" else None

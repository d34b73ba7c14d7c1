"""LazySimpleSerDe: lines of texts between separators, which nest by level; what is no value of its type is NULL.

A line is split as DuckDB splits texts, in all its threads; only columns that are used are made values of.
"""

from collections.abc import Mapping
from typing import Any

from clary.lake.engine.tasks import TaskFailed
from clary.lake.formats.lines import LINE, Lines, properties_of
from clary.lake.formats.parts import FILE_NUMBER, BytesRead, Part, literal, null, of_files
from clary.lake.formats.values import Texts
from clary.lake.types import Type, duckdb_type, quoted

_DEFAULTS = [chr(code) for code in (*range(1, 9), 11, *range(14, 27), 28, 29, 30, 31)]
_STAND_INS = 0xF8C0
"""The first of the private characters that stand for escaped ones until lines are taken apart."""
_MOST_COLUMNS = 10_000


class Separators:
    """The characters that separate, by level, and what else the properties say of texts."""

    def __init__(self, properties: Mapping[str, str]) -> None:
        first = properties.get("field.delim") or properties.get("serialization.format") or ""
        second = properties.get("collection.delim") or properties.get("colelction.delim") or ""
        self.levels = [
            _separator(first, _DEFAULTS[0]),
            _separator(second, _DEFAULTS[1]),
            _separator(properties.get("mapkey.delim") or "", _DEFAULTS[2]),
            *_DEFAULTS[3:],
        ]
        self.null = properties.get("serialization.null.format", "\\N")
        escape = properties.get("escape.delim")
        self.escape = "" if escape is None else _separator(escape, "\\")
        self.last_takes_rest = properties.get("serialization.last.column.takes.rest", "").lower() == "true"
        line = _separator(properties.get("line.delim") or "", "\n")
        if line != "\n":
            raise TaskFailed("HIVE_INVALID_METADATA", f"line.delim must be a newline, as Hive has it, and is {line!r}")

    def at(self, level: int) -> str:
        if level >= len(self.levels):
            raise TaskFailed("HIVE_INVALID_METADATA", f"types are nested deeper than the {len(self.levels)} separators")
        return self.levels[level]


class Split:
    """SQL that takes texts apart. `escaped` are characters that stand for others that an escape stood before."""

    def __init__(self, separators: Separators, texts: Texts, deepest: int) -> None:
        self._separators = separators
        self._texts = texts
        signs = dict.fromkeys([separators.escape, *separators.levels[:deepest]]) if separators.escape else {}
        self._stand_ins = {sign: chr(_STAND_INS + place) for place, sign in enumerate(signs)}
        self._names = 0

    def prepared(self, line: str) -> str:
        """A line whose escaped characters no longer separate anything."""
        for sign, stand_in in self._stand_ins.items():
            line = f"replace({line}, {literal(self._separators.escape + sign)}, {literal(stand_in)})"
        return line

    def value(self, raw: str, of: Type, level: int = 1) -> str:
        """A value of any type, from the SQL of its part of a line."""
        made = self._nested(raw, of, level) if of.children else self._texts.value(self._unescaped(raw), of)
        return f"CASE WHEN {raw} <> {literal(self._separators.null)} THEN {made} END"

    def _unescaped(self, raw: str) -> str:
        if not self._stand_ins:
            return raw
        raw = f"replace({raw}, {literal(self._separators.escape)}, '')"
        for sign, stand_in in self._stand_ins.items():
            raw = f"replace({raw}, {literal(stand_in)}, {literal(sign)})"
        return raw

    def _nested(self, raw: str, of: Type, level: int) -> str:
        self._names += 1
        one, place = f"e{self._names}", f"i{self._names}"
        outer = f"string_split({raw}, {literal(self._separators.at(level))})"
        if of.name == "array":
            made = self.value(one, of.children[0], level + 1)
            return f"CASE WHEN {raw} = '' THEN [] ELSE list_transform({outer}, lambda {one}: {made}) END"
        if of.name == "struct":
            fields = ", ".join(
                f"{quoted(name)}: {self.value(f'{one}[{at}]', child, level + 1)}"
                for at, (name, child) in enumerate(zip(of.names, of.children, strict=True), 1)
            )
            return f"list_transform([{outer}], lambda {one}: {{{fields}}})[1]"
        between = literal(self._separators.at(level + 1))
        key = self.value(f"split_part({one}, {between}, 1)", of.children[0], level + 2)
        rest = f"substring({one}, strpos({one}, {between}) + 1)"
        value = f"CASE WHEN contains({one}, {between}) THEN {self.value(rest, of.children[1], level + 2)} END"
        pairs = f"list_transform({outer}, lambda {one}: {{k: {key}, v: {value}}})"
        # A key that comes again does not count; one that is NULL cannot be.
        first = f"lambda {one}, {place}: {one}.k IS NOT NULL AND list_position({{p}}.ks, {one}.k) = {place}"
        holder = f"p{self._names}"
        distinct = first.replace("{p}", holder)
        kept = f"list_filter({holder}.ps, {distinct})"
        made = (
            f"list_transform([{pairs}], lambda ps{holder}: {{ps: ps{holder}, "
            f"ks: list_transform(ps{holder}, lambda x{holder}: x{holder}.k)}})"
        )
        entries = f"list_transform({made}, lambda {holder}: map_from_entries({kept}))[1]"
        return f"CASE WHEN {raw} = '' THEN MAP {{}} ELSE {entries} END"


def selects(connection: Any, part: Part, name: str, read: BytesRead) -> list[str]:
    """The rows of a part."""
    connection.register(name, Lines(part, read))
    properties = properties_of(part)
    separators = Separators(properties)
    split = Split(separators, Texts(times=_times(properties)), _deepest(part))
    places = {column.name: place for place, column in enumerate(part.columns, 1)}
    wanted = {column.name for column in part.wanted}
    items = []
    for column in part.scan.columns:
        made = null(column.type)
        if column.name in wanted:
            at = places[column.name]
            raw = f'"#f"[{at}]'
            if separators.last_takes_rest and at == len(places):
                raw = f"nullif(array_to_string(\"#f\"[{at}:], {literal(separators.at(0))}), '')"
            made = f"CAST({split.value(raw, column.type)} AS {duckdb_type(column.type)})"
        items.append(f"{made} AS {quoted(column.name)}")
    items += of_files(part.scan, quoted(FILE_NUMBER))
    fields = f"string_split({split.prepared(quoted(LINE))}, {literal(separators.at(0))})" if wanted else "NULL"
    source = f'SELECT {fields} AS "#f", {quoted(FILE_NUMBER)} FROM {quoted(name)}'
    return [f"SELECT {', '.join(items)} FROM ({source})"]


def _times(properties: Mapping[str, str]) -> tuple[str, ...]:
    text = properties.get("timestamp.formats") or ""
    return tuple(each.strip() for each in text.split(",") if each.strip())


def _deepest(part: Part) -> int:
    return 1 + max((_depth(column.type) for column in part.columns), default=0)


def _depth(of: Type) -> int:
    if not of.children:
        return 0
    return (2 if of.name == "map" else 1) + max(map(_depth, of.children))


def _separator(text: str, default: str) -> str:
    """A separator by itself or by its number. Hive takes one byte; Athena takes it to be one character."""
    if not text:
        return default
    if text.isascii() and text.lstrip("-").isdigit():
        number = int(text)
        if -128 <= number <= 127 and (len(text) > 1 or number < 10):
            return chr(number % 256)
    return text[0]

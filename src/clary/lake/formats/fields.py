"""Serializers whose fields are made of lines in Python: OpenCSVSerde, RegexSerDe, Grok. SQL makes values of them."""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from clary.lake.engine.tasks import TaskFailed
from clary.lake.formats.grok import compile_grok
from clary.lake.formats.java_regex import compile_java
from clary.lake.formats.lines import lines_of, properties_of, skipped_of
from clary.lake.formats.parts import FILE_NUMBER, BytesRead, Part, null, of_files
from clary.lake.formats.values import Texts
from clary.lake.types import duckdb_type, quoted

FIELDS = "#f"
_SCHEMA = pa.schema([(FIELDS, pa.list_(pa.string())), (FILE_NUMBER, pa.int32())])

Splitter = Callable[[Any], Any]
"""Makes an array of lists of fields from an array of lines; a line that has none is NULL."""


class Fields:
    """Hands out the fields of a part's lines anew each time it is asked."""

    def __init__(self, part: Part, read: BytesRead, split: Splitter) -> None:
        skipped_of(part)
        self._part = part
        self._read = read
        self._split = split

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        batches = pa.RecordBatchReader.from_batches(_SCHEMA, self._batches())
        return batches.__arrow_c_stream__(requested_schema)

    def _batches(self) -> Iterator[Any]:
        for number, lines in lines_of(self._part, self._read):
            made = self._split(lines)
            yield pa.record_batch([made, pa.repeat(pa.scalar(number, pa.int32()), len(made))], schema=_SCHEMA)


def open_csv(connection: Any, part: Part, name: str, read: BytesRead) -> list[str]:
    """OpenCSVSerde. A number that is none is an error; dates are days and timestamps milliseconds, as in Athena."""
    properties = properties_of(part)
    signs = [
        _sign(properties.get(key) or default)
        for key, default in (("separatorChar", ","), ("quoteChar", '"'), ("escapeChar", "\\"))
    ]
    if signs[2] == '"':
        signs[2] = "\\"  # as Hive has it: what reads there takes this sign for the default of what writes
    connection.register(name, Fields(part, read, OpenCsv(*signs)))
    return [_select(part, name, strict=True)]


def regex(connection: Any, part: Part, name: str, read: BytesRead) -> list[str]:
    """RegexSerDe: the groups of `input.regex` in their order; a line that it does not match whole is all NULL.

    There may be more groups than columns, as in the manual's own table of Network Load Balancers' logs.
    """
    properties = properties_of(part)
    pattern = properties.get("input.regex")
    if not pattern:
        raise TaskFailed("HIVE_INVALID_METADATA", "RegexSerDe needs the property input.regex, which is missing")
    try:
        insensitive = properties.get("input.regex.case.insensitive", "").lower() == "true"
        compiled = compile_java(pattern, re.IGNORECASE if insensitive else 0)
    except ValueError as error:
        raise TaskFailed("HIVE_INVALID_METADATA", f"input.regex {pattern!r} is not a pattern: {error}") from None
    if compiled.groups < len(part.columns):
        raise TaskFailed(
            "HIVE_CURSOR_ERROR",
            f"Number of matching groups doesn't match the number of columns: {compiled.groups} groups, "
            f"{len(part.columns)} columns",
        )

    def split(lines: Any) -> Any:
        return _listed(
            [None if (at := compiled.fullmatch(line)) is None else at.groups() for line in lines.to_pylist()]
        )

    connection.register(name, Fields(part, read, split))
    return [_select(part, name, strict=False)]


def grok(connection: Any, part: Part, name: str, read: BytesRead) -> list[str]:
    """Grok: the fields of `input.format`; a line that it does not match is all NULL."""
    properties = properties_of(part)
    pattern = properties.get("input.format") or properties.get("grokPattern")
    if not pattern:
        raise TaskFailed("HIVE_INVALID_METADATA", "GrokSerDe needs the property input.format, which is missing")
    custom = properties.get("input.grokCustomPatterns") or properties.get("grokCustomPatterns") or ""
    try:
        compiled = compile_grok(pattern, custom.replace("\\n", "\n"))
    except ValueError as error:
        raise TaskFailed("HIVE_INVALID_METADATA", f"input.format: {error}") from None
    names = compiled.for_columns([each.name for each in part.columns])
    if not names:
        raise TaskFailed(
            "HIVE_INVALID_METADATA",
            f"input.format names {len(compiled.fields)} fields, which are fewer than the {len(part.columns)} columns",
        )

    def split(lines: Any) -> Any:
        found = (compiled.match(line) for line in lines.to_pylist())
        return _listed([None if each is None else [each[name] for name in names] for each in found])

    connection.register(name, Fields(part, read, split))
    return [_select(part, name, strict=False)]


class OpenCsv:
    """Lines as opencsv's parser splits them, with its habits in quotes that stand where none should."""

    def __init__(self, separator: str, quote: str, escape: str) -> None:
        if separator in (quote, escape) or (quote == escape and quote != "\0"):
            raise TaskFailed("HIVE_INVALID_METADATA", "separatorChar, quoteChar and escapeChar must differ")
        self._separator, self._quote, self._escape = separator, quote, escape
        s, q, e = (re.escape(sign) for sign in (separator, quote, escape))
        field = f"(?:[^{q}{e}{s}]*|{q}(?:[^{q}{e}]|{q}{q}|{e}{q}|{e}{e})*{q})"
        self._regular = f"^{field}(?:{s}{field})*$"
        self._special = f"[{q}{e}]"

    def __call__(self, lines: Any) -> Any:
        """An array of lists; a line that is empty is NULL."""
        special = pc.match_substring_regex(lines, self._special)
        if not pc.any(special).as_py():
            fields = pc.split_pattern(lines, self._separator)
            return pc.if_else(pc.equal(pc.utf8_length(lines), 0), pa.scalar(None, fields.type), fields)
        return _listed(list(self._rows(lines)))

    def _rows(self, lines: Any) -> Iterator[Sequence[str | None] | None]:
        regular = pc.match_substring_regex(lines, self._regular).to_pylist()
        texts = lines.to_pylist()
        plain = csv.reader(
            (text for text, good in zip(texts, regular, strict=True) if good and text),
            delimiter=self._separator,
            quotechar=self._quote if self._quote != "\0" else None,
            escapechar=self._escape if self._escape != "\0" else None,
            quoting=csv.QUOTE_MINIMAL if self._quote != "\0" else csv.QUOTE_NONE,
        )
        for text, good in zip(texts, regular, strict=True):
            yield None if not text else next(plain) if good else self.fields(text)

    def fields(self, line: str) -> list[str | None]:
        """The fields of any line, sign by sign."""
        found: list[str | None] = []
        buffer: list[str] = []
        in_quotes = in_field = False
        place, end = 0, len(line)
        while place < end:
            sign = line[place]
            following = line[place + 1] if place + 1 < end else ""
            if sign == self._escape:
                if (in_quotes or in_field) and following in (self._quote, self._escape) and following:
                    buffer.append(following)
                    place += 1
            elif sign == self._quote:
                if (in_quotes or in_field) and following == self._quote:
                    buffer.append(following)
                    place += 1
                else:
                    # A quote within a field is kept, but none among the line's first three signs.
                    if place > 2 and line[place - 1] != self._separator and following not in ("", self._separator):
                        if buffer and "".join(buffer).isspace():
                            buffer.clear()
                        else:
                            buffer.append(sign)
                    in_quotes = not in_quotes
                in_field = not in_field
            elif sign == self._separator and not in_quotes:
                found.append("".join(buffer))
                buffer.clear()
                in_field = False
            else:
                buffer.append(sign)
                in_field = True
            place += 1
        found.append(None if in_quotes else "".join(buffer))
        return found


def _listed(rows: Sequence[Any]) -> Any:
    return pa.array(rows, pa.list_(pa.string()))


def _sign(text: str) -> str:
    return {"\\t": "\t", "\\0": "\0", "\\u0000": "\0"}.get(text, text[0])


def _select(part: Part, name: str, *, strict: bool) -> str:
    wanted = {column.name for column in part.wanted}
    places = part.positions
    items = []
    for column in part.scan.columns:
        made = null(column.type)
        if column.name in wanted:
            if column.type.children:
                raise TaskFailed(
                    "NOT_SUPPORTED", f"{part.format} has no columns of the type {column.type}: {column.name}"
                )
            place = places[column.name]
            texts = Texts(strict=strict, numbers=strict, field=str(place))
            made = f"CAST({texts.value(f'{quoted(FIELDS)}[{place + 1}]', column.type)} AS {duckdb_type(column.type)})"
        items.append(f"{made} AS {quoted(column.name)}")
    items += of_files(part.scan, quoted(FILE_NUMBER))
    return f"SELECT {', '.join(items)} FROM {quoted(name)}"

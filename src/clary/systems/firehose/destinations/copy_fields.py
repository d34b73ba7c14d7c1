"""The fields of delimited text and CSV, row by row, as Redshift reads them. Pure."""

import csv
import io
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from clary.systems.firehose.destinations.copy_options import CSV, CopyOptions

Fields = list[str | None]

_SPACES = " \t"


class Text(NamedTuple):
    """A staged object's text, and where in it the records begin, when that is known."""

    text: str
    starts: Sequence[int] = ()


class Read(NamedTuple):
    """One row: where it begins and its fields, or why they cannot be read."""

    at: int
    fields: Fields
    error: str = ""


def fields_of(staged: Text, options: CopyOptions) -> Iterator[Read]:
    """The rows of a staged object that is not JSON, in order."""
    if options.format != CSV:
        return _delimited(staged, options)
    quote, delimiter = re.escape(options.quote), re.escape(options.delimiter)
    # Blanks between a delimiter and a quotation mark mean nothing. That is seldom seen, and slower to read.
    spaced = re.compile(f"(?:^|{delimiter})[ \t]+{quote}|{quote}[ \t]+(?:{delimiter}|\r?$)", re.MULTILINE)
    return _spaced_csv(staged, options) if spaced.search(staged.text) else _plain_csv(staged, options)


def behind(staged: Text, at: int) -> int:
    """Where to go on after what cannot be read: at the next record, or the next line where records are not known."""
    if not staged.starts:
        return line_end(staged.text, at)
    following = bisect_right(staged.starts, at)
    return staged.starts[following] if following < len(staged.starts) else len(staged.text)


def _plain_csv(staged: Text, options: CopyOptions) -> Iterator[Read]:
    source = io.StringIO(staged.text, newline="")
    for _ in range(options.ignore_header):
        source.readline()
    while True:
        reader = csv.reader(
            iter(source.readline, ""), delimiter=options.delimiter, quotechar=options.quote, strict=True
        )
        try:
            while True:
                at = source.tell()
                fields = next(reader, None)
                if fields is None:
                    return
                yield Read(at, [None if field == options.null_as else field for field in fields or [""]])
        except csv.Error as error:
            yield Read(at, [], f"malformed CSV: {error}")
            if source.tell() > line_end(staged.text, at):
                # A quotation mark that is never closed must not take the records behind it along.
                source.seek(behind(staged, at))


def _spaced_csv(staged: Text, options: CopyOptions) -> Iterator[Read]:
    text, position = staged.text, 0
    for _ in range(options.ignore_header):
        position = line_end(text, position)
    special = re.compile("[" + re.escape(options.delimiter) + r"\n]")
    while position < len(text):
        at, fields = position, Fields()
        try:
            while True:
                field, position = _spaced_field(text, position, options, special)
                fields.append(None if field == options.null_as else field)
                ended = text[position : position + 1] in ("\n", "")
                position = min(position + 1, len(text))
                if ended:
                    break
        except csv.Error as error:
            yield Read(at, [], f"malformed CSV: {error}")
            position = behind(staged, at)
        else:
            yield Read(at, fields)


def _spaced_field(text: str, at: int, options: CopyOptions, special: re.Pattern[str]) -> tuple[str, int]:
    """One field, and where the delimiter or the row's end behind it is. Raises csv.Error."""
    begin = _behind_spaces(text, at, options)
    if text[begin : begin + 1] != options.quote:
        found = special.search(text, at)
        end = len(text) if found is None else found.start()
        field = text[at:end]
        return (field.removesuffix("\r") if text[end : end + 1] in ("\n", "") else field), end
    pieces, position = [], begin + 1
    while True:
        end = text.find(options.quote, position)
        if end < 0:
            raise csv.Error("unexpected end of data")
        pieces.append(text[position:end])
        position = end + 2
        if text[end + 1 : position] != options.quote:
            break
        pieces.append(options.quote)
    end = _behind_spaces(text, end + 1, options)
    end += text.startswith("\r\n", end) or text[end:] == "\r"
    if end < len(text) and text[end] not in (options.delimiter, "\n"):
        raise csv.Error(f"{options.delimiter!r} expected after {options.quote!r}")
    return "".join(pieces), end


def _behind_spaces(text: str, position: int, options: CopyOptions) -> int:
    while position < len(text) and text[position] in _SPACES and text[position] != options.delimiter:
        position += 1
    return position


def _delimited(staged: Text, options: CopyOptions) -> Iterator[Read]:
    text, position = staged.text, 0
    for _ in range(options.ignore_header):
        position = line_end(text, position)
    read = _careful_row if options.escape or options.remove_quotes else _plain_row
    special = re.compile("[" + re.escape(options.delimiter) + r"\n\\]")
    while position < len(text):
        at = position
        fields, position, error = read(text, at, options, special)
        yield Read(at, fields, error)


def line_end(text: str, position: int) -> int:
    """Where the line behind this one begins."""
    end = text.find("\n", position)
    return len(text) if end < 0 else end + 1


def _plain_row(text: str, at: int, options: CopyOptions, special: re.Pattern[str]) -> tuple[Fields, int, str]:
    end = line_end(text, at)
    line = text[at:end].removesuffix("\n").removesuffix("\r")
    return [None if field == options.null_as else field for field in line.split(options.delimiter)], end, ""


def _careful_row(text: str, at: int, options: CopyOptions, special: re.Pattern[str]) -> tuple[Fields, int, str]:
    """One row where a backslash may take a character's meaning, or quotes may stand around a field."""
    fields: Fields = []
    position = at
    while True:
        quote = text[position : position + 1]
        if options.remove_quotes and quote in ('"', "'") and quote:
            field, position = _until(text, position + 1, re.compile("[" + quote + r"\n\\]"), options)
            if text[position : position + 1] != quote:
                return [], line_end(text, position), "a quotation mark that begins a field is not closed"
            position += 1
            position += text.startswith("\r\n", position)
            if position < len(text) and text[position] not in (options.delimiter, "\n"):
                return [], line_end(text, position), "text follows the quotation mark that ends a field"
            fields.append(field)
        else:
            start = position
            field, position = _until(text, position, special, options)
            if text[position : position + 1] in ("\n", "") and field.endswith("\r"):
                field = field[:-1]
            raw = text[start:position].removesuffix("\r")
            fields.append(None if raw == options.null_as else field)
        ended = text[position : position + 1] in ("\n", "")
        position += 1
        if ended:
            return fields, min(position, len(text)), ""


def _until(text: str, position: int, special: re.Pattern[str], options: CopyOptions) -> tuple[str, int]:
    """The text up to a special character, and where that is; what is escaped is not special."""
    pieces = []
    while True:
        found = special.search(text, position)
        end = len(text) if found is None else found.start()
        pieces.append(text[position:end])
        if found is None or found[0] != "\\":
            return "".join(pieces), end
        if not options.escape:
            pieces.append("\\")
            position = end + 1
        else:
            pieces.append(text[end + 1 : end + 2])
            position = min(end + 2, len(text))

"""Pages of results: rows from an object of CSV or text, from a byte on, without what lies before it."""

import re
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

_AT_ONCE = 1 << 20
# A value in quotes, or nothing for NULL, and what follows it. Athena quotes every value there is.
_VALUE = re.compile(rb'(?:"((?:[^"]|"")*)"|([^",\n]*))([,\n])', re.DOTALL)

Row = Sequence[str | None]


class Page(NamedTuple):
    """Rows, and the byte that the next one begins at; None after the last."""

    rows: list[Row]
    next_at: int | None


def csv_page(file: BinaryIO, start: int, limit: int) -> Page:
    """Up to `limit` rows of Athena's CSV from the byte `start` on."""
    rows: list[Row] = []
    end = start
    for row, after in _csv_rows(file, start):
        if len(rows) == limit:
            return Page(rows, end)
        rows.append(row)
        end = after
    return Page(rows, None)


def text_page(file: BinaryIO, start: int, limit: int) -> Page:
    """Up to `limit` lines of text from the byte `start` on. A line is one value, tabs and all, as in Athena."""
    file.seek(start)
    rows: list[Row] = []
    end = start
    for line in file:
        if len(rows) == limit:
            return Page(rows, end)
        rows.append([line.removesuffix(b"\n").decode(errors="replace")])
        end += len(line)
    return Page(rows, None)


def _csv_rows(file: BinaryIO, start: int) -> Iterator[tuple[Row, int]]:
    """Rows, each with the byte behind it."""
    file.seek(start)
    held = b""
    held_at, place = start, 0
    row: list[str | None] = []
    while True:
        found = _VALUE.match(held, place)
        if found is None:
            held_at, held, place = held_at + place, held[place:], 0
            more = file.read(_AT_ONCE)
            if not more:
                return
            held += more
            continue
        place = found.end()
        quoted, bare, sign = found.groups()
        if quoted is not None:
            row.append(quoted.replace(b'""', b'"').decode(errors="replace"))
        else:
            row.append(bare.decode(errors="replace") if bare else None)
        if sign == b"\n":
            yield row, held_at + place
            row = []

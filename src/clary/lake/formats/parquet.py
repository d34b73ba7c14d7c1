"""Parquet, read by DuckDB itself: projections, filters and the pruning of row groups are its own.

Its reader is told the table's columns (`schema`), so that it finds them by name, whatever their case, casts what the
file has to what the table says, and gives NULL for what is missing. It casts more than Hive and Trino do, though:
hence the files' schemas are looked at first. Files that lie in Hive's folders give their keys to it as constants.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from clary.lake.engine.tasks import TaskFailed
from clary.lake.formats.coercion import may_be_read_as
from clary.lake.formats.parts import BytesRead, Part, hidden_of, hidden_sql, is_used, key_sql, literal, null, texts
from clary.lake.tables import PARQUET, Column
from clary.lake.types import duckdb_type, quoted

_BY_POSITION = "parquet.column.index.access"
_NUMBER = "file_index::BIGINT + 1"
_SCHEMAS = """
SELECT file_name, column_id, name, coalesce(num_children, 0), duckdb_type FROM parquet_schema({files})
"""
Schemas = Mapping[str, Sequence[tuple[str, str]]]
"""The columns of files, by their paths: names and types of DuckDB."""

_Found = tuple[str, str] | None
"""The name and the type of DuckDB that a file's column has; None for one that it lacks."""


class _Node(NamedTuple):
    """A line of a file's schema; below it are so many children, each with what is below it."""

    name: str
    children: int
    type: str


def schemas_of(connection: Any, parts: Iterable[Part]) -> Schemas:
    """What the files of all Parquet among these parts hold, as far as it is asked for: in one query, for each takes as
    long as many files do."""
    paths = [file.path for part in parts if part.format == PARQUET and part.wanted for file in part.files]
    found: dict[str, Sequence[tuple[str, str]]] = {}
    if not paths:
        return found
    # DuckDB could group them, which takes it longer than all else here.
    rows = connection.execute(_SCHEMAS.format(files=texts(paths))).fetchall()
    for path, those in groupby(sorted(rows), itemgetter(0)):
        nodes = [_Node(*row[2:]) for row in those]
        tops: list[tuple[str, str]] = []
        place = 1
        for _ in range(nodes[0].children):
            tops.append((nodes[place].name, nodes[place].type))
            place = _after(nodes, place)
        found[path] = tops
    return found


def selects(schemas: Schemas, connection: Any, part: Part, name: str, read: BytesRead) -> list[str]:
    """The rows of a part, as SELECTs over files whose columns are of the same types."""
    wanted = part.wanted
    if not wanted:
        return [_select(connection, part, wanted, (), range(len(part.files)))]
    groups: dict[tuple[_Found, ...], list[int]] = {}
    by_position = part.serde.get(_BY_POSITION, part.scan.properties.get(_BY_POSITION, "")).lower() == "true"
    at = part.positions
    for place, file in enumerate(part.files):
        tops = schemas[file.path]
        if by_position:
            found = tuple(tops[at[each.name]] if at[each.name] < len(tops) else None for each in wanted)
        else:
            by_name = {top[0].lower(): top for top in reversed(tops)}
            found = tuple(by_name.get(each.name) for each in wanted)
        groups.setdefault(found, []).append(place)
    return [_select(connection, part, wanted, found, places) for found, places in groups.items()]


def mismatch(uri: str, column: str, given: str, wanted: str) -> str:
    """What Athena says of a column whose type in a file is not the table's."""
    there = f"Field {column}'s type {given} in parquet file {uri}"
    return f"{there} is incompatible with type {wanted} defined in table schema"


def _after(nodes: Sequence[_Node], place: int) -> int:
    """Where the node begins that follows a node and all below it."""
    open_ = 1
    while open_:
        open_ += nodes[place].children - 1
        place += 1
    return place


def _select(
    connection: Any, part: Part, wanted: Sequence[Column], found: Sequence[_Found], places: Sequence[int]
) -> str:
    files = [part.files[place] for place in places]
    _check(connection, files[0].uri, wanted, found)
    # Old writers store texts as bare bytes; a column that is to stay bytes forbids to read all of them as texts.
    as_texts = not any("binary" in str(column.type) for column in wanted)
    items, schema = {}, []
    for column, there in zip(wanted, found, strict=True):
        if there is None:
            continue
        kind, item = duckdb_type(column.type), quoted(column.name)
        if there[1] == "BLOB" and kind == "VARCHAR" and not as_texts:
            kind, item = "BLOB", f"decode({item})"
        elif there[1] == "VARCHAR" and kind == "BLOB":
            kind, item = "VARCHAR", f"encode({item})"
        schema.append(
            f"{literal(there[0])}: {{name: {literal(column.name)}, type: {literal(kind)}, default_value: NULL}}"
        )
        items[column.name] = item
    columns = [f"{items.get(each.name, null(each.type))} AS {quoted(each.name)}" for each in part.scan.columns]
    options = [texts([file.path for file in files]), f"binary_as_string={str(as_texts).lower()}"]
    if schema:
        options.append(f"schema=MAP {{{', '.join(schema)}}}")
    in_folders = bool(part.scan.keys) and all(_in_folders(part, file.path) for file in files)
    options.append(f"hive_partitioning={str(in_folders).lower()}")
    if in_folders:
        kinds = ", ".join(f"{literal(key.name)}: {duckdb_type(key.type)}" for key in part.scan.keys)
        options += [f"hive_types={{{kinds}}}"]
    numbers = _numbered([part.numbers[place] for place in places])
    for place, key in enumerate(part.scan.keys):
        used = is_used(part.scan, key.name)
        made = quoted(key.name) if in_folders else key_sql(part.scan, place, numbers)
        columns.append(f"{made if used else null(key.type)} AS {quoted(key.name)}")
    columns += [f"{hidden_sql(part.scan, name, numbers)} AS {quoted(name)}" for name in hidden_of(part.scan)]
    return f"SELECT {', '.join(columns)} FROM read_parquet({', '.join(options)})"


def _numbered(numbers: Sequence[int]) -> str:
    """The number of a row's file among all of the scan, from its place among those that are read here."""
    if list(numbers) == list(range(1, len(numbers) + 1)):
        return f"({_NUMBER})"
    return f"({list(numbers)}::BIGINT[])[{_NUMBER}]"


def _in_folders(part: Part, path: str) -> bool:
    return all(f"/{key.name}=" in path for key in part.scan.keys)


def _check(connection: Any, uri: str, wanted: Sequence[Column], found: Sequence[_Found]) -> None:
    for column, there in zip(wanted, found, strict=True):
        if there is None:
            continue
        if not may_be_read_as(connection.sqltype(there[1]), column.type):
            raise TaskFailed("HIVE_BAD_DATA", mismatch(uri, column.name, there[1], str(column.type)))

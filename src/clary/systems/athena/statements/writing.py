"""Write the rows of a query as files of a table: all files are stored first, and then the catalog is told, once.

What is about to be stored is recorded before the first file is, and then the statement's results are stored: nothing
can be refused after rows are seen. A statement that was cut off and runs again finds that record: either every file is
in its place, and what is left is to tell the catalog; or those that are there are removed, and it begins anew. So no
query ever sees rows twice. Of one that does not succeed, whatever the record tells of is removed (`undoing`).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from clary.lake.engine.tasks import TableFiles, Task, WrittenFile
from clary.lake.hive_paths import NULL
from clary.lake.tables import Column
from clary.lake.trino_types import hive_type
from clary.lake.types import Type
from clary.systems.athena.contract import Outcome, OutputColumn, Running, StatementFailed, TableName
from clary.systems.athena.language.statements import InsertInto, Statement
from clary.systems.athena.records import TableWrite

if TYPE_CHECKING:
    from clary.systems.athena.running.plans import Plan

MOST_PARTITIONS = 100
"""How many partitions a statement may write, as in Athena."""

Values = tuple[str, ...]
FolderOf = Callable[[Values], str]


class Places(NamedTuple):
    """Where the files of partitions go, by the values of their keys; `new` are those that the catalog lacks."""

    folder_of: FolderOf
    new: Sequence[Values] = ()


Place = Callable[[set[Values]], Places]
"""From the values of all partitions that have files to where they go."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What was stored: the files' URIs, how many rows they hold, and the values of the keys that have files.

    `table` is the document of the table that they are of, where that is to be made.
    """

    uris: tuple[str, ...]
    rows: int
    values: tuple[Values, ...]
    table: Mapping[str, Any] = field(default_factory=dict)


def finished(running: Running) -> Stored | None:
    """What an earlier run of this statement stored, if it stored all of it; of one that did not, nothing is left."""
    records = running.ctx.records(TableWrite)
    entry = records.get(running.execution_id)
    if entry is None:
        return None
    write = entry.value
    own = running.own
    there = {each.uri: each.size_bytes for uri, _ in write.files for each in own.objects(uri) if each.uri == uri}
    if all(there.get(uri) == size for uri, size in write.files):
        uris = tuple(uri for uri, _ in write.files)
        return Stored(uris, write.rows, tuple(tuple(each) for each in write.values), write.table)
    own.delete(list(there))
    records.delete(running.execution_id)
    return None


def store(
    running: Running,
    statement: Statement,
    plan: "Plan",
    output: TableFiles,
    place: Place,
    name: TableName | None = None,
    table: Mapping[str, Any] | None = None,
) -> Stored:
    """Have the rows written, and store the files, of the table `name` if any.

    Raises StatementFailed for more partitions than there may be.
    """
    output = replace(output, name=running.execution_id)
    done = running.run(Task(sql=plan.sql, scans=plan.scans, output=output))
    values = {_values(file) for file in done.files if output.keys}
    if len(values) > MOST_PARTITIONS:
        raise StatementFailed(
            "HIVE_TOO_MANY_OPEN_PARTITIONS",
            f"Exceeded limit of {MOST_PARTITIONS} open writers for partitions/buckets: the query has rows of "
            f"{len(values)} partitions",
        )
    places = place(values)
    targets = [(f"{places.folder_of(_values(file))}/{_name(file)}", Path(file.path)) for file in done.files]
    ordered = sorted(values)
    write = TableWrite(
        [(uri, path.stat().st_size) for uri, path in targets],
        done.rows,
        [list(each) for each in ordered],
        dict(table or {}),
        new=[list(each) for each in places.new],
    )
    keep(running, statement, write, targets, name)
    return Stored(tuple(uri for uri, _ in targets), done.rows, tuple(ordered), write.table)


def keep(
    running: Running,
    statement: Statement,
    write: TableWrite,
    targets: Sequence[tuple[str, Path]],
    name: TableName | None = None,
    outcome: Outcome | None = None,
) -> None:
    """Record what is about to be stored, store the results of the statement, and then the files."""
    write = replace(write, substatement=statement.substatement)
    if name is not None:
        write = replace(write, database=name.database, name=name.name)
    running.ctx.records(TableWrite).create(running.execution_id, write)
    running.announce(outcome or outcome_of(statement, [uri for uri, _ in targets], write.rows))
    for uri, path in targets:
        running.check()
        running.put(uri, path)


def outcome_of(statement: Statement, uris: Sequence[str], rows: int) -> Outcome:
    """What comes of a statement that wrote these files."""
    return Outcome(statement.kind, statement.substatement, manifest=uris, update_count=rows)


def check_empty(running: Running, location: str, message: str, own: Collection[str] = ()) -> None:
    """Raise StatementFailed where objects lie below a location: others may have found it empty too.

    Its own files apart, and its results, which may lie there as well.
    """
    results = running.own.output
    for each in running.objects(location.rstrip("/") + "/"):
        if each.uri not in own and not each.uri.startswith(results):
            raise StatementFailed("HIVE_PATH_ALREADY_EXISTS", message)


def named_columns(columns: Sequence[OutputColumn]) -> tuple[Column, ...]:
    """The columns of a table that holds the rows of a query. Raises StatementFailed where one has no name or type."""
    found: list[Column] = []
    for place, each in enumerate(columns, 1):
        name = each.name.lower()
        if not name or name == f"_col{place - 1}":
            raise StatementFailed("MISSING_COLUMN_NAME", f"line 1:1: Column name not specified at position {place}")
        if any(name == other.name for other in found):
            raise StatementFailed("DUPLICATE_COLUMN_NAME", f"line 1:1: Column name '{name}' specified more than once")
        found.append(Column(name, table_type(each, place)))
    return tuple(found)


def table_type(column: OutputColumn, place: int) -> Type:
    """The type of a table's column that holds a query's. Raises StatementFailed where there is none."""
    if column.type == "unknown":
        raise StatementFailed("COLUMN_TYPE_UNKNOWN", f"line 1:1: Column type is unknown at position {place}")
    try:
        return hive_type(column.type)
    except ValueError:
        message = f"Unsupported Hive type: {column.type} (column {column.name}): CAST it to one that tables have"
        if "row(" in column.type:
            message += ", and give each field of a row a name"
        raise StatementFailed("NOT_SUPPORTED", message) from None


def _values(file: WrittenFile) -> Values:
    return tuple(NULL if value is None else value for value in file.values)


def _name(file: WrittenFile) -> str:
    return file.path.rpartition("/")[2]


def inserted_columns(statement: InsertInto, table: Collection[str]) -> tuple[str, ...]:
    """The columns that an INSERT names, or all of the table's. Raises StatementFailed for wrong ones."""
    names = statement.columns or tuple(table)
    for name in names:
        if name not in table:
            raise StatementFailed(
                "COLUMN_NOT_FOUND", f"line 1:1: Insert column name does not exist in target table: {name}"
            )
        if names.count(name) > 1:
            raise StatementFailed(
                "DUPLICATE_COLUMN_NAME", f"line 1:1: Insert column name is specified more than once: {name}"
            )
    return names

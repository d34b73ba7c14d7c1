"""Commits to tables of Iceberg: the rows of a batch, and through which record the table has all of its stream.

Rows that are updated or deleted are found by their unique keys and go by position deletes, in the same commit as the
rows that take their place.
"""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa
from pyiceberg.expressions import And, BooleanExpression, In

from clary.kernel.core.errors import AwsError
from clary.kernel.core.ids import new_uuid
from clary.lake.engine.tasks import TaskFailed
from clary.lake.iceberg.access import Access
from clary.lake.iceberg.changing import ROW, changed_rows, check_changeable
from clary.lake.iceberg.commits import CommitConflict, change
from clary.lake.iceberg.files import output_of
from clary.lake.iceberg.planning import Unreadable, plan
from clary.lake.iceberg.reading import scan_of_files
from clary.lake.iceberg.tables import BadMetadata, IcebergTable, Refused
from clary.lake.iceberg.tables import load as load_table
from clary.lake.iceberg.writing import write
from clary.lake.types import quoted
from clary.systems.firehose.conversion.columns import Reading
from clary.systems.firehose.conversion.rows import Rows, table_of
from clary.systems.firehose.destinations.contract import Failure, Record, Unavailable

_INSERT, _DELETE = "insert", "delete"
_READING = Reading()
_NO_PLACE = (-1, -1)
_SETTINGS: dict[str, Any] = {"threads": 2, "memory_limit": "1GB"}


class NoTable(Exception):
    """There is no such table of Iceberg."""


class Conflict(Exception):
    """Somebody else committed meanwhile: load the table again."""


@dataclass(frozen=True, slots=True)
class Item:
    """A record at its index in the batch, and what it does: insert, update or delete."""

    index: int
    record: Record
    operation: str


class _Changes(NamedTuple):
    """What a batch makes of a table: the rows to add, and the keys whose rows are to go first."""

    added: Any
    gone: set[tuple[Any, ...]]
    failures: list[Failure]


def load(access: Access, name: tuple[str, str]) -> IcebergTable:
    """A table as it is now. Raises NoTable or Unavailable."""
    try:
        return load_table(access, *name)
    except BadMetadata as error:
        raise NoTable(str(error)) from None
    except (AwsError, OSError) as error:
        if isinstance(error, AwsError) and error.code == "EntityNotFoundException":
            raise NoTable(f"There is no table {'.'.join(name)} in the catalog.") from None
        raise _unavailable(error) from error


def commit(
    access: Access, table: IcebergTable, items: Sequence[Item], unique_keys: Sequence[str], note: str
) -> list[Failure]:
    """Commit what of these records the table does not have yet; return those that cannot be rows of it.

    `note` is the table's property that says through which record it has them. Raises Conflict, or Unavailable where
    it may or may not be committed: the table says so when it is loaded again.
    """
    schema = table.schema.as_arrow()
    missing = [key for key in unique_keys if key not in schema.names]
    if missing:
        message = f"The table has no column {missing[0]}, which is one of its UniqueKeys."
        return [Failure(item.index, "Iceberg.InvalidUniqueKeys", message) for item in items]
    through = _place(table.metadata.properties.get(note))
    changes = _changes(schema, items, unique_keys, through)
    last = max(item.record.place for item in items)
    if last <= through or not (changes.added.num_rows or changes.gone):
        return changes.failures

    def done(now: IcebergTable) -> bool:
        # Somebody else with the same note, or a try whose answer was lost.
        return _place(now.metadata.properties.get(note)) != through

    try:
        made = _change(access, table, changes, unique_keys)
        properties = {note: f"{last[0]}:{last[1]}"}
        change(access, table.database, table.name, made, properties=properties, done=done)
    except CommitConflict as error:
        raise Conflict(str(error)) from error
    except (Refused, Unreadable, TaskFailed, duckdb.Error) as error:
        raise Unavailable("Iceberg.ServiceUnavailable", str(error)) from error
    except (AwsError, OSError) as error:
        raise _unavailable(error) from error
    return changes.failures


def _change(access: Access, table: IcebergTable, changes: _Changes, unique_keys: Sequence[str]) -> Any:
    """The files of the rows that come, and of where those are that go, as a change of the table."""
    if changes.gone:
        check_changeable(table)
    parts = [_any_of(name, {key[at] for key in changes.gone}) for at, name in enumerate(unique_keys)]
    wide = functools.reduce(And, parts) if changes.gone else None
    snapshot = table.metadata.current_snapshot()
    planned = plan(table, snapshot, wide) if wide is not None else []
    folder = table.io.fresh()
    folder.mkdir()
    names = [f"c{place}" for place in range(changes.added.num_columns)]
    sql = f"SELECT 'I', NULL::BIGINT, NULL::VARCHAR, NULL::BIGINT, {', '.join(names)} FROM __added"
    with duckdb.connect(config=_SETTINGS | {"temp_directory": str(folder / "spilled")}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("__added", changes.added.rename_columns(names))
        if planned:
            scan = scan_of_files(table, "__rows", planned, schema=table.schema, used=ROW)
            connection.execute(f"CREATE TEMP VIEW __rows AS {scan.sql}")
            connection.register("__gone", _gone(table, changes.gone, unique_keys))
            keys = " AND ".join(f"r.{quoted(key.lower())} = g.{quoted(key)}" for key in unique_keys)
            place = ", ".join(f"r.{quoted(each)}" for each in ROW)
            nulls = ", NULL" * len(names)
            sql += f" UNION ALL SELECT 'D', {place}{nulls} FROM __rows r SEMI JOIN __gone g ON {keys}"
        _, files = write(connection, sql, output_of(table, new_uuid(), changes=True), folder)
    # Whoever writes rows of the same keys at once has another stream: no order is promised between them.
    return changed_rows(access, table, planned, files, snapshot=snapshot, updates=True, summary={}, read=None)


def _gone(table: IcebergTable, keys: set[tuple[Any, ...]], unique_keys: Sequence[str]) -> Any:
    schema = table.schema.as_arrow()
    columns = [pa.array([key[at] for key in keys], schema.field(name).type) for at, name in enumerate(unique_keys)]
    return pa.Table.from_arrays(columns, names=list(unique_keys))


def _any_of(column: str, values: set[Any]) -> BooleanExpression:
    made: Any = In  # its own types know nothing of what it is called with
    found: BooleanExpression = made(column, values)
    return found


def _changes(schema: Any, items: Sequence[Item], unique_keys: Sequence[str], through: tuple[int, int]) -> _Changes:
    """The changes of the records behind `through`, and the failures of all."""
    writing = [item for item in items if item.operation != _DELETE]
    deleting = [item for item in items if item.operation == _DELETE]
    written = table_of([item.record for item in writing], schema, _READING)
    key_schema = pa.schema([schema.field(key) for key in unique_keys])
    deleted = table_of([item.record for item in deleting], key_schema, _READING)
    failures = [*_failures(writing, written), *_failures(deleting, deleted)]
    added = pa.Table.from_arrays(written.batch.columns, schema=schema)
    new = [row for row, owner in enumerate(written.owners) if writing[owner].record.place > through]
    if all(item.operation == _INSERT for item in items):
        return _Changes(_taken(added, new) if len(new) < added.num_rows else added, set(), failures)
    steps = [(writing[written.owners[row]], key, row) for row, key in _keys(added, unique_keys, new)]
    steps += [
        (deleting[deleted.owners[row]], key, -1)
        for row, key in _keys(deleted.batch, unique_keys, range(deleted.batch.num_rows))
        if deleting[deleted.owners[row]].record.place > through
    ]
    kept: dict[int, None] = {}
    by_key: dict[tuple[Any, ...], list[int]] = {}
    gone: set[tuple[Any, ...]] = set()
    for item, key, row in sorted(steps, key=lambda step: (step[0].record.place, step[2])):
        if item.operation != _INSERT:
            if None in key:
                failures.append(Failure(item.index, "Iceberg.InvalidUniqueKeys", "A unique key has no value."))
                continue
            gone.add(key)
            for former in by_key.pop(key, ()):
                del kept[former]
        if item.operation != _DELETE:
            kept[row] = None
            by_key.setdefault(key, []).append(row)
    return _Changes(_taken(added, list(kept)), gone, failures)


def _keys(table: Any, unique_keys: Sequence[str], rows: Iterable[int]) -> list[tuple[int, tuple[Any, ...]]]:
    """These rows, each with its key."""
    columns = [table.column(key).to_pylist() for key in unique_keys]
    return [(row, tuple(column[row] for column in columns)) for row in rows]


def _taken(table: Any, rows: Sequence[int]) -> Any:
    return table.take(pa.array(rows, pa.int64()))


def _failures(items: Sequence[Item], rows: Rows) -> list[Failure]:
    return [
        Failure(items[failure.index].index, failure.code.replace("DataFormatConversion", "Iceberg"), failure.message)
        for failure in rows.failures
    ]


def _place(noted: str | None) -> tuple[int, int]:
    """The place that a property notes; the one before all where it is none."""
    offset, _, number = (noted or "").partition(":")
    return (int(offset), int(number)) if offset.isdigit() and number.isdigit() else _NO_PLACE


def _unavailable(error: Exception) -> Unavailable:
    denied = isinstance(error, AwsError) and error.code.startswith("AccessDenied")
    return Unavailable("Iceberg.AccessDenied" if denied else "Iceberg.ServiceUnavailable", str(error))

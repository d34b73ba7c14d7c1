"""Commits to tables of Iceberg: the rows of a batch, and through which record the table has all of its stream.

Rows that are updated or deleted are found by their unique keys and written anew without them (copy on write), in the
same commit as the rows that take their place.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa
from botocore.exceptions import BotoCoreError, ClientError
from pyiceberg.catalog.glue import GlueCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NoSuchIcebergTableError,
    NoSuchNamespaceError,
    NoSuchPropertyException,
    NoSuchTableError,
    NotInstalledError,
    ValidationException,
)
from pyiceberg.expressions import And, BooleanExpression, In

from clary.systems.firehose.conversion.columns import Reading
from clary.systems.firehose.conversion.rows import Rows, table_of
from clary.systems.firehose.destinations.contract import Failure, Record, Unavailable

_INSERT, _DELETE = "insert", "delete"
_READING = Reading()
_NO_PLACE = (-1, -1)


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


def open_catalog(environment: Mapping[str, str], catalog_id: str) -> Any:
    """The catalog of an account, as the role whose credentials are in the variables of `environment`."""
    endpoint = environment["AWS_ENDPOINT_URL"]
    credentials = {
        "client.access-key-id": environment.get("AWS_ACCESS_KEY_ID", ""),
        "client.secret-access-key": environment.get("AWS_SECRET_ACCESS_KEY", ""),
        "client.session-token": environment.get("AWS_SESSION_TOKEN", ""),
    }
    return GlueCatalog(
        "firehose",
        **credentials,
        **{
            "client.region": environment["AWS_REGION"],
            "glue.endpoint": endpoint,
            "glue.id": catalog_id,
            "glue.max-retries": 2,
            "s3.endpoint": endpoint,
        },
    )


def load(catalog: Any, name: tuple[str, str]) -> Any:
    """A table as it is now. Raises NoTable or Unavailable."""
    try:
        return catalog.load_table(name)
    except (NoSuchTableError, NoSuchNamespaceError):
        raise NoTable(f"There is no table {'.'.join(name)} in the catalog.") from None
    except (NoSuchIcebergTableError, NoSuchPropertyException):
        raise NoTable(f"{'.'.join(name)} is not a table of Iceberg.") from None
    except (BotoCoreError, ClientError, OSError) as error:
        raise _unavailable(error) from error


def commit(table: Any, items: Sequence[Item], unique_keys: Sequence[str], note: str) -> list[Failure]:
    """Commit what of these records the table does not have yet; return those that cannot be rows of it.

    `note` is the table's property that says through which record it has them. Raises Conflict, or Unavailable where
    it may or may not be committed: the table says so when it is loaded again.
    """
    schema = table.schema().as_arrow()
    missing = [key for key in unique_keys if key not in schema.names]
    if missing:
        message = f"The table has no column {missing[0]}, which is one of its UniqueKeys."
        return [Failure(item.index, "Iceberg.InvalidUniqueKeys", message) for item in items]
    through = _place(table.properties.get(note))
    changes = _changes(schema, items, unique_keys, through)
    last = max(item.record.place for item in items)
    if last <= through or not (changes.added.num_rows or changes.gone):
        return changes.failures
    # Its own retries would add the rows again without looking whether they are there by now.
    table.metadata.properties["commit.retry.num-retries"] = "0"
    try:
        with table.transaction() as transaction:
            transaction.set_properties({note: f"{last[0]}:{last[1]}"})
            if changes.gone:
                _overwrite(table, transaction, changes, unique_keys)
            else:
                transaction.append(changes.added)
    except (CommitFailedException, ValidationException) as error:
        raise Conflict(str(error)) from error
    except NotInstalledError as error:  # for some ways of partitioning
        raise Unavailable("Iceberg.NotInstalled", str(error)) from error
    except (BotoCoreError, ClientError, OSError) as error:
        raise _unavailable(error) from error
    return changes.failures


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


def _overwrite(table: Any, transaction: Any, changes: _Changes, unique_keys: Sequence[str]) -> None:
    """Replace the rows of the keys that go. With several keys a filter finds more rows, which stay."""
    parts = [_any_of(name, {key[at] for key in changes.gone}) for at, name in enumerate(unique_keys)]
    wide, added = functools.reduce(And, parts), changes.added
    if len(unique_keys) > 1:
        found = table.scan(row_filter=wide).to_arrow()
        staying = [row for row, key in _keys(found, unique_keys, range(found.num_rows)) if key not in changes.gone]
        added = pa.concat_tables([_taken(found, staying).cast(added.schema), added])
    if added.num_rows:
        transaction.overwrite(added, overwrite_filter=wide)
    else:
        transaction.delete(wide)


def _any_of(column: str, values: set[Any]) -> BooleanExpression:
    made: Any = In  # its own types know nothing of what it is called with
    found: BooleanExpression = made(column, values)
    return found


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
    code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
    denied = code.startswith("AccessDenied") or "ACCESS_DENIED" in str(error)
    return Unavailable("Iceberg.AccessDenied" if denied else "Iceberg.ServiceUnavailable", str(error))

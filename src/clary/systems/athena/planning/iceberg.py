"""Tables of Iceberg for queries: loaded once for a statement, described for its translation, and planned as scans."""

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from pyiceberg.table.snapshots import Snapshot

from clary.lake.iceberg.access import ObjectIO
from clary.lake.iceberg.commits import CommitConflict
from clary.lake.iceberg.domains import expression_of
from clary.lake.iceberg.inspecting import PARTS, part_columns, part_rows
from clary.lake.iceberg.planning import Unreadable
from clary.lake.iceberg.reading import of_rows, scan_of
from clary.lake.iceberg.tables import (
    BadMetadata,
    IcebergTable,
    Refused,
    UnknownSnapshot,
    described,
    opened,
)
from clary.lake.scans import Scan
from clary.lake.tables import ICEBERG, Table
from clary.systems.athena.contract import Running, ScanUse, StatementFailed

_loaded: "WeakKeyDictionary[Any, dict[tuple[str, str], IcebergTable]]" = WeakKeyDictionary()
_lock = threading.Lock()


@contextlib.contextmanager
def failing(database: str, name: str) -> Iterator[None]:
    """What Iceberg refuses, as the statement's failure."""
    try:
        yield
    except BadMetadata as error:
        raise StatementFailed("ICEBERG_INVALID_METADATA", str(error)) from error
    except Unreadable as error:
        raise StatementFailed("ICEBERG_CANNOT_OPEN_SPLIT", str(error)) from error
    except UnknownSnapshot as error:
        raise StatementFailed("INVALID_ARGUMENTS", str(error)) from error
    except CommitConflict as error:
        raise StatementFailed(
            "ICEBERG_COMMIT_ERROR", f"Failed to commit Iceberg update to table: {database}.{name}. {error}"
        ) from error
    except Refused as error:
        raise StatementFailed("NOT_SUPPORTED", str(error)) from error


def loaded(running: Running, document: Mapping[str, Any]) -> IcebergTable:
    """The table that a document of the catalog points to: within a statement the same, whatever others commit."""
    name = document["DatabaseName"], document["Name"]
    with _lock:
        mine = _loaded.setdefault(running, {})
    if name not in mine:
        with failing(*name):
            mine[name] = opened(document, ObjectIO(running))
    return mine[name]


def table_of(running: Running, document: Mapping[str, Any]) -> Table:
    """An Iceberg table as a query sees it. Raises StatementFailed, and ValueError where a column's type is none."""
    return described(loaded(running, document))


def part_of(running: Running, document: Mapping[str, Any], part: str) -> Table | None:
    """One of the tables that an Iceberg table has of itself, `files`, `history`, ...; None for another name."""
    if part not in PARTS:
        return None
    table = loaded(running, document)
    try:
        columns = part_columns(table, part)
    except ValueError as error:
        raise StatementFailed("NOT_SUPPORTED", f"{table.database}.{table.name}: {error}") from None
    return Table(table.database, f"{table.name}${part}", columns, location=table.metadata.location, format=ICEBERG)


def scan_for(running: Running, use: ScanUse) -> Scan:
    """What a query reads of an Iceberg table that was loaded: its files are linked into the query's folder."""
    table = _loaded[running][use.table.database, use.table.name]
    with failing(table.database, table.name):
        snapshot = snapshot_of(table, use)
        if use.part:
            rows = part_rows(table, use.part, snapshot)
            return of_rows(use.relation, part_columns(table, use.part), rows, running.folder / "parts")
        return scan_of(
            table,
            use.relation,
            snapshot=snapshot,
            used=use.used,
            expression=expression_of(use.domains, table.schema),
        )


def snapshot_of(table: IcebergTable, use: ScanUse) -> Snapshot | None:
    """The snapshot that a query reads; None of a table without any."""
    if isinstance(use.as_of_snapshot, str):
        return table.snapshot(ref=use.as_of_snapshot)
    if use.as_of_snapshot is not None:
        return table.snapshot(identifier=use.as_of_snapshot)
    if use.as_of_seconds is not None:
        return table.snapshot(seconds=use.as_of_seconds)
    return table.metadata.current_snapshot()

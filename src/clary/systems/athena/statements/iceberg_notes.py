"""What a statement notes in the snapshot that it makes, so that one that was cut off and runs again commits once."""

import logging
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, cast

from pyiceberg.table.metadata import TableMetadata

from clary.kernel.core.errors import AwsError
from clary.lake.iceberg.access import Access, s3_location
from clary.lake.iceberg.expiring import reachable
from clary.lake.iceberg.tables import BadMetadata, IcebergTable, is_iceberg, load
from clary.systems.athena.contract import Outcome, Own, Running, TableName
from clary.systems.athena.language.statements import Statement
from clary.systems.athena.records import TableWrite
from clary.systems.athena.statements.undoing import undo
from clary.systems.athena.statements.writing import keep

_EXECUTION, _ROWS = "clary.athena.execution", "clary.athena.rows"
_UUID = "uuid"

_log = logging.getLogger("clary.athena")


class Fate(Enum):
    """What became of the files that a statement stored for an Iceberg table."""

    COMMITTED = "committed"
    UNUSED = "unused"
    UNKNOWN = "unknown"


def summary_of(running: Running, rows: int) -> dict[str, str]:
    """What the snapshot of a statement says: whose it is, and how many rows were changed."""
    return {_EXECUTION: running.execution_id, _ROWS: str(rows)}


def committed(running: Running) -> TableWrite | None:
    """What the statement wrote, if a run of it that was cut off committed; of one that did not, nothing is left."""
    return undo(running.own, resumed=True)


class ToStore:
    """Takes what is put, to store it once it is recorded."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._files: list[tuple[str, Path]] = []

    @property
    def access(self) -> Access:
        return cast(Access, self)

    def put(self, uri: str, path: Path) -> None:
        self._files.append((uri, path))

    def store(
        self,
        statement: Statement,
        name: TableName,
        rows: int,
        *,
        made: TableMetadata | None = None,
        outcome: Outcome | None = None,
    ) -> None:
        """Record what was put, for the table that is `made` if any, store the statement's results, and then that."""
        sizes = [(uri, path.stat().st_size) for uri, path in self._files]
        table = {} if made is None else {"Parameters": {_UUID: str(made.table_uuid)}}
        write = TableWrite(sizes, rows, table=table, iceberg=True)
        keep(self._running, statement, write, self._files, name, outcome)


def fate_of(own: Own, write: TableWrite, *, resumed: bool) -> Fate:
    """What became of a statement's files; of one that was cut off before (`resumed`), whatever others did since."""
    try:
        for table in _tables(own, write, resumed=resumed):
            if _is_noted(own, table) or _is_made(table, write) or (resumed and _leads_to(table, write)):
                return Fate.COMMITTED
    except Exception:  # noqa: BLE001 - what cannot be told is left as it is
        _log.exception("what became of the files of query %s cannot be told", own.execution_id)
        return Fate.UNKNOWN
    return Fate.UNUSED


def _tables(own: Own, write: TableWrite, *, resumed: bool) -> Iterator[IcebergTable]:
    """The tables that may have the files: that of their name, or one that has another name by now."""
    named = _loaded(own, write.database, write.name)
    if named is not None:
        yield named
    if not resumed or (named is not None and _is_of(named.metadata.location, write)):
        return
    for database in _listed(own, "GetDatabases", "DatabaseList"):
        for document in _listed(own, "GetTables", "TableList", DatabaseName=database["Name"]):
            place = (document.get("StorageDescriptor") or {}).get("Location") or ""
            if is_iceberg(document) and _is_of(place, write):
                found = _loaded(own, document["DatabaseName"], document["Name"])
                if found is not None:
                    yield found


def _listed(own: Own, operation: str, member: str, **params: Any) -> Iterator[dict[str, Any]]:
    token: str | None = None
    while True:
        page = own.call(operation, **params, **({"NextToken": token} if token else {}))
        yield from page[member]
        token = page.get("NextToken")
        if not token:
            return


def _loaded(own: Own, database: str, name: str) -> IcebergTable | None:
    try:
        return load(own, database, name)
    except (AwsError, BadMetadata):
        return None


def _is_noted(own: Own, table: IcebergTable) -> bool:
    """Whether a snapshot is the statement's."""
    summaries = [snapshot.summary for snapshot in table.metadata.snapshots if snapshot.summary is not None]
    return any(each.additional_properties.get(_EXECUTION) == own.execution_id for each in summaries)


def _is_made(table: IcebergTable, write: TableWrite) -> bool:
    """Whether it is the table that the statement was to make."""
    return bool(write.table) and write.table["Parameters"][_UUID] == str(table.metadata.table_uuid)


def _leads_to(table: IcebergTable, write: TableWrite) -> bool:
    """Whether a table has one of the files: the statement's snapshot may have expired since."""
    files = _uris(write)
    return any(uri in files for uri in reachable(table, table.metadata.snapshots))


def _is_of(location: str, write: TableWrite) -> bool:
    """Whether the files lie where those of a table do that has this location."""
    folder = s3_location(location).rstrip("/")
    return all(uri.startswith(f"{folder}/") for uri in _uris(write))


def _uris(write: TableWrite) -> Sequence[str]:
    return [uri for uri, _ in write.files]

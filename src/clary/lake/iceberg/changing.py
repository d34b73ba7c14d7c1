"""Changes of rows: what an engine wrote of a DELETE, UPDATE or MERGE, as one change of a table.

Rows go by files of position deletes, one for each data file that loses some (merge on read), as Athena writes them; a
data file that loses all goes itself.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pyiceberg.expressions import AlwaysTrue, BooleanExpression
from pyiceberg.manifest import DataFile
from pyiceberg.table.snapshots import Snapshot

from clary.lake.engine.tasks import WrittenFile
from clary.lake.iceberg.access import Access
from clary.lake.iceberg.commits import APPEND, DELETE, OVERWRITE, Change
from clary.lake.iceberg.files import position_deletes, stored_data
from clary.lake.iceberg.planning import PlannedFile
from clary.lake.iceberg.reading import FILE, POSITION, URI
from clary.lake.iceberg.tables import IcebergTable, Refused
from clary.lake.iceberg.writing import DELETES
from clary.lake.tables import Column, Table
from clary.lake.types import Type

ROW = (FILE, URI, POSITION)
"""The columns that say which row of a table it is."""

_ALL: BooleanExpression = AlwaysTrue()


def with_rows(table: Table) -> Table:
    """A table that says of its rows which they are, for the queries that DELETE, UPDATE and MERGE become."""
    of = {FILE: Type("bigint"), URI: Type("string"), POSITION: Type("bigint")}
    return Table(
        database=table.database,
        name=table.name,
        columns=(*table.columns, *(Column(name, of[name]) for name in ROW)),
        location=table.location,
        format=table.format,
        properties=table.properties,
        version=table.version,
    )


def check_changeable(table: IcebergTable) -> None:
    """Raise Refused where rows of a table cannot be changed."""
    if table.metadata.format_version < 2:
        raise Refused("Iceberg table updates require at least format version 2")


def changed_rows(
    access: Access,
    table: IcebergTable,
    planned: Sequence[PlannedFile],
    written: Sequence[WrittenFile],
    *,
    snapshot: Snapshot | None,
    read: BooleanExpression | None = _ALL,
    updates: bool,
    summary: Mapping[str, str],
) -> Change:
    """Store what an engine wrote and return the change that it is, of rows that were read of these planned files.

    `read` is what may have been among the rows that were read, None where it does not matter that others add more;
    `updates` says whether others take their place.
    """
    deletes = [each for each in written if Path(each.path).parent.name == DELETES]
    added: list[DataFile] = stored_data(access, table, [each for each in written if each not in deletes])
    removed, touched = [], []
    for each in deletes:
        loses = planned[int(each.values[0] or 0)]
        touched.append(loses.file.file_path)
        whole = each.rows == loses.file.record_count and not (loses.position_deletes or loses.equality_deletes)
        if whole:
            removed.append(loses.file.file_path)
        else:
            added.append(_stored_deletes(access, table, loses.file, each))
    has_data = any(not int(file.content) for file in added)
    operation = APPEND if not touched else OVERWRITE if has_data else DELETE
    serializable = read is not None and _serializable(table, updates=updates)
    return Change(
        operation,
        added,
        removed,
        summary=summary,
        reads=bool(touched),
        base=snapshot.snapshot_id if snapshot else None,
        read=read if serializable else None,
        touched=touched,
        updates=updates,
    )


def _stored_deletes(access: Access, table: IcebergTable, loses: DataFile, written: WrittenFile) -> DataFile:
    path = Path(written.path)
    partition = [loses.partition[place] for place in range(len(loses.partition))]
    spec = table.metadata.specs()[loses.spec_id]
    folder = spec.partition_to_path(loses.partition, table.schema) if partition else ""
    uri = table.data_path(path.name, folder)
    access.put(uri, path)
    return position_deletes(uri, path, partition, loses.spec_id, written.rows, [loses.file_path])


def _serializable(table: IcebergTable, *, updates: bool) -> bool:
    name = "write.update.isolation-level" if updates else "write.delete.isolation-level"
    return table.metadata.properties.get(name, "serializable") != "snapshot"

"""Appending rows exactly once: the commit that adds them notes in the table how far the writer has come.

A writer numbers what it appends, upwards. One that does not know whether it had committed before it was cut off appends
again under the same note and number, and the rows are there once.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import (
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
)
from pyiceberg.manifest import DataFile

from clary.kernel.core.ids import new_uuid
from clary.lake.iceberg.access import Access
from clary.lake.iceberg.commits import APPEND, Change, change
from clary.lake.iceberg.files import data_file, missing_values, output_of, stored_data
from clary.lake.iceberg.tables import IcebergTable, Refused, load
from clary.lake.iceberg.writing import write

_SETTINGS: dict[str, Any] = {"threads": 2, "memory_limit": "1GB"}
_NAMES = "schema.name-mapping.default"


class Note(NamedTuple):
    """That a table has all up to `number` of what a writer, whose property `key` is alone, appends to it."""

    key: str
    number: int


class StoredFile(NamedTuple):
    """A Parquet file that is stored as the object `uri`, and a copy of it at `path`."""

    uri: str
    path: Path


def append(access: Access, database: str, name: str, rows: pa.Table, note: Note) -> bool:
    """Add rows, found by the names of columns, unless the table has them; return whether they were added now.

    Columns that are missing are NULL. Durable once returned. Raises Refused where the rows are not the table's,
    CommitConflict, BadMetadata and AwsError.
    """
    table = load(access, database, name)
    if is_noted(table, note):
        return False
    return _commit(access, table, _written(access, table, rows), note)


def append_files(access: Access, database: str, name: str, files: Sequence[StoredFile], note: Note) -> bool:
    """Add Parquet files as they are stored, whose columns have the table's names, as `append` adds rows.

    Each must belong to one partition.
    """
    table = load(access, database, name)
    if is_noted(table, note):
        return False
    return _commit(access, table, [_as_it_is(table, file) for file in files], note)


def is_noted(table: IcebergTable, note: Note) -> bool:
    """Whether the table has what a note says."""
    found = table.metadata.properties.get(note.key, "")
    return found.isdigit() and int(found) >= note.number


def _commit(access: Access, table: IcebergTable, files: Sequence[DataFile], note: Note) -> bool:
    for file in files:
        lacking = missing_values(file, table.schema)
        if lacking:
            raise Refused(f"NULL value not allowed for NOT NULL column: {lacking}")
    properties = {note.key: str(note.number)}
    if table.metadata.name_mapping() is None and any(not _has_ids(table, file) for file in files):
        properties[_NAMES] = table.schema.name_mapping.model_dump_json()
    added = Change(APPEND, files, summary={"clary.note": f"{note.key}={note.number}"})
    committed = change(
        access, table.database, table.name, added, properties=properties, done=lambda now: is_noted(now, note)
    )
    return committed.location != table.location and committed.version == ""


def _written(access: Access, table: IcebergTable, rows: pa.Table) -> list[DataFile]:
    wanted = table.schema.as_arrow()
    names = {column.lower(): column for column in rows.column_names}
    strange = names.keys() - {field.name.lower() for field in wanted}
    if strange:
        raise Refused(f"{table.database}.{table.name} has no column {min(strange)}")
    columns = []
    for field in wanted:
        given = names.get(field.name.lower())
        try:
            column = rows.column(given).cast(field.type, safe=not pa.types.is_temporal(field.type)) if given else None
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise Refused(f"the column {field.name} cannot be {field.type}: {error}") from None
        columns.append(column if column is not None else pa.nulls(rows.num_rows, field.type))
    if not rows.num_rows:
        return []
    folder = table.io.fresh()
    folder.mkdir()
    # Not by pyiceberg's writer, to which a list of structs that is NULL is an empty one.
    with duckdb.connect(config=_SETTINGS | {"temp_directory": str(folder / "spilled")}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("__rows", pa.Table.from_arrays(columns, names=[f"c{n}" for n in range(len(columns))]))
        _, files = write(connection, "SELECT * FROM __rows", output_of(table, new_uuid()), folder)
    return stored_data(access, table, files)


def _as_it_is(table: IcebergTable, file: StoredFile) -> DataFile:
    metadata, schema = table.metadata, table.schema
    statistics = data_file_statistics_from_parquet_metadata(
        pq.read_metadata(file.path),
        compute_statistics_plan(schema, metadata.properties),
        parquet_path_to_id_mapping(schema),
    )
    try:
        partition: Any = statistics.partition(metadata.spec(), schema)
    except ValueError as error:
        raise Refused(f"{file.uri} does not belong to one partition: {error}") from None
    return data_file(
        metadata, file.uri, file.path, [partition[n] for n in range(len(partition))], metadata.default_spec_id
    )


def _has_ids(table: IcebergTable, file: DataFile) -> bool:
    schema = pq.read_schema(table.io.local(file.file_path))
    return all(b"PARQUET:field_id" in (field.metadata or {}) for field in schema)

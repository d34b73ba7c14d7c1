"""An offline store as a table of Iceberg, parted by the day of the event: made, widened, and appended to exactly once.

It is made in the account's name, as Feature Store does on AWS; data and commits are written as the group's role.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.schema import Schema
from pyiceberg.table.update import AddSchemaUpdate, SetCurrentSchemaUpdate
from pyiceberg.types import NestedField

from clary.kernel.core.errors import AwsError
from clary.kernel.core.ids import new_id
from clary.kernel.rooms import OnePerPlatform, Platform
from clary.kernel.rooms.roles import role_principal
from clary.lake.iceberg.acting import ContextAccess
from clary.lake.iceberg.appending import Note, StoredFile, append_files, is_noted
from clary.lake.iceberg.commits import CommitConflict, Update, commit
from clary.lake.iceberg.creating import PartitionBy, create, new_metadata, schema_of, spec_of
from clary.lake.iceberg.tables import BadMetadata, IcebergTable, Refused, load
from clary.lake.iceberg.types import iceberg_type
from clary.lake.tables import columns_of
from clary.systems.feature_store.offline.columns import glue_columns, table_of
from clary.systems.feature_store.offline.files import Entry, parts_of
from clary.systems.feature_store.offline.flushes import Flush
from clary.systems.feature_store.offline.store import Blocked, Store, put

# Their types know the members by Iceberg's spelling alone.
_ADD: Any = AddSchemaUpdate
_SET_CURRENT: Any = SetCurrentSchemaUpdate

_DAY_CHARACTERS = 10
_NOTE = "clary.features"
_PROPERTIES = {"write.object-storage.enabled": "true", "write.parquet.compression-codec": "snappy"}
_TRIES = 10
_LATEST_SCHEMA = -1


def ensure(platform: Platform, store: Store) -> None:
    """Have the table there, with a column for each feature; may be repeated. Raises Blocked where it cannot be."""
    database, name = _name(store)
    with _acting(platform, store, _preparing(platform), as_role=False) as access:
        try:
            access.call("CreateDatabase", DatabaseInput={"Name": database})
        except AwsError as error:
            if error.code != "AlreadyExistsException":
                raise
        for _ in range(_TRIES):
            try:
                table = load(access, database, name)
            except AwsError as error:
                if error.code != "EntityNotFoundException":
                    raise
                if _create(access, store):
                    return
                continue
            if table.metadata.location.rstrip("/") != _folder(store):
                raise Blocked(f"Another table has the name {database}.{name}: give the group another TableName.")
            _widen(access, store)
            return


def append(platform: Platform, store: Store, flush: Flush, entries: Sequence[Entry]) -> None:
    """Have the entries of a flush in the table, unless they are. Raises Blocked."""
    note = Note(_NOTE, flush.through)
    with _acting(platform, store, _appending(platform), as_role=True) as access:
        table = load(access, *_name(store))
        if is_noted(table, note):
            return
        if _missing(table, store):
            table = _widen(access, store)
        files = []
        for number, part in enumerate(parts_of(store, entries)):
            path = access.folder / f"{number}.parquet"
            _write(table, store, part.entries, flush, path)
            place = part.path(store, flush)
            put(platform, store, place, path.read_bytes())
            files.append(StoredFile(f"{store.location}/{place}", path))
        append_files(access, *_name(store), files, note)


@contextmanager
def _acting(platform: Platform, store: Store, place: Path, *, as_role: bool) -> Iterator[ContextAccess]:
    """The catalog and the objects, as the role of the group or as its account. What fails within is Blocked."""
    folder = place / new_id()
    folder.mkdir(parents=True)
    try:
        ctx = platform.acting_as_root(store.account, store.region, "glue", "GetTable")
        if as_role:
            ctx = replace(ctx, principal=role_principal(platform, store.role))
        yield ContextAccess(ctx, folder)
    except AwsError as error:
        raise Blocked(f"The table {'.'.join(_name(store))} cannot be used: {error.message}") from None
    except (BadMetadata, CommitConflict, Refused) as error:
        raise Blocked(str(error)) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _emptied(purpose: str, platform: Platform) -> Path:
    """Where one of the server's processes has its folders, without what one that was killed has left."""
    place = platform.settings.home / "features" / purpose
    shutil.rmtree(place, ignore_errors=True)
    return place


_preparing: OnePerPlatform[Path] = OnePerPlatform(partial(_emptied, "preparing"))  # in the controller
_appending: OnePerPlatform[Path] = OnePerPlatform(partial(_emptied, "appending"))  # in the carrier


def _create(access: ContextAccess, store: Store) -> bool:
    """Make the table; False where somebody else was faster."""
    schema = schema_of(columns_of(glue_columns(store.definitions)))
    spec = spec_of(schema, [PartitionBy(store.event_time.lower(), "truncate", _DAY_CHARACTERS)])
    try:
        create(access, *_name(store), new_metadata(schema, spec, _folder(store), _PROPERTIES))
    except AwsError as error:
        if error.code != "AlreadyExistsException":
            raise
        return False
    return True


def _missing(table: IcebergTable, store: Store) -> list[dict[str, str]]:
    """The columns that the table still lacks."""
    names = {field.name.lower() for field in table.schema.fields}
    return [each for each in glue_columns(store.definitions) if each["Name"] not in names]


def _widen(access: ContextAccess, store: Store) -> IcebergTable:
    """Add the columns that the table lacks."""

    def prepare(table: IcebergTable) -> Update:
        missing = columns_of(_missing(table, store))
        if not missing:
            return Update()
        numbers = count(table.metadata.last_column_id + 1)
        places = [next(numbers) for _ in missing]
        added = [
            NestedField(place, column.name, iceberg_type(column.type, lambda: next(numbers)), required=False)
            for place, column in zip(places, missing, strict=True)
        ]
        number = max(schema.schema_id for schema in table.metadata.schemas) + 1
        schema = Schema(*table.schema.fields, *added, schema_id=number)
        return Update([_ADD(schema_=schema), _SET_CURRENT(schema_id=_LATEST_SCHEMA)])

    return commit(access, *_name(store), prepare)


def _write(table: IcebergTable, store: Store, entries: Sequence[Entry], flush: Flush, path: Path) -> None:
    """The entries as a file whose columns have the ids of the table's."""
    rows = table_of(entries, store.definitions, flush.write_time)
    rows = rows.rename_columns([name.lower() for name in rows.column_names])
    fields = table.schema.as_arrow()
    columns = [
        rows.column(field.name).cast(field.type)
        if field.name in rows.column_names
        else pa.nulls(rows.num_rows, field.type)
        for field in fields
    ]
    pq.write_table(pa.Table.from_arrays(columns, schema=fields), path, compression="snappy")


def _name(store: Store) -> tuple[str, str]:
    name = store.table
    assert name is not None  # the configuration was checked
    return name


def _folder(store: Store) -> str:
    return store.location.rpartition("/")[0]

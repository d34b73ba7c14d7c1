"""Commits: a table's next metadata, made from its last one and put in its place in the catalog, or made again.

The catalog's UpdateTable with the version that was read is the commit. Whoever was overtaken loads the table again and
tries anew: an append goes over whatever others did; one that read rows of the table before fails when others changed
what it had read, as Iceberg's isolation levels say.
"""

import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyiceberg.exceptions import ValidationError
from pyiceberg.expressions import BooleanExpression
from pyiceberg.manifest import DataFile, DataFileContent, ManifestEntry, ManifestEntryStatus
from pyiceberg.serializers import ToOutputFile
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType
from pyiceberg.table.snapshots import Operation, Snapshot, SnapshotSummaryCollector, Summary, update_snapshot_summaries
from pyiceberg.table.update import (
    AddSnapshotUpdate,
    RemovePropertiesUpdate,
    SetPropertiesUpdate,
    SetSnapshotRefUpdate,
    TableUpdate,
    update_table_metadata,
)

from clary.kernel.core.errors import AwsError
from clary.lake.iceberg.access import Access
from clary.lake.iceberg.manifests import Manifests
from clary.lake.iceberg.planning import may_match, only_path
from clary.lake.iceberg.tables import IcebergTable, Refused, load, table_input

# Their types know the members by Iceberg's spelling alone.
_SNAPSHOT: Any = Snapshot
_HEAD: Any = SetSnapshotRefUpdate

APPEND, OVERWRITE, DELETE, REPLACE = "append", "overwrite", "delete", "replace"

# Each failure means that somebody else's commit came through, so this many of them are a very busy table.
_MOST_TRIES = 100


class CommitConflict(Exception):
    """Others changed the table meanwhile in a way that this change cannot go over: says how."""


@dataclass(frozen=True, slots=True)
class Change:
    """Files that come and go by one snapshot.

    `added` are data files and delete files, `removed` the paths of those that go. `sequence` is the sequence number of
    added data files where it is not the new snapshot's. `summary` is written into the snapshot.

    A change that comes of rows that were read says so: `base` is the snapshot that they were read of (None: the table
    was empty), `read` what may have been among them, None where it does not matter that there are more by now;
    `touched` are the data files some of whose rows go, and `updates` says that others take their place.
    """

    operation: str = APPEND
    added: Sequence[DataFile] = ()
    removed: Collection[str] = ()
    sequence: int | None = None
    summary: Mapping[str, str] = field(default_factory=dict)
    reads: bool = False
    base: int | None = None
    read: BooleanExpression | None = None
    touched: Collection[str] = ()
    updates: bool = False


@dataclass(frozen=True, slots=True)
class Update:
    """Updates of a table's metadata, and the files that were written for them and are of no use without.

    `then` makes more of the metadata than updates can say.
    """

    updates: Sequence[TableUpdate] = ()
    written: Sequence[str] = ()
    then: Callable[[TableMetadata], TableMetadata] | None = None


Prepare = Callable[[IcebergTable], Update]


def commit(access: Access, database: str, name: str, prepare: Prepare) -> IcebergTable:
    """Change a table by what `prepare` makes of it as it is; again when somebody else was faster.

    Returns the table that came of it, as it was when there are no updates. Durable once returned. Raises
    CommitConflict, Refused, BadMetadata, and AwsError.
    """
    for _ in range(_MOST_TRIES):
        table = load(access, database, name)
        update = prepare(table)
        if not update.updates and update.then is None:
            return table
        try:
            metadata = update_table_metadata(table.metadata, tuple(update.updates), metadata_location=table.location)
        except (ValueError, ValidationError) as error:
            table.io.discard(update.written)
            raise Refused(str(error)) from error
        try:
            committed = put(access, table, update.then(metadata) if update.then else metadata)
        except AwsError:
            table.io.discard(update.written)
            raise
        if committed is not None:
            return committed
        table.io.discard(update.written)
    raise CommitConflict(f"others kept committing to {database}.{name}")


def put(access: Access, table: IcebergTable, metadata: TableMetadata) -> IcebergTable | None:
    """Have a table be as `metadata` says, if it still is what was loaded; None when it is not."""
    location = table.metadata_path(f"{_number(table.location) + 1:05d}-{uuid.uuid4()}.metadata.json")
    document = table_input(table.name, metadata, location, table.document, table.location)
    try:
        ToOutputFile.table_metadata(metadata, table.io.new_output(location), overwrite=True)
        access.call(
            "UpdateTable",
            DatabaseName=table.database,
            TableInput=document,
            SkipArchive=True,
            VersionId=table.version,
        )
    except AwsError as error:
        table.io.discard([location])
        if error.code == "ConcurrentModificationException":
            return None
        raise
    return IcebergTable(table.database, table.name, metadata, location, "", {**table.document, **document}, table.io)


def change(
    access: Access,
    database: str,
    name: str,
    made: Change,
    *,
    properties: Mapping[str, str] | None = None,
    done: Callable[[IcebergTable], bool] = lambda _: False,
) -> IcebergTable:
    """Commit a change, with properties of the table if any; nothing when the table says that it is `done`."""

    def prepare(table: IcebergTable) -> Update:
        if done(table):
            return Update()
        check_conflicts(table, made)
        update = snapshot_of(table, made)
        if properties:
            return Update((*update.updates, SetPropertiesUpdate(updates=dict(properties))), update.written)
        return update

    return commit(access, database, name, prepare)


def snapshot_of(table: IcebergTable, made: Change) -> Update:
    """The next snapshot of a table with a change over the current one. Raises CommitConflict."""
    metadata = table.metadata
    if metadata.format_version < 2 and any(file.content != DataFileContent.DATA for file in made.added):
        raise Refused("Iceberg table updates require at least format version 2")
    manifests = Manifests(table, metadata, metadata.new_snapshot_id())
    try:
        return _snapshot(table, made, manifests)
    except Exception:
        table.io.discard(manifests.written)
        raise


def _snapshot(table: IcebergTable, made: Change, manifests: Manifests) -> Update:
    metadata, parent = table.metadata, table.metadata.current_snapshot()
    missing = manifests.keep(parent, made.removed)
    if missing:
        raise CommitConflict(f"files that were to be replaced are gone by now: {sorted(missing)[0]}")
    data = [file for file in made.added if file.content == DataFileContent.DATA]
    manifests.add([file for file in made.added if file.content != DataFileContent.DATA])
    manifests.add(data, made.sequence)
    manifests.merge()
    sequence = metadata.next_sequence_number()
    snapshot = _SNAPSHOT(
        snapshot_id=manifests.snapshot_id,
        parent_snapshot_id=parent.snapshot_id if parent else None,
        sequence_number=sequence,
        manifest_list=manifests.list_file(parent, sequence),
        summary=_summary(table, made, manifests.removed, parent),
        schema_id=metadata.current_schema_id,
    )
    # Clocks of others may be ahead; the log of snapshots is in order all the same.
    snapshot = snapshot.model_copy(update={"timestamp_ms": max(snapshot.timestamp_ms, metadata.last_updated_ms)})
    head = _HEAD(snapshot_id=snapshot.snapshot_id, ref_name=MAIN_BRANCH, type=SnapshotRefType.BRANCH)
    return Update((AddSnapshotUpdate(snapshot=snapshot), head), manifests.written)


def set_properties(values: Mapping[str, str], removed: Collection[str] = ()) -> Prepare:
    """Sets properties of a table, and removes some that it may have."""

    def prepare(table: IcebergTable) -> Update:
        there = [name for name in removed if name in table.metadata.properties]
        updates: list[TableUpdate] = []
        if values:
            updates.append(SetPropertiesUpdate(updates=dict(values)))
        if there:
            updates.append(RemovePropertiesUpdate(removals=there))
        return Update(updates)

    return prepare


def check_conflicts(table: IcebergTable, made: Change) -> None:
    """Raise CommitConflict when what was read for a change is not so any more."""
    if not made.reads:
        return
    may_have_read = may_match(table, made.read) if made.read is not None else lambda _: False
    touched = set(made.touched)
    for snapshot, entry in _since(table, made.base):
        file, path = entry.data_file, entry.data_file.file_path
        if entry.status == ManifestEntryStatus.DELETED:
            if file.content == DataFileContent.DATA and path in touched:
                raise CommitConflict(f"Cannot commit, missing data files: {path}")
        elif file.content == DataFileContent.DATA:
            if snapshot.summary is not None and snapshot.summary.operation == Operation.REPLACE:
                continue
            if may_have_read(file):
                raise CommitConflict(f"Found conflicting files that can contain records matching the query: {path}")
        elif touched and made.updates and _may_touch(file, touched):
            raise CommitConflict(f"Found new conflicting delete files that can apply to the records changed: {path}")


def _since(table: IcebergTable, base: int | None) -> Iterator[tuple[Snapshot, ManifestEntry]]:
    """What the snapshots after `base` did to files, the last one first."""
    snapshot = table.metadata.current_snapshot()
    while snapshot is not None and snapshot.snapshot_id != base:
        for manifest in snapshot.manifests(table.io):
            if manifest.added_snapshot_id == snapshot.snapshot_id:
                for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=False):
                    if entry.snapshot_id == snapshot.snapshot_id and entry.status != ManifestEntryStatus.EXISTING:
                        yield snapshot, entry
        parent = snapshot.parent_snapshot_id
        snapshot = table.metadata.snapshot_by_id(parent) if parent is not None else None
    if base is not None and snapshot is None:
        raise CommitConflict(f"the snapshot {base} that was read is not part of the table's history any more")


def _may_touch(deletes: DataFile, touched: Collection[str]) -> bool:
    if deletes.content == DataFileContent.EQUALITY_DELETES:
        return True
    path = only_path(deletes)
    return path in touched if path else True


def _summary(table: IcebergTable, made: Change, removed: Sequence[DataFile], parent: Snapshot | None) -> Summary:
    collector = SnapshotSummaryCollector()
    specs, schema = table.metadata.specs(), table.schema
    for file in made.added:
        collector.add_file(file, schema, specs[file.spec_id])
    for file in removed:
        collector.remove_file(file, schema, specs[file.spec_id])
    # pyiceberg knows no totals of a snapshot that replaces files, which count as those of any other.
    counted = OVERWRITE if made.operation == REPLACE else made.operation
    found = update_snapshot_summaries(
        Summary(Operation(counted), **collector.build(), **made.summary), parent.summary if parent else None
    )
    return Summary(Operation(made.operation), **found.additional_properties)


def _number(location: str) -> int:
    """The number that a metadata file's name begins with, `00012-...` or `v12...`; -1 where it has none."""
    digits = location.rpartition("/")[2].partition("-")[0].partition(".")[0].removeprefix("v")
    return int(digits) if digits.isdigit() else -1

"""Expiry: snapshots that are older than a table keeps, and the files that nothing leads to any more (VACUUM)."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType
from pyiceberg.table.snapshots import Snapshot, ancestors_of
from pyiceberg.table.update import RemoveSnapshotsUpdate

from clary.lake.iceberg.access import Access, s3_location
from clary.lake.iceberg.commits import Update, commit
from clary.lake.iceberg.tables import IcebergTable

_AGE_SECONDS, _FEWEST, _METADATA_FILES = 432_000, 1, 100
# What others write now is in no snapshot yet.
_YOUNG_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Kept:
    """What a table keeps: snapshots younger than an age, at least so many of them, and past files of metadata."""

    age_seconds: int
    fewest: int
    metadata_files: int


@dataclass(frozen=True, slots=True)
class Vacuumed:
    """How many snapshots expired, and how many files were removed."""

    snapshots: int
    files: int


def kept_of(properties: Mapping[str, str]) -> Kept:
    """By Athena's properties `vacuum_...`, else Iceberg's own, else Athena's defaults."""
    milliseconds = properties.get("history.expire.max-snapshot-age-ms", "")
    age = int(milliseconds) // 1000 if milliseconds.isdigit() else _AGE_SECONDS
    fewest = _number(properties, "history.expire.min-snapshots-to-keep", _FEWEST)
    return Kept(
        _number(properties, "vacuum_max_snapshot_age_seconds", age),
        max(_number(properties, "vacuum_min_snapshots_to_keep", fewest), 1),
        max(_number(properties, "vacuum_max_metadata_files_to_keep", _METADATA_FILES), 1),
    )


def vacuum(access: Access, database: str, name: str, now: float) -> Vacuumed:
    """Expire snapshots as the table says, then remove the files that no snapshot and no past metadata leads to.

    A file that is in no snapshot goes when it is older than snapshots are kept, and an hour at least. Raises
    CommitConflict, BadMetadata and AwsError.
    """
    expired: list[Snapshot] = []
    former: list[IcebergTable] = []

    def prepare(table: IcebergTable) -> Update:
        kept = kept_of(table.metadata.properties)
        expired[:] = _expired(table, kept, now)
        former[:] = [table]
        numbers = [each.snapshot_id for each in expired]
        updates = [RemoveSnapshotsUpdate.model_validate({"snapshot-ids": numbers})] if expired else []
        shorter = len(table.metadata.metadata_log) > kept.metadata_files
        return Update(updates, then=_shortened(kept.metadata_files) if expired or shorter else None)

    table = commit(access, database, name, prepare)
    kept = kept_of(table.metadata.properties)
    needed = set(reachable(table, table.metadata.snapshots))
    needed |= set(_metadata_files(table, kept))
    gone = {uri for uri in reachable(former[0], expired) if uri not in needed} if expired else set()
    before = now - max(float(kept.age_seconds), _YOUNG_SECONDS)
    past = set(_past_metadata(former[0])) - needed
    orphans = {
        uri
        for each in access.objects(f"{s3_location(table.metadata.location).rstrip('/')}/")
        if (uri := s3_location(each.uri)) not in needed and each.modified_at < before and _is_of_a_table(table, uri)
    }
    removed = sorted(gone | orphans | past)
    access.delete(removed)
    return Vacuumed(len(expired), len(removed))


def reachable(table: IcebergTable, snapshots: Collection[Snapshot]) -> Iterator[str]:
    """The URIs of the lists, manifests, data and delete files of snapshots; of a file that is gone already, none."""
    seen: set[str] = set()
    for snapshot in snapshots:
        yield s3_location(snapshot.manifest_list)
        try:
            manifests = snapshot.manifests(table.io)
        except FileNotFoundError:
            continue
        for manifest in manifests:
            if manifest.manifest_path in seen:
                continue
            seen.add(manifest.manifest_path)
            yield s3_location(manifest.manifest_path)
            try:
                entries = manifest.fetch_manifest_entry(table.io)
            except FileNotFoundError:
                continue
            for entry in entries:
                yield s3_location(entry.data_file.file_path)


def all_files(access: Access, table: IcebergTable) -> list[str]:
    """The URIs of all that a table consists of, its current metadata last, and whatever else lies in its folders."""
    found = set(reachable(table, table.metadata.snapshots))
    found |= set(_past_metadata(table))
    folder = s3_location(table.metadata.location).rstrip("/")
    for inside in ("data", "metadata"):
        found |= {s3_location(each.uri) for each in access.objects(f"{folder}/{inside}/")}
    current = s3_location(table.location)
    return [*sorted(found - {current}), current]


def _shortened(entries: int) -> Callable[[TableMetadata], TableMetadata]:
    """Has metadata name so many files of metadata before it."""
    return lambda metadata: metadata.model_copy(update={"metadata_log": metadata.metadata_log[-entries:]})


def _expired(table: IcebergTable, kept: Kept, now: float) -> list[Snapshot]:
    """The snapshots that no branch or tag keeps."""
    metadata = table.metadata
    staying: set[int] = set()
    for name, ref in metadata.refs.items():
        head = metadata.snapshot_by_id(ref.snapshot_id)
        if head is None:
            continue
        too_old = ref.max_ref_age_ms is not None and head.timestamp_ms < now * 1000 - ref.max_ref_age_ms
        if name != MAIN_BRANCH and too_old:
            continue
        staying.add(head.snapshot_id)
        if ref.snapshot_ref_type == SnapshotRefType.BRANCH:
            own_age = ref.max_snapshot_age_ms
            age = kept.age_seconds * 1000 if own_age is None else own_age
            fewest = ref.min_snapshots_to_keep or kept.fewest
            for place, snapshot in enumerate(ancestors_of(head, metadata)):
                if place >= fewest and snapshot.timestamp_ms < now * 1000 - age:
                    break
                staying.add(snapshot.snapshot_id)
    oldest = now * 1000 - kept.age_seconds * 1000
    return [each for each in metadata.snapshots if each.snapshot_id not in staying and each.timestamp_ms < oldest]


def _metadata_files(table: IcebergTable, kept: Kept) -> list[str]:
    log = [s3_location(entry.metadata_file) for entry in table.metadata.metadata_log]
    statistics = [*table.metadata.statistics, *table.metadata.partition_statistics]
    return [
        *log[-kept.metadata_files :],
        s3_location(table.location),
        *(s3_location(each.statistics_path) for each in statistics),
    ]


def _past_metadata(table: IcebergTable) -> list[str]:
    return [s3_location(entry.metadata_file) for entry in table.metadata.metadata_log]


def _is_of_a_table(table: IcebergTable, uri: str) -> bool:
    """Whether a file lies where the table's own do: others may have put theirs beside them."""
    inside = uri.removeprefix(f"{s3_location(table.metadata.location).rstrip('/')}/")
    return inside.startswith(("data/", "metadata/"))


def _number(properties: Mapping[str, str], name: str, default: int) -> int:
    found = properties.get(name, "")
    return int(found) if found.isdigit() else default

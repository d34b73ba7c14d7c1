"""Planning a scan: the data files that may hold rows of interest, and the deletes that apply to each.

Manifests, partitions and metrics of files are pruned by an expression. Which deletes apply follows Iceberg's
specification: by the sequence numbers, the partition, and the path where a delete file says one.
"""

import bisect
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from pyiceberg.expressions import AlwaysTrue, BooleanExpression, EqualTo
from pyiceberg.expressions.visitors import _InclusiveMetricsEvaluator
from pyiceberg.manifest import (
    POSITIONAL_DELETE_SCHEMA,
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
)
from pyiceberg.schema import Schema
from pyiceberg.table import ManifestGroupPlanner
from pyiceberg.table.snapshots import Snapshot

from clary.lake.iceberg.tables import IcebergTable

_PATH_ID = 2147483546
_EVERYWHERE: BooleanExpression = AlwaysTrue()


class Unreadable(Exception):
    """A table has files that cannot be read here: says which and why."""


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A data file to read, with its sequence number and the delete files that apply to it."""

    file: DataFile
    sequence: int
    position_deletes: tuple[DataFile, ...] = ()
    equality_deletes: tuple["EqualityDelete", ...] = ()


@dataclass(frozen=True, slots=True)
class EqualityDelete:
    """A file of rows whose equals in some columns are gone, from data files of smaller sequence numbers."""

    file: DataFile
    sequence: int


@dataclass(slots=True)
class _Deletes:
    """Delete files by what they apply to, those of greater sequence numbers last."""

    by_path: dict[str, list[tuple[int, DataFile]]] = field(default_factory=lambda: defaultdict(list))
    by_partition: dict[Any, list[tuple[int, DataFile]]] = field(default_factory=lambda: defaultdict(list))
    equal_everywhere: list[tuple[int, DataFile]] = field(default_factory=list)
    equal_by_partition: dict[Any, list[tuple[int, DataFile]]] = field(default_factory=lambda: defaultdict(list))

    def sort(self) -> None:
        for found in chain(
            self.by_path.values(),
            self.by_partition.values(),
            [self.equal_everywhere],
            self.equal_by_partition.values(),
        ):
            found.sort(key=lambda entry: entry[0])


def plan(
    table: IcebergTable, snapshot: Snapshot | None, expression: BooleanExpression = _EVERYWHERE
) -> list[PlannedFile]:
    """The data files of a snapshot that may hold rows for which `expression`, of the current schema, is true."""
    if snapshot is None:
        return []
    planner = ManifestGroupPlanner(table.metadata, table.io, expression)
    entries = list(chain.from_iterable(planner.plan_manifest_entries(snapshot.manifests(table.io))))
    deletes = _deletes(table, (entry for entry in entries if entry.data_file.content != DataFileContent.DATA))
    planned = []
    for entry in entries:
        file, sequence = entry.data_file, entry.sequence_number or 0
        if file.content == DataFileContent.DATA:
            positions, equals = _applying(deletes, file, sequence)
            planned.append(PlannedFile(file, sequence, positions, equals))
    return sorted(planned, key=lambda each: each.file.file_path)


def entries_of(
    table: IcebergTable, snapshot: Snapshot | None, contents: Sequence[ManifestContent] = ()
) -> list[ManifestEntry]:
    """All files that are part of a snapshot, data and deletes; those of manifests of `contents` alone, where given."""
    if snapshot is None:
        return []
    found: list[ManifestEntry] = []
    for manifest in snapshot.manifests(table.io):
        if not contents or manifest.content in contents:
            found += manifest.fetch_manifest_entry(table.io, discard_deleted=True)
    return found


def may_match(table: IcebergTable, expression: BooleanExpression) -> Callable[[DataFile], bool]:
    """Whether a data file may hold a row for which `expression`, of the current schema, is true."""
    planner = ManifestGroupPlanner(table.metadata, table.io, expression)
    by_metrics = planner._build_metrics_evaluator()
    by_partition: dict[int, Callable[[DataFile], bool]] = {}

    def matches(file: DataFile) -> bool:
        if file.spec_id not in by_partition:
            by_partition[file.spec_id] = planner._build_partition_evaluator(file.spec_id)
        return bool(by_partition[file.spec_id](file)) and bool(by_metrics(file))

    return matches


def only_path(file: DataFile) -> str:
    """The one data file that a file of position deletes names; empty where there may be several."""
    low = (file.lower_bounds or {}).get(_PATH_ID)
    high = (file.upper_bounds or {}).get(_PATH_ID)
    return low.decode() if low and low == high else ""


def schema_with(table: IcebergTable, ids: Iterable[int]) -> Schema:
    """The newest schema of a table that has all these columns. Raises Unreadable where none has."""
    wanted = set(ids)
    newest = sorted(table.metadata.schemas, key=lambda schema: schema.schema_id, reverse=True)
    for schema in (table.schema, *newest):
        if wanted <= {each.field_id for each in schema.fields}:
            return schema
    raise Unreadable(f"{table.database}.{table.name} has equality deletes by columns inside others, not supported")


def _deletes(table: IcebergTable, entries: Iterable[ManifestEntry]) -> _Deletes:
    specs = table.metadata.specs()
    found = _Deletes()
    for entry in entries:
        file, sequence = entry.data_file, entry.sequence_number or 0
        if file.file_format != FileFormat.PARQUET:
            raise Unreadable(
                f"{table.database}.{table.name} has delete files in {file.file_format.value}, of which Parquet alone "
                f"is supported: {file.file_path}"
            )
        key = _partition_key(file)
        if file.content == DataFileContent.POSITION_DELETES:
            path = only_path(file)
            (found.by_path[path] if path else found.by_partition[key]).append((sequence, file))
        elif specs[file.spec_id].is_unpartitioned():
            found.equal_everywhere.append((sequence, file))
        else:
            found.equal_by_partition[key].append((sequence, file))
    found.sort()
    return found


def _applying(
    deletes: _Deletes, file: DataFile, sequence: int
) -> tuple[tuple[DataFile, ...], tuple[EqualityDelete, ...]]:
    key = _partition_key(file)
    positions = [*_since(deletes.by_path.get(file.file_path, ()), sequence)]
    positions += [each for each in _since(deletes.by_partition.get(key, ()), sequence) if _may_name(each[1], file)]
    equals = [
        *_since(deletes.equal_everywhere, sequence + 1),
        *_since(deletes.equal_by_partition.get(key, ()), sequence + 1),
    ]
    return (
        tuple(each for _, each in positions),
        tuple(EqualityDelete(each, number) for number, each in equals),
    )


def _since(found: Sequence[tuple[int, DataFile]], sequence: int) -> Sequence[tuple[int, DataFile]]:
    return found[bisect.bisect_left(found, sequence, key=lambda entry: entry[0]) :]


def _partition_key(file: DataFile) -> tuple[Any, ...]:
    return (file.spec_id, *(file.partition[place] for place in range(len(file.partition))))


def _may_name(deletes: DataFile, file: DataFile) -> bool:
    if not (deletes.lower_bounds or {}).get(_PATH_ID) or not (deletes.upper_bounds or {}).get(_PATH_ID):
        return True
    evaluator = _InclusiveMetricsEvaluator(POSITIONAL_DELETE_SCHEMA, EqualTo("file_path", file.file_path))  # type: ignore[call-arg, arg-type]
    return bool(evaluator.eval(deletes))

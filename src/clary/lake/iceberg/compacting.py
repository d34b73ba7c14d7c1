"""Compaction: many small data files, and files that lost rows, become few and whole ones (OPTIMIZE ... BIN_PACK)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyiceberg.expressions import AlwaysTrue, BooleanExpression
from pyiceberg.manifest import DataFile, DataFileContent, ManifestContent
from pyiceberg.table.snapshots import Snapshot

from clary.lake.iceberg.commits import REPLACE, Change
from clary.lake.iceberg.planning import PlannedFile, entries_of, plan
from clary.lake.iceberg.tables import IcebergTable

_TARGET_BYTES = 512 * 1024 * 1024
_FEWEST_FILES, _FEWEST_DELETES = 5, 2
_ALL: BooleanExpression = AlwaysTrue()


@dataclass(frozen=True, slots=True)
class Compaction:
    """The data files to be written anew, and the snapshot that they are of."""

    files: Sequence[PlannedFile]
    snapshot: Snapshot

    def change(self, table: IcebergTable, added: Sequence[DataFile], summary: Mapping[str, str]) -> Change:
        """The change that puts files in the place of those, less the deletes that apply to nothing any more."""
        rewritten = {each.file.file_path for each in self.files}
        return Change(
            REPLACE,
            added,
            [*rewritten, *_unneeded(table, self.snapshot, rewritten)],
            # What is deleted by equality after the snapshot is deleted from the new files too.
            sequence=self.snapshot.sequence_number,
            summary=summary,
            reads=True,
            base=self.snapshot.snapshot_id,
            touched=rewritten,
            updates=True,
        )


def compaction(table: IcebergTable, expression: BooleanExpression = _ALL) -> Compaction | None:
    """What of a table is to be compacted, of the partitions for which `expression` may be true; None for nothing.

    By Athena's properties `optimize_rewrite_data_file_threshold`, `optimize_rewrite_delete_file_threshold`,
    `optimize_rewrite_min_data_file_size_bytes`, `optimize_rewrite_max_data_file_size_bytes`, or their defaults.
    """
    snapshot = table.metadata.current_snapshot()
    if snapshot is None:
        return None
    properties = table.metadata.properties
    target = _number(properties, "write.target-file-size-bytes", _TARGET_BYTES)
    least = _number(properties, "optimize_rewrite_min_data_file_size_bytes", int(target * 0.75))
    most = _number(properties, "optimize_rewrite_max_data_file_size_bytes", int(target * 1.8))
    fewest = _number(properties, "optimize_rewrite_data_file_threshold", _FEWEST_FILES)
    deletes = _number(properties, "optimize_rewrite_delete_file_threshold", _FEWEST_DELETES)
    by_partition: dict[Any, list[PlannedFile]] = defaultdict(list)
    chosen: list[PlannedFile] = []
    for each in plan(table, snapshot, expression):
        if len(each.position_deletes) + len(each.equality_deletes) >= deletes:
            chosen.append(each)
        elif not least <= each.file.file_size_in_bytes <= most or each.file.spec_id != table.metadata.default_spec_id:
            key = (each.file.spec_id, *(each.file.partition[place] for place in range(len(each.file.partition))))
            by_partition[key].append(each)
    for files in by_partition.values():
        if len(files) >= max(fewest, 1) and (len(files) > 1 or files[0].file.file_size_in_bytes > most):
            chosen += files
    return Compaction(chosen, snapshot) if chosen else None


def _unneeded(table: IcebergTable, snapshot: Snapshot, rewritten: set[str]) -> set[str]:
    """The delete files of a snapshot that apply to no data file but to rewritten ones."""
    needed: set[str] = set()
    for each in plan(table, snapshot):
        if each.file.file_path not in rewritten:
            needed |= {gone.file_path for gone in each.position_deletes}
            needed |= {gone.file.file_path for gone in each.equality_deletes}
    return {
        entry.data_file.file_path
        for entry in entries_of(table, snapshot, (ManifestContent.DELETES,))
        if entry.data_file.content != DataFileContent.DATA and entry.data_file.file_path not in needed
    }


def _number(properties: Mapping[str, str], name: str, default: int) -> int:
    found = properties.get(name, "")
    return int(found) if found.isdigit() else default

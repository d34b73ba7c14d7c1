"""Manifests of a new snapshot: files that are added, those that go, and what the snapshot before had and keeps."""

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
    ManifestWriter,
    ManifestWriterV2,
    write_manifest,
    write_manifest_list,
)
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot

from clary.lake.iceberg.tables import IcebergTable

_CODEC: Any = "deflate"
_MERGED_FROM = 100
_MERGED_BYTES = 8 * 1024 * 1024


class _DeleteManifestWriter(ManifestWriterV2):
    """Writes manifests of delete files, which pyiceberg does not."""

    def content(self) -> ManifestContent:
        return ManifestContent.DELETES

    @property
    def _meta(self) -> dict[str, str]:
        return {**super()._meta, "content": "deletes"}


@dataclass(slots=True)
class Manifests:
    """The manifests of a snapshot in the making. Its files are written as they come; `written` are their URIs."""

    table: IcebergTable
    metadata: TableMetadata
    snapshot_id: int
    files: list[ManifestFile] = field(default_factory=list)
    removed: list[DataFile] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=count)
    _commit: str = field(default_factory=lambda: str(uuid.uuid4()))

    def keep(self, parent: Snapshot | None, removed: Collection[str]) -> Collection[str]:
        """Take over what the snapshot before has, less the files of these paths; return those that it lacks."""
        wanted = set(removed)
        for manifest in parent.manifests(self.table.io) if parent else ():
            if not (manifest.has_added_files() or manifest.has_existing_files()):
                continue
            entries = manifest.fetch_manifest_entry(self.table.io) if wanted else []
            going = [entry for entry in entries if entry.data_file.file_path in wanted]
            if not going:
                self.files.append(manifest)
                continue
            with self._writer(manifest.partition_spec_id, manifest.content) as writer:
                for entry in entries:
                    if entry.data_file.file_path in wanted:
                        writer.delete(entry)
                    else:
                        writer.existing(entry)
            self.files.append(writer.to_manifest_file())
            self.removed += [entry.data_file for entry in going]
            wanted -= {entry.data_file.file_path for entry in going}
        return wanted

    def add(self, files: Iterable[DataFile], sequence: int | None = None) -> None:
        """Add data and delete files. `sequence` is theirs where it is not the snapshot's own."""
        groups: dict[tuple[ManifestContent, int], list[DataFile]] = defaultdict(list)
        for file in files:
            kind = ManifestContent.DATA if file.content == DataFileContent.DATA else ManifestContent.DELETES
            groups[kind, file.spec_id].append(file)
        for (kind, spec_id), found in groups.items():
            with self._writer(spec_id, kind) as writer:
                for file in found:
                    writer.add(
                        ManifestEntry.from_args(
                            status=ManifestEntryStatus.ADDED,
                            snapshot_id=self.snapshot_id,
                            sequence_number=sequence,
                            file_sequence_number=None,
                            data_file=file,
                        )
                    )
            self.files.insert(0, writer.to_manifest_file())

    def merge(self) -> None:
        """Join small manifests of data files when there are many, so that planning does not have to open them all."""
        most = int(self.metadata.properties.get("commit.manifest.min-count-to-merge", _MERGED_FROM))
        small: dict[int, list[ManifestFile]] = defaultdict(list)
        for manifest in self.files:
            ours = manifest.added_snapshot_id == self.snapshot_id
            if manifest.content == ManifestContent.DATA and manifest.manifest_length < _MERGED_BYTES // 2 and not ours:
                small[manifest.partition_spec_id].append(manifest)
        for spec_id, found in small.items():
            if len(found) >= max(most, 2):
                for group in _packed(found):
                    self._join(spec_id, group)

    def list_file(self, parent: Snapshot | None, sequence: int) -> str:
        """Write the list of all of them; return its URI."""
        uri = self.table.metadata_path(f"snap-{self.snapshot_id}-1-{self._commit}.avro")
        with write_manifest_list(
            self.metadata.format_version,
            self.table.io.new_output(uri),
            self.snapshot_id,
            parent.snapshot_id if parent else None,
            sequence,
            _CODEC,
        ) as writer:
            writer.add_manifests(self.files)
        self.written.append(uri)
        return uri

    def _join(self, spec_id: int, group: Sequence[ManifestFile]) -> None:
        with self._writer(spec_id, ManifestContent.DATA) as writer:
            for manifest in group:
                for entry in manifest.fetch_manifest_entry(self.table.io):
                    writer.existing(entry)
        gone = {manifest.manifest_path for manifest in group}
        self.files = [each for each in self.files if each.manifest_path not in gone]
        self.files.append(writer.to_manifest_file())

    def _writer(self, spec_id: int, kind: ManifestContent) -> ManifestWriter:
        uri = self.table.metadata_path(f"{self._commit}-m{next(self._numbers)}.avro")
        self.written.append(uri)
        output = self.table.io.new_output(uri)
        spec, schema = self.metadata.specs()[spec_id], self.metadata.schema()
        if kind == ManifestContent.DELETES:
            return _DeleteManifestWriter(spec, schema, output, self.snapshot_id, _CODEC)
        return write_manifest(self.metadata.format_version, spec, schema, output, self.snapshot_id, _CODEC)


def _packed(found: Sequence[ManifestFile]) -> list[list[ManifestFile]]:
    groups: list[list[ManifestFile]] = [[]]
    size = 0
    for manifest in found:
        if groups[-1] and size + manifest.manifest_length > _MERGED_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(manifest)
        size += manifest.manifest_length
    return [group for group in groups if len(group) > 1]

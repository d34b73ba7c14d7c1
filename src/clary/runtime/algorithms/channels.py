"""Read a built-in algorithm's channel: which files, in which format, File or Pipe mode."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clary.runtime.errors import CustomerError
from clary.runtime.formats import content_types
from clary.runtime.formats.decode import TABULAR, decode_table
from clary.runtime.formats.protobuf import Malformed
from clary.runtime.formats.recordio import frames
from clary.runtime.formats.table import Table, concatenate
from clary.runtime.paths import MlPaths
from clary.runtime.toolkit.description import JobDescription

BESIDE_DATA = {"_SUCCESS", "_metadata", "_common_metadata"}


@dataclass(frozen=True)
class Channel:
    """One input channel, with its canonical content type."""

    name: str
    directory: Path
    content_type: str
    pipe: bool
    wrapped: bool = False

    def files(self) -> Iterator[Path]:
        """The data files below the channel's directory in a fixed order; nested directories too.

        Hidden files and what Hadoop writes beside the data are none. Links to files count, since staging may link.
        """
        if self.pipe:
            yield self.directory.parent / f"{self.name}_0"
            return
        for path in sorted(self.directory.rglob("*")):
            hidden = any(part.startswith(".") for part in path.relative_to(self.directory).parts)
            if path.is_file() and not hidden and path.name not in BESIDE_DATA:
                yield path

    def read(self, weighted: bool = False) -> Table | None:
        """All rows, or None when this host's share is empty. Raises CustomerError for what is malformed."""
        tables: list[Table] = []
        first = ""
        for name, data in self._contents():
            table = decode_table(self.content_type, data, name=name, labelled=True, weighted=weighted)
            if table.labels is None:
                raise CustomerError(f"Customer Error: {name}: the records have no label, which training needs")
            if tables and not table.is_sparse and table.columns != tables[0].columns:
                raise CustomerError(
                    f"Customer Error: {name}: has {table.columns} features where {first} has {tables[0].columns}"
                )
            first = first or name
            tables.append(table)
        return concatenate(tables) if tables else None

    def _contents(self) -> Iterator[tuple[str, bytes]]:
        """(name for messages, content) of each file, or of each object in it when they came wrapped in records."""
        for path in self.files():
            name = f"channel {self.name!r}, file {path.relative_to(self.directory.parent)}"
            content = path.read_bytes()
            try:
                objects = [bytes(record) for record in frames(content)] if self.wrapped else [content]
            except Malformed as error:
                raise CustomerError(
                    f"Customer Error: {name}: not RecordIO, as RecordWrapperType says: {error}"
                ) from None
            for number, data in enumerate(objects, start=1):
                if data.strip():
                    yield (f"{name}, record {number}" if self.wrapped else name), data


def open_channel(paths: MlPaths, job: JobDescription, name: str, default_content_type: str) -> Channel | None:
    """The channel `name`, or None when the job has none. Raises CustomerError for a type that is not tabular."""
    config: dict[str, Any] | None = job.channels.get(name)
    if config is None:
        return None
    given = config.get("ContentType") or default_content_type
    content_type = content_types.canonical(given)
    if content_type not in TABULAR:
        raise CustomerError(
            f"Customer Error: channel {name!r} has the content type {given!r}; valid are {', '.join(TABULAR)}"
        )
    return Channel(
        name,
        paths.channel(name),
        content_type,
        pipe=config.get("TrainingInputMode") == "Pipe",
        wrapped=config.get("RecordWrapperType") == "RecordIO",
    )

"""What readers have in common: files of a scan that are read alike, and the SQL of what all rows of a file share."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock

from clary.lake import tables
from clary.lake.engine.tasks import TaskFailed
from clary.lake.scans import DataFile, Scan
from clary.lake.tables import Column
from clary.lake.types import Type, duckdb_type, quoted

FILE_NUMBER = "#file"
"""The column in which our own readers say which of the scan's files a row is of, counted from 1."""

PATH, SIZE, MODIFIED, PARTITION, BUCKET = "$path", "$file_size", "$file_modified_time", "$partition", "$bucket"
HIDDEN: Mapping[str, str] = {
    PATH: "VARCHAR", SIZE: "BIGINT", MODIFIED: "TIMESTAMP WITH TIME ZONE", PARTITION: "VARCHAR", BUCKET: "INTEGER",
}  # fmt: skip

_SILENT = frozenset({tables.CSV, tables.OPEN_CSV, tables.REGEX, tables.GROK})
_BUCKETS = (re.compile(r"^0*(\d+)_\d+"), re.compile(r"_bucket-0*(\d+)(?:[-_.].*)?$"), re.compile(r"^bucket_0*(\d+)"))


@dataclass(slots=True)
class BytesRead:
    """How much our own readers read of files, as it is stored; and what one of them found wrong.

    An engine asks for it beside what DuckDB says that it read itself. Safe to be added to by several threads.
    """

    total: int = 0
    failure: TaskFailed | None = None
    _lock: Lock = field(default_factory=Lock)

    def add(self, count: int) -> None:
        with self._lock:
            self.total += count

    def failed(self, code: str, message: str) -> TaskFailed:
        """The failure to raise; kept, since what DuckDB makes of an exception is a text."""
        self.failure = TaskFailed(code, message)
        return self.failure


@dataclass(frozen=True, slots=True)
class Part:
    """Files of a scan that have one format, one set of properties and one list of columns.

    `numbers` are their places among the scan's files, counted from 1.
    """

    scan: Scan
    format: str
    serde: Mapping[str, str]
    columns: tuple[Column, ...]
    files: tuple[DataFile, ...]
    numbers: tuple[int, ...]

    @property
    def wanted(self) -> list[Column]:
        """The columns of the table that the query reads and these files may have, by the table's types.

        Files that say themselves what they hold may have any, whatever their partition says.
        """
        own = {column.name for column in (self.columns if self.format in _SILENT else self.scan.columns)}
        return [column for column in self.scan.columns if is_used(self.scan, column.name) and column.name in own]

    @property
    def positions(self) -> dict[str, int]:
        """The places of columns in files that are read by position, counted from 0."""
        own = {column.name: place for place, column in enumerate(self.columns)}
        return {column.name: place for place, column in enumerate(self.scan.columns)} | own


def parts_of(scan: Scan) -> list[Part]:
    """The files of a scan, by how they are read."""
    found: dict[tuple[object, ...], list[int]] = {}
    for number, file in enumerate(scan.files, 1):
        partition = scan.partitions[file.partition]
        key = (partition.format, tuple(sorted(partition.serde.items())), partition.columns)
        found.setdefault(key, []).append(number)
    parts = []
    for numbers in found.values():
        files = tuple(scan.files[number - 1] for number in numbers)
        partition = scan.partitions[files[0].partition]
        columns = partition.columns or scan.columns
        parts.append(Part(scan, partition.format, partition.serde, columns, files, tuple(numbers)))
    return parts


def is_used(scan: Scan, name: str) -> bool:
    return name in scan.used


def hidden_of(scan: Scan) -> list[str]:
    """The hidden columns that a query asks for."""
    return [name for name in HIDDEN if name in scan.used]


def null(of: Type) -> str:
    return f"CAST(NULL AS {duckdb_type(of)})"


def literal(value: str | None) -> str:
    """A text of SQL."""
    return "NULL" if value is None else "'" + value.replace("'", "''") + "'"


def texts(values: Sequence[str | None]) -> str:
    """A list of texts of SQL."""
    return f"([{', '.join(map(literal, values))}]::VARCHAR[])"


def hidden_sql(scan: Scan, name: str, number: str) -> str:
    """A hidden column, from the SQL of the number of the row's file."""
    if name == SIZE:
        values = f"([{', '.join(str(file.size_bytes) for file in scan.files)}]::BIGINT[])"
    elif name == MODIFIED:
        values = f"([{', '.join(f'{file.modified_at:.3f}' for file in scan.files)}]::DOUBLE[])"
        return f"to_timestamp({values}[{number}])"
    elif name == BUCKET:
        found = (bucket_of(file.uri) for file in scan.files)
        values = f"([{', '.join('NULL' if each is None else str(each) for each in found)}]::INTEGER[])"
    elif name == PARTITION:
        shown = [_shown(scan.keys, scan.partitions[file.partition].values) for file in scan.files]
        values = texts(shown)
    else:
        values = texts([file.uri for file in scan.files])
    return f"{values}[{number}]"


def key_sql(scan: Scan, place: int, number: str) -> str:
    """A key of partitions, from the SQL of the number of the row's file."""
    values = [scan.partitions[file.partition].values[place] for file in scan.files]
    kind = duckdb_type(scan.keys[place].type)
    if len(set(values)) == 1:
        return f"CAST({literal(values[0])} AS {kind})"
    return f"CAST({texts(values)} AS {kind}[])[{number}]"


def of_files(scan: Scan, number: str) -> Iterator[str]:
    """The items of a SELECT that are the same for all rows of a file: the keys, and the hidden columns asked for."""
    for place, key in enumerate(scan.keys):
        made = key_sql(scan, place, number) if is_used(scan, key.name) else null(key.type)
        yield f"{made} AS {quoted(key.name)}"
    for name in hidden_of(scan):
        yield f"{hidden_sql(scan, name, number)} AS {quoted(name)}"


def bucket_of(uri: str) -> int | None:
    """The bucket that a file's name says it is, as Hive, Trino and Athena name files; None where it says none."""
    name = uri.rpartition("/")[2]
    for pattern in _BUCKETS:
        found = pattern.search(name)
        if found is not None:
            return int(found[1])
    return None


def _shown(keys: Sequence[Column], values: Sequence[str | None]) -> str:
    pairs = zip(keys, values, strict=True)
    return "/".join(f"{key.name}={'__HIVE_DEFAULT_PARTITION__' if value is None else value}" for key, value in pairs)

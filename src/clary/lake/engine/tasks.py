"""What an engine is asked to do, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clary.lake.scans import Scan
from clary.lake.tables import Column

OUT, SPILL, RESULT = "out", "spill", "result.csv"
"""Below the folder of a query: what tasks write, the rows of a `ResultFile` among it, and what they put aside."""


@dataclass(frozen=True, slots=True)
class ResultFile:
    """Have the rows written as one file of results, in Athena's CSV: each value in quotes, NULL as nothing at all."""


@dataclass(frozen=True, slots=True)
class TableFiles:
    """Have the rows written as files of a table.

    `columns` are what is written, in the order of the rows, the last `len(keys)` of them being `keys`, the columns that
    the files are parted by. `format` is one of `clary.lake.tables`, `properties` its compression and separators.
    `name` begins the name of each file, so that what an interrupted try left is found again.
    """

    format: str
    columns: tuple[Column, ...]
    keys: tuple[str, ...] = ()
    bucketed_by: tuple[str, ...] = ()
    buckets: int = 0
    properties: Mapping[str, str] = field(default_factory=dict)
    name: str = ""


@dataclass(frozen=True, slots=True)
class IcebergFiles:
    """Have the rows written as files of a table of Iceberg; see `clary.lake.iceberg.writing`.

    `columns` are what is written, in the order of the rows, and `field_ids` their ids by name, nested where columns
    have fields. `keys` are what the files are parted by: a column, a transform, and its width or 0. Where the rows
    are `changes`, each begins with what becomes of it (I, D or U), and the number and the URI of the file that holds
    the row which goes, and its place there.
    """

    columns: tuple[Column, ...]
    field_ids: Mapping[str, Any]
    keys: tuple[tuple[str, str, int], ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    changes: bool = False


@dataclass(frozen=True, slots=True)
class PlanText:
    """Have the plan of the query written instead of its rows, as TEXT, JSON or GRAPHVIZ.

    To `analyze`, the query is run, and the plan says what each part of it took.
    """

    analyze: bool = False
    format: str = "TEXT"


@dataclass(frozen=True, slots=True)
class Task:
    """A query for an engine: SQL of DuckDB that names scans, and where its rows go.

    `types` are the types of Trino that the rows' columns are shown by. What is written lies below `folder`. A task
    fails that reads more than `most_scanned_bytes`, unless that is 0, or takes longer than `seconds`. One that needs
    more than `memory_bytes` puts up to `spill_bytes` aside in its folder.
    """

    sql: str
    scans: tuple[Scan, ...]
    output: ResultFile | TableFiles | IcebergFiles | PlanText
    names: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    memory_bytes: int = 1 << 30
    spill_bytes: int = 64 << 30
    threads: int = 2
    seconds: float = 1800.0
    most_scanned_bytes: int = 0
    folder: str = ""


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file that an engine wrote: its path, the values of the keys, and how many rows and bytes it has."""

    path: str
    values: tuple[str | None, ...]
    rows: int
    size_bytes: int
    bucket: int = -1


@dataclass(frozen=True, slots=True)
class TaskResult:
    """How a task ended well. `scanned_bytes` are those that were really read of the scans' files."""

    rows: int
    scanned_bytes: int
    files: tuple[WrittenFile, ...]
    scanned_rows: int = 0
    seconds: float = 0.0
    peak_memory_bytes: int = 0


class TaskFailed(Exception):
    """The task cannot be done: `code` is Trino's name of the error, such as DIVISION_BY_ZERO."""

    def __init__(self, code: str, message: str, *, scanned_bytes: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.scanned_bytes = scanned_bytes


class TaskCancelled(Exception):
    """The task was told to stop."""

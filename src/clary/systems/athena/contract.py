"""What the parts of this room know of each other: a statement that runs, what it may use, and what comes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from clary.kernel.rooms import Context
    from clary.lake.engine.tasks import Task, TaskResult

DDL, DML, UTILITY = "DDL", "DML", "UTILITY"


class TableName(NamedTuple):
    """A table as a statement names it, completed by the session's catalog and database; in lower case."""

    catalog: str
    database: str
    name: str


class OutputColumn(NamedTuple):
    """A column of a result: its name, and its type of Trino, such as `array(row(a integer))`."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Domain:
    """What a query leaves of the values of a partition key: these, or those between two; maybe more than it asks for.

    Values are texts as the key's type is written in a partition; an end that is None is open.
    """

    values: tuple[str, ...] | None = None
    low: str | None = None
    high: str | None = None
    low_included: bool = True
    high_included: bool = True


@dataclass(frozen=True, slots=True)
class ScanUse:
    """A table that translated SQL reads under the name `relation`: which columns, and what is left of its keys.

    An Iceberg table is read as of a moment (seconds since the epoch), or of a snapshot by its number or the name of a
    tag or branch. `part` names one of its tables of metadata: `files`, `history`, `snapshots`, ...
    """

    relation: str
    table: TableName
    used: tuple[str, ...]
    domains: Mapping[str, Domain] = field(default_factory=dict)
    as_of_seconds: float | None = None
    as_of_snapshot: int | str | None = None
    part: str = ""


@dataclass(frozen=True, slots=True)
class Translated:
    """A query of Athena's language as SQL of DuckDB over scans."""

    sql: str
    uses: tuple[ScanUse, ...]
    columns: tuple[OutputColumn, ...]


class StatementFailed(Exception):
    """A statement cannot be done. `code` is Trino's name of the error; `message` says where, as `line 1:8: ...`.

    It reaches users as `code: message`. `category` is Athena's: 1 the system's fault, 2 the user's, 3 other's.
    """

    def __init__(self, code: str, message: str, *, category: int = 2, error_type: int = 1006) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.category = category
        self.error_type = error_type


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a statement.

    Statements that answer by text (DDL, SHOW, EXPLAIN) have `rows`; a query has `result`, the file of its rows that an
    engine wrote; one that writes a table has `manifest`, the URIs of what it wrote, and how many rows those are.
    """

    kind: str
    substatement: str
    columns: tuple[OutputColumn, ...] = ()
    rows: Sequence[Sequence[str | None]] | None = None
    result: Path | None = None
    manifest: Sequence[str] | None = None
    update_count: int | None = None


class Running(Protocol):
    """A statement that runs, as its caller: whoever started it must be allowed what is called and read here."""

    execution_id: str
    catalog: str
    database: str
    output: str
    """Where its results go, less the ending: `s3://bucket/prefix/<execution id>`."""
    work_group: str
    enforced: bool
    """Whether the work group's settings hold whatever a query says: no statement chooses where a new table goes."""
    resumed: bool
    """Whether it was cut off before and runs again: what it is to do may be done already."""
    ctx: "Context"

    @property
    def folder(self) -> Path:
        """Its own folder, in the file system of the objects, so that they can be linked into it; gone afterwards."""
        ...

    def call(self, operation: str, *, service: str = "glue", **params: Any) -> dict[str, Any]:
        """Call a room as the caller. Raises AwsError."""
        ...

    def link(self, uri: str, path: Path) -> None:
        """Have an object's bytes, as they are now, at a path below `folder`. Raises AwsError."""
        ...

    def objects(self, prefix: str) -> "Sequence[ListedObject]":
        """The objects whose URI begins with `prefix`, in order. Raises AwsError where they may not be listed."""
        ...

    def put(self, uri: str, path: Path) -> None:
        """Store a file as an object. Raises AwsError where it may not be written."""
        ...

    def delete(self, uris: Sequence[str]) -> None:
        """Remove objects. Raises AwsError where they may not be."""
        ...

    def check_delete(self, uris: Sequence[str]) -> None:
        """Raise AwsError where objects may not be removed."""
        ...

    def discard(self, uris: Sequence[str]) -> None:
        """Remove what it stored itself and is of no use; nobody is asked about that."""
        ...

    def check_results(self, statement: Any) -> None:
        """Raise AwsError where the results of a statement could not be stored now."""
        ...

    def announce(self, outcome: Outcome) -> None:
        """Store what it will have come to, before it does what others can see: that may be refused, this may not.

        Raises AwsError where results may not be written.
        """
        ...

    @property
    def own(self) -> "Own":
        """What the platform does in its place, whoever its caller is: look for what it stored, and clear that away."""
        ...

    def run(self, task: "Task") -> "TaskResult":
        """Have an engine do a task within the query's limits; what it read counts. Raises TaskFailed, TaskCancelled."""
        ...

    def check(self) -> None:
        """Raise TaskCancelled when the query was stopped."""
        ...


class Own(Protocol):
    """The objects and the catalog for a statement's own traces, which nobody is asked about. A lake's Access too."""

    execution_id: str
    output: str
    ctx: "Context"

    @property
    def folder(self) -> Path: ...
    def call(self, operation: str, *, service: str = "glue", **params: Any) -> dict[str, Any]: ...
    def link(self, uri: str, path: Path) -> None: ...
    def objects(self, prefix: str) -> "Sequence[ListedObject]": ...
    def put(self, uri: str, path: Path) -> None: ...
    def delete(self, uris: Sequence[str]) -> None: ...
    def discard(self, uris: Sequence[str]) -> None: ...


class ListedObject(NamedTuple):
    """An object of a listing."""

    uri: str
    size_bytes: int
    etag: str
    modified_at: float

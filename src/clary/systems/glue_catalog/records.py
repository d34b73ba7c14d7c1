"""What the catalog stores: databases, tables, their past versions, their partitions, and what is to be forgotten.

A database and a table have a `uid` besides their name. What belongs to one is stored under its uid, so that one made
anew under an old name never meets what its predecessor left, however much of that is still to be cleared away.
"""

from dataclasses import dataclass, field
from typing import Any

from clary.kernel.store import record

# Between the parts of a name: no name of the catalog can hold a line break.
_BREAK = "\n"
# Between the values of a partition, which may be any text: there it is escaped.
_NEXT = "\x1f"
_ESCAPES = {"\\": "\\\\", "\x1f": "\\u", "\x00": "\\0"}


@record("glue_database", version=1)
@dataclass(frozen=True, slots=True)
class Database:
    """A database. `input` is its DatabaseInput, the name in lower case."""

    uid: str
    input: dict[str, Any]


@record("glue_table", version=1)
@dataclass(frozen=True, slots=True)
class Table:
    """A table: its TableInput as of now, with the number of this version. The record's parent is the database's uid.

    `indexes` are its partition indexes, by name the keys.
    """

    uid: str
    database: str
    input: dict[str, Any]
    number: int = 0
    created_by: str = ""
    indexes: dict[str, list[str]] = field(default_factory=dict)


@record("glue_table_version", version=1)
@dataclass(frozen=True, slots=True)
class TableVersion:
    """A version that is past: the input of then. The record's parent is the table's uid."""

    number: int
    input: dict[str, Any]
    updated_at: float


@record("glue_partition", version=1)
@dataclass(frozen=True, slots=True)
class Partition:
    """A partition: its PartitionInput. The record's parent is the table's uid."""

    input: dict[str, Any]


@record("glue_forgotten", version=1)
@dataclass(frozen=True, slots=True)
class Forgotten:
    """The uid of a database or table that was deleted: what is stored under it is to be cleared away."""

    deleted_at: float


@record("glue_classifier", version=1)
@dataclass(frozen=True, slots=True)
class Classifier:
    """A classifier of one's own. `kind` is the member that it was given as, `input` what it said; `number` counts its
    versions."""

    kind: str
    input: dict[str, Any]
    number: int = 1
    changed_at: float = 0.0


@record("glue_connection", version=1)
@dataclass(frozen=True, slots=True)
class Connection:
    """A connection: its ConnectionInput, the password among its properties."""

    input: dict[str, Any]
    changed_at: float = 0.0
    changed_by: str = ""


@record("glue_column_statistics", version=1)
@dataclass(frozen=True, slots=True)
class ColumnStatistics:
    """What is known of the values of a column of a table, or of one of its partitions. The record's parent is the
    table's uid. `input` is its ColumnStatistics: times are epoch seconds, bytes in base64."""

    input: dict[str, Any]


@record("glue_function", version=1)
@dataclass(frozen=True, slots=True)
class Function:
    """A user-defined function: its UserDefinedFunctionInput. The record's parent is the uid of its database."""

    database: str
    input: dict[str, Any]


@record("glue_policy", version=1)
@dataclass(frozen=True, slots=True)
class CatalogPolicy:
    """The policy of an account's catalog in a region, of which there is one record at most."""

    document: str


@record("glue_import", version=1)
@dataclass(frozen=True, slots=True)
class CatalogImport:
    """That an account has been told to use this catalog in place of Athena's old one; one record at most."""

    imported_by: str


READY, RUNNING, STOPPING = "READY", "RUNNING", "STOPPING"
COMPLETED, FAILED, STOPPED = "COMPLETED", "FAILED", "STOPPED"
CRAWLERS_TOPIC = "glue_crawlers"


@record("glue_crawler", version=1)
@dataclass(frozen=True, slots=True)
class Crawler:
    """A crawler, its status whether it is READY, RUNNING or STOPPING.

    `request` holds the members of CreateCrawler as they are now, less its name, schedule and tags; `role` is what it
    acts as. `schedule` is a cron expression, and `due_at` when it is due next, epoch seconds; 0 while its schedule is
    stopped. `crawl` names the record of the crawl that is under way or was last.
    """

    uid: str
    request: dict[str, Any]
    role: str
    number: int = 1
    changed_at: float = 0.0
    schedule: str = ""
    due_at: float = 0.0
    crawl: str = ""


@record("glue_crawl", version=1)
@dataclass(frozen=True, slots=True)
class Crawl:
    """A run of a crawler, its status whether it is RUNNING, COMPLETED, FAILED or STOPPED; the record's parent is the
    crawler's uid. `done` counts, and names, what it did to tables and partitions. Times are epoch seconds."""

    id: str
    crawler: str
    started_at: float
    ended_at: float = 0.0
    error: str = ""
    done: dict[str, dict[str, Any]] = field(default_factory=dict)


def crawl_key(crawler_uid: str, started_at: float) -> str:
    """The name of a crawl's record; later ones come first."""
    return f"{crawler_uid}{_BREAK}{10**14 - int(started_at * 1000):015d}"


def table_key(database_uid: str, name: str) -> str:
    """The name of a table's record."""
    return f"{database_uid}{_BREAK}{name}"


def table_name(key: str) -> str:
    return key.partition(_BREAK)[2]


def version_key(table_uid: str, number: int) -> str:
    """The name of a past version's record; later ones come first."""
    return f"{table_uid}{_BREAK}{10**10 - number:011d}"


def partition_key(table_uid: str, values: list[str]) -> str:
    """The name of a partition's record, which sorts by its values and holds them all."""
    return f"{table_uid}{_BREAK}{_NEXT.join(map(_escaped, values))}"


def statistics_key(table_uid: str, values: list[str] | None, column: str) -> str:
    """The name of the record of a column's statistics, of a table or of one of its partitions."""
    return statistics_below(table_uid, values) + column


def statistics_below(table_uid: str, values: list[str] | None) -> str:
    """What the names begin with of all statistics of a table's or a partition's columns. No value of a partition is
    empty, so that two separators are in none of their names."""
    return f"{table_uid if values is None else partition_key(table_uid, values)}{_NEXT}{_NEXT}"


def partitions_below(table_uid: str, first_values: list[str]) -> str:
    """What the names begin with of all partitions that have these first values."""
    return f"{table_uid}{_BREAK}{''.join(_escaped(value) + _NEXT for value in first_values)}"


def partition_values(key: str) -> list[str]:
    """The values of a partition, from the name of its record."""
    return [_plain(part) for part in key.partition(_BREAK)[2].split(_NEXT)]


def _escaped(value: str) -> str:
    return "".join(_ESCAPES.get(character, character) for character in value)


def _plain(part: str) -> str:
    if "\\" not in part:
        return part
    back = {escape[1]: plain for plain, escape in _ESCAPES.items()}
    characters = iter(part)
    return "".join(back[next(characters)] if character == "\\" else character for character in characters)

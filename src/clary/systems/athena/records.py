"""What the room stores: executions of queries, work groups, named queries, prepared statements, data catalogs."""

from dataclasses import dataclass, field
from typing import Any

from clary.kernel.store import record

TOPIC = "athena"

QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED = "QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"
UNFINISHED = (QUEUED, RUNNING)
ENABLED, DISABLED = "ENABLED", "DISABLED"
PRIMARY = "primary"
AWS_CATALOG = "AwsDataCatalog"
HISTORY_SECONDS = 45 * 24 * 3600.0

# Between the parts of a name; no part can hold it.
_BREAK = "\n"


@record("query_execution", version=1)
@dataclass(frozen=True, slots=True)
class QueryExecution:
    """A query, from its start to 45 days after. Its status is AWS's; its parent is the name of its work group.

    `request` is what asked for it, less the work group's settings, which are in `settings` as they were then.
    `caller` is the principal who asked, as `kernel.auth.deferred` keeps it. `output` is where its results go, less the
    ending; `location` is what AWS shows as OutputLocation. Times are epoch seconds, 0 for what has not happened;
    durations are milliseconds by AWS's names, as are `statistics`. `columns` are names and Trino's types.
    """

    request: dict[str, Any]
    settings: dict[str, Any]
    caller: dict[str, Any]
    output: str
    location: str
    kind: str
    substatement: str = ""
    started: float = 0.0
    completed: float = 0.0
    reason: str = ""
    error: dict[str, Any] = field(default_factory=dict)
    statistics: dict[str, Any] = field(default_factory=dict)
    columns: list[list[str]] | None = None
    rows: dict[str, int] = field(default_factory=dict)
    update_count: int | None = None
    manifest: str = ""
    reused: bool = False
    stop: bool = False


@record("athena_table_write", version=1)
@dataclass(frozen=True, slots=True)
class TableWrite:
    """What a query is about to store of a table, by the query's id: URIs with their sizes, and how many rows they hold.

    It is kept before the first file is stored, so that whoever runs the query again knows whether it had come to its
    end, and so that all of it is removed when the query does not succeed. `values` are those of the keys that have
    files, `new` those of partitions that are to be registered; `table` is the document of a table that is to be made.
    `database` and `name` are the table's, which is Iceberg's where `iceberg` is set: there a commit makes files part of
    it. `substatement` is the statement's.
    """

    files: list[tuple[str, int]]
    rows: int
    values: list[list[str]] = field(default_factory=list)
    table: dict[str, Any] = field(default_factory=dict)
    new: list[list[str]] = field(default_factory=list)
    database: str = ""
    name: str = ""
    iceberg: bool = False
    substatement: str = ""


@record("athena_work_group", version=1)
@dataclass(frozen=True, slots=True)
class WorkGroup:
    """A work group; its status is its state. `configuration` is AWS's WorkGroupConfiguration, less EngineVersion."""

    configuration: dict[str, Any]
    description: str = ""
    engine: str = "AUTO"


@record("athena_named_query", version=1)
@dataclass(frozen=True, slots=True)
class NamedQuery:
    """A query that was saved, by its id. Its parent is the name of its work group."""

    name: str
    database: str
    query: str
    description: str = ""


@record("athena_prepared_statement", version=1)
@dataclass(frozen=True, slots=True)
class PreparedStatement:
    """A prepared statement of a work group, its parent."""

    query: str
    description: str = ""


@record("athena_data_catalog", version=1)
@dataclass(frozen=True, slots=True)
class DataCatalog:
    """A name for the Glue catalog of this account, beside AwsDataCatalog; the record's is in lower case."""

    parameters: dict[str, str]
    description: str = ""
    name: str = ""


def prepared_key(work_group: str, name: str) -> str:
    """The name of a prepared statement's record."""
    return f"{work_group}{_BREAK}{name}"


def prepared_name(key: str) -> str:
    return key.partition(_BREAK)[2]

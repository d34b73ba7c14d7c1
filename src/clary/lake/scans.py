"""What a query reads of a table, as it is handed to an engine: which files, how they are read, which columns."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from clary.lake.tables import Column


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file of a table: where the engine finds its bytes, and the S3 URI that `"$path"` shows.

    `partition` is the place, among those of the scan, of the partition that it belongs to. `version` changes whenever
    its bytes do. `deletes` are the files, as the engine finds them, in which Iceberg says which of its rows are gone.
    """

    path: str
    uri: str
    size_bytes: int
    partition: int = 0
    version: str = ""
    modified_at: float = 0.0
    deletes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScanPartition:
    """Files that are read alike: the values of the keys as texts (None for NULL), the format, and its own columns."""

    values: tuple[str | None, ...] = ()
    format: str = ""
    serde: Mapping[str, str] = field(default_factory=dict)
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True, slots=True)
class Scan:
    """A relation for SQL to name: the files of a table that may hold rows which a query asks for.

    Its columns are `columns` and then `keys`, by the table's names and types, whatever the files hold; a column that a
    file lacks is NULL. `used` are the names that the query reads (`$path` among them when it is asked for): an engine
    reads no other. A scan with `sql` is read by that alone: a query of DuckDB over its files, for those columns.
    """

    name: str
    columns: tuple[Column, ...]
    keys: tuple[Column, ...] = ()
    partitions: tuple[ScanPartition, ...] = ()
    files: tuple[DataFile, ...] = ()
    used: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    sql: str = ""

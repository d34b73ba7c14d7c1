"""A file read as a table, for tests: its rows, or how it failed."""

from pathlib import Path
from typing import Any

import duckdb

from clary.lake.engine.tasks import TaskFailed
from clary.lake.formats.parts import BytesRead
from clary.lake.formats.reading import failure_of, over
from clary.lake.scans import DataFile, Scan, ScanPartition
from clary.lake.tables import Column
from clary.lake.types import parse_type


def columns_of(text: str) -> tuple[Column, ...]:
    """Columns from `a int; b array<int>`."""
    return tuple(Column(*_pair(each.strip())) for each in text.split(";"))


def _pair(text: str) -> tuple[str, Any]:
    name, _, kind = text.partition(" ")
    return name, parse_type(kind)


def scan_of(paths: list[Path], columns: str, format_: str, serde: dict[str, str] | None = None, **given: Any) -> Scan:
    made = columns_of(columns)
    given.setdefault("used", tuple(column.name for column in made))
    given.setdefault("partitions", (ScanPartition((), format_, serde or {}, ()),))
    files = tuple(DataFile(str(path), f"s3://lake/{path.name}", path.stat().st_size) for path in paths)
    return Scan("scan_0", made, files=files, **given)


def rows_of(scan: Scan, sql: str = "SELECT * FROM scan_0") -> list[tuple[Any, ...]]:
    """The rows, each read twice, as a query may. Raises TaskFailed as an engine does."""
    connection, read = duckdb.connect(), BytesRead()
    try:
        query = over(connection, sql, [scan], read)
        rows: list[tuple[Any, ...]] = connection.execute(query).fetchall()
        assert repr(connection.execute(query).fetchall()) == repr(rows)
    except duckdb.Error as error:
        raise failure_of(error, [scan], read) or error from None
    return rows


def fails(scan: Scan) -> tuple[str, str]:
    try:
        rows_of(scan)
    except TaskFailed as failed:
        return failed.code, failed.message
    raise AssertionError("it did not fail")

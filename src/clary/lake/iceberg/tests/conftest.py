"""A catalog and a bucket of a platform in the test's own process, and DuckDB to read what scans say."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyiceberg")

import duckdb

from clary.kernel.rooms import Platform
from clary.kernel.rooms.tests.in_process import ACCOUNT, REGION, Caller
from clary.lake.iceberg.acting import ContextAccess
from clary.lake.iceberg.creating import PartitionBy, create, new_metadata, schema_of, spec_of
from clary.lake.iceberg.reading import scan_of
from clary.lake.iceberg.tables import IcebergTable, load
from clary.lake.tables import Column
from clary.lake.types import parse_type

BUCKET, DATABASE = "lake", "db"


class Lake:
    """Tables of one database, changed and read as a room does."""

    def __init__(self, access: ContextAccess) -> None:
        self.access = access

    def create(self, name: str, columns: str, *keys: PartitionBy, **properties: str) -> IcebergTable:
        schema = schema_of([Column(*_pair(each)) for each in columns.split(";")])
        metadata = new_metadata(schema, spec_of(schema, keys), f"s3://{BUCKET}/{name}", properties)
        return create(self.access, DATABASE, name, metadata)

    def load(self, name: str) -> IcebergTable:
        return load(self.access, DATABASE, name)

    def rows(self, name: str, select: str = "*", **how: Any) -> list[tuple[Any, ...]]:
        """What DuckDB reads of a table, in order."""
        scan = scan_of(self.load(name), "t", **how)
        with duckdb.connect() as connection:
            connection.execute(f"CREATE VIEW t AS {scan.sql}")
            found: list[tuple[Any, ...]] = connection.execute(f"SELECT {select} FROM t").fetchall()
        return sorted(found, key=repr)


@pytest.fixture
def lake(platform: Platform, caller: Caller, tmp_path: Path) -> Lake:
    caller("s3")("CreateBucket", Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    caller("glue")("CreateDatabase", DatabaseInput={"Name": DATABASE})
    folder = tmp_path / "query"
    folder.mkdir()
    return Lake(ContextAccess(platform.acting_as_root(ACCOUNT, REGION, "glue", "GetTable"), folder))


def _pair(text: str) -> tuple[str, Any]:
    name, _, of = text.strip().partition(" ")
    return name, parse_type(of)

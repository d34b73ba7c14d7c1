"""pyiceberg and Clary write one table by turns, and each reads what the other wrote."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pa = pytest.importorskip("pyarrow")
glue = pytest.importorskip("pyiceberg.catalog.glue")

import duckdb  # noqa: E402
from pyiceberg.types import LongType  # noqa: E402

from clary.kernel.core.ids import new_uuid  # noqa: E402
from clary.lake.iceberg.appending import Note, append  # noqa: E402
from clary.lake.iceberg.changing import ROW, changed_rows  # noqa: E402
from clary.lake.iceberg.commits import change  # noqa: E402
from clary.lake.iceberg.files import output_of  # noqa: E402
from clary.lake.iceberg.planning import plan  # noqa: E402
from clary.lake.iceberg.reading import scan_of, scan_of_files  # noqa: E402
from clary.lake.iceberg.tables import load  # noqa: E402
from clary.lake.iceberg.writing import write  # noqa: E402
from clary.systems.athena.tests.lake_running import ServerRunning  # noqa: E402
from clary.testing import Server  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


def test_each_reads_what_the_other_wrote(server: Server, unique: Callable[[str], str], tmp_path: Path) -> None:
    bucket, database = unique("lake"), unique("ice").replace("-", "_").lower()
    server.client("s3").create_bucket(Bucket=bucket)
    where = {"client.access-key-id": server.access_key, "client.secret-access-key": server.secret}
    place = {"client.region": "us-east-1", "glue.endpoint": server.endpoint, "s3.endpoint": server.endpoint}
    catalog = glue.GlueCatalog("clary", **where, **place, warehouse=f"s3://{bucket}")
    catalog.create_namespace(database)
    access = ServerRunning(server, tmp_path)
    of = (database, "events")
    rows = pa.table({"id": pa.array(range(5), pa.int64()), "name": ["a", "b", None, "d", "e"]})
    catalog.create_table(of, rows.schema).append(rows)

    def ours(select: str = "*") -> list[tuple[Any, ...]]:
        with duckdb.connect() as connection:
            connection.execute(f"CREATE VIEW t AS {scan_of(load(access, *of), 't').sql}")
            return sorted(connection.execute(f"SELECT {select} FROM t").fetchall())

    def theirs() -> list[int]:
        return sorted(catalog.load_table(of).scan().to_arrow().column("id").to_pylist())

    def change_rows(select: str, *, updates: bool) -> None:
        table = load(access, *of)
        snapshot = table.metadata.current_snapshot()
        planned = plan(table, snapshot)
        scan = scan_of_files(table, "t", planned, schema=table.schema, used=ROW)
        with duckdb.connect() as connection:
            connection.execute(f"CREATE VIEW t AS {scan.sql}")
            _, files = write(connection, select, output_of(table, new_uuid(), changes=True), table.io.fresh())
        made = changed_rows(access, table, planned, files, snapshot=snapshot, updates=updates, summary={})
        change(access, *of, made)

    assert ours("id") == [(number,) for number in range(5)]
    append(access, *of, pa.table({"id": [5], "name": ["f"]}), Note("writer", 1))
    assert theirs() == [0, 1, 2, 3, 4, 5]
    catalog.load_table(of).delete("id = 0")
    change_rows("""SELECT 'D', "$file", "$uri", "$pos", NULL, NULL FROM t WHERE id IN (1, 5)""", updates=False)
    assert [row[0] for row in ours("id")] == theirs() == [2, 3, 4]
    with catalog.load_table(of).update_schema() as update:
        update.rename_column("name", "title")
        update.add_column("count", LongType())
    change_rows("""SELECT 'U', "$file", "$uri", "$pos", id + 10, 'x', 7 FROM t WHERE id = 3""", updates=True)
    assert ours("id, title, count") == [(2, None, None), (4, "e", None), (13, "x", 7)]
    assert theirs() == [2, 4, 13]
    found = catalog.load_table(of).scan(row_filter="count = 7").to_arrow().to_pylist()
    assert found == [{"id": 13, "title": "x", "count": 7}]
    catalog.load_table(of).append(pa.table({"id": pa.array([99], pa.int64())}))
    assert [row[0] for row in ours("id")] == theirs() == [2, 4, 13, 99]

"""Rows of Iceberg tables are inserted, deleted, updated, merged and read back, by statements as users write them."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyiceberg")

import duckdb

from clary.kernel.core.ids import new_id, new_uuid
from clary.lake.engine.tasks import IcebergFiles, Task, TaskFailed, TaskResult
from clary.lake.engine.trino.setup import prepare
from clary.lake.formats.reading import over
from clary.lake.iceberg.writing import write
from clary.systems.athena.contract import StatementFailed
from clary.systems.athena.language.parsing import parse
from clary.systems.athena.performers import performer
from clary.systems.athena.running.plans import planned
from clary.systems.athena.tests.lone import Lone

Rows = list[tuple[Any, ...]]


class Asked(Lone):
    """One whose engine is a connection of the test's own process. Each statement is a run of its own."""

    def run(self, task: Task) -> TaskResult:
        assert isinstance(task.output, IcebergFiles)
        with duckdb.connect() as connection:
            prepare(connection)
            rows, files = write(
                connection, over(connection, task.sql, task.scans), task.output, Path(self.folder) / new_id()
            )
        return TaskResult(rows, 0, tuple(files))

    def again(self, execution_id: str = "") -> "Asked":
        """Another statement; the same one, that runs again, where an id is given."""
        other = Asked(self._platform, self.folder)
        other.execution_id = execution_id or new_uuid()
        return other

    def do(self, text: str) -> int | None:
        statement, other = parse(text), self.again()
        return performer(statement)(other, statement).update_count

    def select(self, text: str) -> Rows:
        """The rows of a query, in order."""
        plan = planned(self.again(), parse(text).tree)
        with duckdb.connect() as connection:
            prepare(connection)
            found: Rows = connection.execute(over(connection, plan.sql, plan.scans)).fetchall()
        return sorted(found, key=repr)

    def files(self, text: str) -> int:
        """How many files a query reads of its first table."""
        return len(planned(self.again(), parse(text).tree).scans[0].files)


@pytest.fixture
def lake(platform, caller, tmp_path):
    caller("s3")("CreateBucket", Bucket="data", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    running = Asked(platform, tmp_path / "query")
    running.do("CREATE DATABASE db")
    running.do(
        "CREATE TABLE stock (item string, count int, price decimal(9,2), at timestamp) PARTITIONED BY (item) "
        "LOCATION 's3://data/stock' TBLPROPERTIES ('table_type'='ICEBERG')"
    )
    return running


def refused(lake: Asked, text: str) -> str:
    with pytest.raises((StatementFailed, TaskFailed)) as failed:
        lake.do(text)
    return str(failed.value)


def filled(lake: Asked) -> None:
    assert lake.do(
        "INSERT INTO stock VALUES ('apple', 1, 1.50, TIMESTAMP '2024-01-01 10:00:00.123456'), "
        "('pear', 2, 2.50, NULL), ('fig', 3, NULL, NULL)"
    ) == 3  # fmt: skip


def test_rows_are_inserted_and_read(lake):
    filled(lake)
    assert lake.do("INSERT INTO stock (count, item) SELECT count + 10, item FROM stock WHERE count < 3") == 2
    assert lake.do("INSERT INTO stock SELECT * FROM stock WHERE false") == 0
    assert lake.select("SELECT item, count, CAST(price AS varchar), CAST(at AS varchar) FROM stock") == [
        ("apple", 1, "1.50", "2024-01-01 10:00:00.123456"),
        ("apple", 11, None, None),
        ("fig", 3, None, None),
        ("pear", 12, None, None),
        ("pear", 2, "2.50", None),
    ]
    assert lake.files("SELECT count FROM stock WHERE item = 'apple'") == 2
    assert lake.files("SELECT count FROM stock WHERE count BETWEEN 11 AND 20") == 2
    assert lake.files("SELECT count FROM stock WHERE count > 100") == 0
    paths = lake.select("""SELECT "$path" FROM stock WHERE item = 'fig'""")
    assert paths[0][0].startswith("s3://data/stock/data/item=fig/")
    assert lake.select("SELECT count(*), sum(s.count) FROM stock s JOIN stock t USING (item)") == [(9, 55)]
    for text, message in (
        ("INSERT INTO stock SELECT 1, 'x', NULL, NULL", "Insert query has mismatched column types: Table: [varchar, "),
        ("INSERT INTO stock (item, nothing) SELECT 'a', 1", "does not exist in target table: nothing"),
        ("INSERT INTO stock (item, item) SELECT 'a', 'b'", "specified more than once: item"),
        ("INSERT INTO nothing SELECT 1", "TABLE_NOT_FOUND"),
    ):
        assert message in refused(lake, text)


def test_rows_are_deleted_and_updated(lake):
    filled(lake)
    assert (
        lake.do("UPDATE stock SET count = count + 1, price = CAST(9 AS decimal(9,2)) WHERE item IN ('pear', 'fig')")
        == 2
    )
    assert lake.do("UPDATE stock s SET item = upper(s.item) WHERE s.count = (SELECT max(count) FROM stock)") == 1
    assert lake.select("SELECT item, count, CAST(price AS varchar) FROM stock") == [
        ("FIG", 4, "9.00"), ("apple", 1, "1.50"), ("pear", 3, "9.00"),
    ]  # fmt: skip
    assert lake.do("DELETE FROM stock WHERE price < 5 OR item = 'none'") == 1
    assert lake.do("DELETE FROM stock WHERE count > 100") == 0
    assert lake.select("SELECT item FROM stock") == [("FIG",), ("pear",)]
    assert lake.do("DELETE FROM stock") == 2
    assert lake.select("SELECT * FROM stock") == []
    assert lake.select('SELECT count(*) FROM "stock$snapshots"') == [(5,)]
    for text, message in (
        ("UPDATE stock SET nothing = 1", "target column nothing doesn't exist"),
        ("UPDATE stock SET count = 'x'", "TYPE_MISMATCH"),
        ("UPDATE stock SET count = 1, count = 2", "assigned more than once"),
        ("DELETE FROM stock WHERE nothing = 1", "COLUMN_NOT_FOUND"),
    ):
        assert message in refused(lake, text)


MERGE = """MERGE INTO stock t USING (VALUES ('apple', 5), ('pear', 0), ('kiwi', 7), ('nut', -1)) AS s(item, count)
ON t.item = s.item
WHEN MATCHED AND s.count = 0 THEN DELETE
WHEN MATCHED THEN UPDATE SET count = t.count + s.count, at = current_timestamp
WHEN NOT MATCHED AND s.count > 0 THEN INSERT (item, count) VALUES (s.item, s.count)"""


def test_rows_are_merged(lake):
    filled(lake)
    assert "TYPE_MISMATCH" in refused(lake, MERGE)
    assert lake.do(MERGE.replace("current_timestamp", "CAST(NULL AS timestamp)")) == 3
    assert lake.select("SELECT item, count, CAST(price AS varchar) FROM stock") == [
        ("apple", 6, "1.50"), ("fig", 3, None), ("kiwi", 7, None),
    ]  # fmt: skip
    twice = "MERGE INTO stock USING (VALUES 1, 2) s(n) ON true WHEN MATCHED THEN DELETE"
    assert "One MERGE target table row matched more than one source row" in refused(lake, twice)
    assert lake.do("MERGE INTO stock t USING stock s ON t.item = s.item WHEN MATCHED AND t.count > 3 THEN DELETE") == 2
    assert lake.select("SELECT item FROM stock") == [("fig",)]


def test_a_statement_that_runs_again_commits_once(lake):
    filled(lake)
    for text, count in (
        ("INSERT INTO stock SELECT 'new', 1, NULL, NULL", 1),
        ("UPDATE stock SET count = count + 1", 4),
        ("DELETE FROM stock WHERE item = 'new'", 1),
        ("CREATE TABLE copied WITH (table_type='ICEBERG', is_external=false, location='s3://data/copied') AS "
         "SELECT * FROM stock", 3),
    ):  # fmt: skip
        execution = new_uuid()
        for _ in range(2):
            statement = parse(text)
            assert performer(statement)(lake.again(execution), statement).update_count == count
    assert lake.select("SELECT item, count FROM stock") == [("apple", 2), ("fig", 4), ("pear", 3)]
    assert lake.select("SELECT item, count FROM copied") == [("apple", 2), ("fig", 4), ("pear", 3)]


def test_tables_are_made_of_queries(lake):
    filled(lake)
    made = lake.do(
        "CREATE TABLE made WITH (table_type = 'ICEBERG', is_external = false, location = 's3://data/made/', "
        "format = 'PARQUET', write_compression = 'GZIP', "
        "partitioning = ARRAY['bucket(item, 4)', 'month(at)', 'day']) AS "
        "SELECT item, count, at, date '2024-05-06' AS day, "
        "ARRAY[CAST(ROW(1, 'x') AS ROW(n integer, t varchar))] AS pairs, MAP(ARRAY['a'], ARRAY[1]) AS m, "
        "TIMESTAMP '2024-01-01 12:00:00 Europe/Berlin' AS zoned, 1.5e0 AS ratio FROM stock"
    )
    assert made == 3
    values = lake.select("SELECT item, CAST(day AS varchar), m['a'], pairs[1].t, CAST(zoned AS varchar) FROM made")
    assert values[0] == (
        "apple", "2024-05-06", 1, "x", "2024-01-01 11:00:00.000000 UTC",
    )  # fmt: skip
    shown = lake.again().rows("SHOW CREATE TABLE made")
    assert "PARTITIONED BY (bucket(4, `item`), month(`at`), `day`)" in shown
    assert "  'write_compression'='gzip'" in shown
    partitions = lake.select("""SELECT partition.day, record_count FROM "made$partitions" """)
    assert sum(count for _, count in partitions) == 3
    assert lake.do("UPDATE made SET zoned = TIMESTAMP '2024-06-01 00:00:00 UTC' WHERE zoned < current_timestamp") == 3
    again = "CREATE TABLE made WITH (table_type='ICEBERG', is_external=false, location='s3://data/x') AS SELECT 1 a"
    assert "TABLE_ALREADY_EXISTS" in refused(lake, again)
    for text, message in (
        (again.replace(", location='s3://data/x'", "").replace("made", "t"), "Table location can not be null"),
        (again.replace("is_external=false, ", "").replace("made", "t"), "is_external"),
        (again.replace("1 a", "1").replace("made", "t"), "Column name not specified at position 1"),
        (again.replace("1 a", "CAST(1 AS tinyint) a").replace("made", "t"), "Type not supported for Iceberg: tinyint"),
        (again.replace("1 a", "NULL a").replace("made", "t"), "Column type is unknown"),
    ):
        assert message in refused(lake, text)


def test_a_table_is_read_as_it_was(lake):
    filled(lake)
    first = lake.select("""SELECT snapshot_id, to_unixtime(committed_at) FROM "stock$snapshots" """)[0]
    lake.do("DELETE FROM stock WHERE item = 'fig'")
    assert lake.select("SELECT count(*) FROM stock") == [(2,)]
    assert lake.select(f"SELECT count(*) FROM stock FOR VERSION AS OF {first[0]}") == [(3,)]
    assert lake.select("SELECT count(*) FROM stock FOR VERSION AS OF 'main'") == [(2,)]
    assert lake.select("SELECT count(*) FROM stock FOR TIMESTAMP AS OF current_timestamp") == [(2,)]
    for text, message in (
        ("SELECT * FROM stock FOR VERSION AS OF 7", "Iceberg snapshot ID does not exists: 7"),
        ("SELECT * FROM stock FOR VERSION AS OF 'none'", "Cannot find snapshot with reference name: none"),
        ("SELECT * FROM stock FOR TIMESTAMP AS OF TIMESTAMP '2000-01-01 00:00:00 UTC'", "No version history table"),
    ):
        with pytest.raises(StatementFailed) as failed:
            lake.select(text)
        assert message in str(failed.value)


def test_tables_are_kept_up(lake):
    for number in range(6):
        lake.do(f"INSERT INTO stock VALUES ('a', {number}, NULL, NULL), ('b', {number}, NULL, NULL)")
    lake.do("DELETE FROM stock WHERE count = 0")
    assert lake.files("SELECT * FROM stock") == 10
    lake.do("OPTIMIZE stock REWRITE DATA USING BIN_PACK WHERE item = 'a'")
    assert lake.files("SELECT * FROM stock") == 6
    lake.do("OPTIMIZE stock REWRITE DATA USING BIN_PACK")
    assert lake.files("SELECT * FROM stock") == 2
    assert lake.select("SELECT item, sum(count) FROM stock GROUP BY 1") == [("a", 15), ("b", 15)]
    assert "item is none" not in refused(lake, "OPTIMIZE stock REWRITE DATA USING BIN_PACK WHERE count = 1")
    lake.do("VACUUM stock")
    assert lake.select('SELECT count(*) FROM "stock$snapshots"') == [(9,)]

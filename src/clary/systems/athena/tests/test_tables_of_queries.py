"""Tables, files and views that queries make: what is written, what is read again, and what a kill in between leaves."""

import base64
import contextlib
import itertools
from dataclasses import replace
from typing import Any

import orjson
import pytest

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms.tests.in_process import ACCOUNT, REGION
from clary.systems.athena.records import CANCELLED, RUNNING, QueryExecution, TableWrite
from clary.systems.athena.running.drive import drive
from clary.systems.athena.running.run import Limits, Run
from clary.systems.athena.tests.lone import Killed, document, refused

pytest.importorskip("duckdb")


def test_a_table_is_made_of_a_query(lone):
    done = lone.perform(
        "CREATE TABLE t COMMENT 'c' WITH (format = 'ORC', partitioned_by = ARRAY['k'], write_compression = 'SNAPPY') "
        "AS SELECT * FROM (VALUES (1, 'x', 'a b'), (2, NULL, 'c/d'), (3, 'z', NULL)) AS v(id, n, k)"
    )
    location = f"s3://data/out/tables/{lone.execution_id}"
    assert done.update_count == 3
    assert list(done.manifest) == lone.uris("out/tables/")
    assert [uri.removeprefix(location).rpartition("/")[0] for uri in done.manifest] == [
        "/k=__HIVE_DEFAULT_PARTITION__", "/k=a b", "/k=c%2Fd"
    ]  # fmt: skip
    table = document(lone, "t")
    assert table["StorageDescriptor"]["Location"] == location
    assert table["StorageDescriptor"]["Columns"] == [{"Name": "id", "Type": "int"}, {"Name": "n", "Type": "varchar(1)"}]
    assert table["PartitionKeys"] == [{"Name": "k", "Type": "varchar(3)"}]
    expected = {"classification": "orc", "write.compression": "SNAPPY", "EXTERNAL": "TRUE", "comment": "c"}
    assert expected.items() <= table["Parameters"].items()
    rows = [["1", "x", "a b"], ["2", "", "c/d"], ["3", "z", ""]]
    assert lone.select("SELECT * FROM t ORDER BY id") == rows
    assert lone.select("SELECT id FROM t WHERE k = 'c/d'") == [["2"]]

    lone.perform("CREATE TABLE IF NOT EXISTS t AS SELECT 1 a")
    lone.perform("CREATE TABLE empty WITH (format = 'AVRO') AS SELECT * FROM t WITH NO DATA")
    assert lone.select("SELECT * FROM empty") == []
    made = lone.perform(
        "CREATE TABLE b (one, two) WITH (format = 'TEXTFILE', field_delimiter = '|', bucketed_by = ARRAY['one'], "
        "bucket_count = 3, external_location = 's3://data/b/') AS SELECT id, n FROM t"
    )
    assert len(made.manifest) == 3
    descriptor = document(lone, "b")["StorageDescriptor"]
    assert (descriptor["NumberOfBuckets"], descriptor["BucketColumns"]) == (3, ["one"])
    assert descriptor["SerdeInfo"]["Parameters"] == {"field.delim": "|", "serialization.format": "|"}
    assert lone.select("SELECT two, one FROM b ORDER BY one") == [["x", "1"], ["", "2"], ["z", "3"]]
    for text, error in {
        "CREATE TABLE t AS SELECT 1 a": "TABLE_ALREADY_EXISTS: line 1:1: Destination table 'awsdatacatalog.db.t'",
        "CREATE TABLE nope.t AS SELECT 1 a": "SCHEMA_NOT_FOUND: line 1:1: Schema 'nope' does not exist",
        "CREATE TABLE u AS SELECT 1": "MISSING_COLUMN_NAME: line 1:1: Column name not specified at position 1",
        "CREATE TABLE u AS SELECT 1 a, 2 A": "DUPLICATE_COLUMN_NAME: line 1:1: Column name 'a' specified more than",
        "CREATE TABLE u AS SELECT NULL a": "COLUMN_TYPE_UNKNOWN: line 1:1: Column type is unknown at position 1",
        "CREATE TABLE u AS SELECT ROW(1) a": "give each field of a row a name",
        "CREATE TABLE u (a) AS SELECT 1, 2": "Column alias list has 1 entries but relation has 2 columns",
        "CREATE TABLE u WITH (format = 'CSV') AS SELECT 1 a": "format 'CSV' is not supported",
        "CREATE TABLE u WITH (nope = 1) AS SELECT 1 a": "table property 'nope' does not exist",
        "CREATE TABLE u WITH (bucket_count = 2) AS SELECT 1 a": "bucketed_by and bucket_count are set together",
        "CREATE TABLE u WITH (partitioned_by = ARRAY['a']) AS SELECT 1 a": "Table contains only partition columns",
        "CREATE TABLE u WITH (partitioned_by = ARRAY['a']) AS SELECT 1 a, 2 b": "HIVE_COLUMN_ORDER_MISMATCH",
        "CREATE TABLE u WITH (write_compression = 'NOPE') AS SELECT 1 a": "NOPE is no compression of parquet files",
        "CREATE TABLE u WITH (external_location = 's3://data/b') AS SELECT 1 a": "HIVE_PATH_ALREADY_EXISTS: Target dir",
    }.items():
        assert error in refused(lone, text), text
    many = ", ".join(f"({number}, {number})" for number in range(101))
    error = refused(lone, f"CREATE TABLE u WITH (partitioned_by = ARRAY['k']) AS SELECT * FROM (VALUES {many}) v(a, k)")
    assert "HIVE_TOO_MANY_OPEN_PARTITIONS: Exceeded limit of 100 open writers" in error
    lone.enforced = True
    error = refused(lone, "CREATE TABLE u WITH (external_location = 's3://data/u') AS SELECT 1 a")
    assert "external_location cannot be chosen in the work group primary" in error


def test_rows_are_inserted(lone):
    lone.perform(
        "CREATE EXTERNAL TABLE t (a double, r struct<f:int,g:string>, c varchar(2)) PARTITIONED BY (k int) "
        "ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe' LOCATION 's3://data/t/'"
    )
    lone.perform("ALTER TABLE t ADD PARTITION (k = 1) LOCATION 's3://data/far/'")
    done = lone.perform("INSERT INTO t VALUES (1, ROW(5, 'x'), 'ab', 1), (2, NULL, 'c', 2)")
    assert done.update_count == 2
    assert [uri.rpartition("/")[0] for uri in done.manifest] == ["s3://data/far", "s3://data/t/k=2"]
    lone.perform("INSERT INTO t (k, a) WITH w AS (SELECT 3 x) SELECT x, a FROM w, t WHERE a < 2")
    assert lone.rows("SHOW PARTITIONS t") == ["k=1", "k=2", "k=3"]
    assert lone.select("SELECT a, r.g, c, k FROM t ORDER BY k") == [
        ["1.0", "x", "ab", "1"], ["2.0", "", "c", "2"], ["1.0", "", "", "3"]
    ]  # fmt: skip
    lone.perform("CREATE VIEW v AS SELECT 1 a")
    for text, error in {
        "INSERT INTO t SELECT 'x', NULL, 'a', 1": "Table: [double, row(f integer, g varchar), varchar(2), integer], "
        "Query: [varchar(1), unknown, varchar(1), integer]",
        "INSERT INTO t (a) SELECT 1, 2": "TYPE_MISMATCH: line 1:1: Insert query has mismatched column types",
        "INSERT INTO t (nope) SELECT 1": "Insert column name does not exist in target table: nope",
        "INSERT INTO nope SELECT 1": "TABLE_NOT_FOUND: line 1:1: Table 'awsdatacatalog.db.nope' does not exist",
        "INSERT INTO v SELECT 1": "Inserting into views is not supported",
    }.items():
        assert error in refused(lone, text), text


def test_a_query_is_unloaded(lone):
    done = lone.perform(
        "UNLOAD (SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS v(x, k)) TO 's3://data/unloaded' "
        "WITH (format = 'JSON', compression = 'NONE', partitioned_by = ARRAY['k'])"
    )
    assert list(done.manifest) == lone.uris("unloaded/")
    assert [uri.rpartition("/")[0] for uri in done.manifest] == ["s3://data/unloaded/k=a", "s3://data/unloaded/k=b"]
    again = "UNLOAD (SELECT 1 a) TO 's3://data/unloaded/' WITH (format = 'ORC')"
    assert "HIVE_PATH_ALREADY_EXISTS: Target directory already exists: s3://data/unloaded" in refused(lone, again)
    assert "'format' is required" in refused(lone, "UNLOAD (SELECT 1 a) TO 's3://data/x/'")
    assert lone.perform("UNLOAD (SELECT 1) TO 's3://data/x/' WITH (format = 'PARQUET')").update_count == 1


@pytest.mark.parametrize(
    ("text", "folder", "forget"),
    [
        (
            "CREATE TABLE new WITH (partitioned_by = ARRAY['k']) AS SELECT * FROM source",
            "out/tables/",
            "DROP TABLE new",
        ),
        ("INSERT INTO target SELECT a + 10, k FROM source", "target/", "ALTER TABLE target DROP PARTITION (k <> '')"),
        (
            "UNLOAD (SELECT * FROM source) TO 's3://data/to/' WITH (format = 'JSON', partitioned_by = ARRAY['k'])",
            "to/",
            "DROP TABLE IF EXISTS nothing",
        ),
    ],
)
def test_what_is_killed_and_runs_again_writes_once(lone, text, folder, forget):
    """Kill the statement before each thing that it does to the world, run it again, and look."""
    lone.perform("CREATE VIEW source AS SELECT * FROM (VALUES (1, 'a'), (2, 'b'), (3, 'b')) AS v(a, k)")
    lone.perform("CREATE EXTERNAL TABLE target (a int) PARTITIONED BY (k string) LOCATION 's3://data/target/'")
    for lives in itertools.count():
        lone.lives = lives
        killed, done = False, None
        try:
            done = lone.perform(text)
        except Killed:
            killed = True
        lone.lives = None
        if done is None:
            done = lone.perform(text, again=lone.execution_id)
        assert done.update_count == 3
        assert sorted(done.manifest) == lone.uris(folder)
        assert len(done.manifest) == 2
        if "UNLOAD" not in text:
            assert lone.rows(f"SHOW PARTITIONS {'new' if 'new' in text else 'target'}") == ["k=a", "k=b"]
        if not killed:
            assert lives >= 5
            return
        lone.perform(forget)
        lone.delete(lone.uris(folder))


@pytest.mark.parametrize("all_stored", [False, True])
def test_what_is_stopped_while_it_is_cut_off_is_undone(lone, platform, caller, all_stored):
    lone.perform("CREATE EXTERNAL TABLE t (a int) PARTITIONED BY (k string) LOCATION 's3://data/t/'")
    text = "INSERT INTO t VALUES (1, 'a'), (2, 'b')"
    athena, where = caller("athena"), {"OutputLocation": "s3://data/out/"}
    name = athena(
        "StartQueryExecution",
        QueryString=text,
        QueryExecutionContext={"Database": "db"},
        ResultConfiguration=where,
    )["QueryExecutionId"]
    for lives in itertools.count():
        lone.lives = lives
        with contextlib.suppress(Killed):
            lone.perform(text, again=name)
        lone.lives = None
        if len(lone.uris("t/")) == 1 + all_stored or lives == 30:
            break
        lone.delete(lone.uris("t/"))
        platform.records(TableWrite).within(ACCOUNT, REGION).delete(name)
    assert len(lone.uris("t/")) == 1 + all_stored
    table = platform.records(QueryExecution).within(ACCOUNT, REGION)
    entry = table.get(name)
    entry = table.replace(entry, replace(entry.value, stop=True), status=RUNNING)
    about = {"catalog": "awsdatacatalog", "database": "db", "output": entry.value.output, "work_group": "primary"}
    limits = {"execution_id": name, "settings": entry.value.settings, "ends_at": platform.clock.monotonic() + 60}
    drive(platform, entry, lambda ctx, _: Run(ctx, None, Limits(1 << 30, 1), **about, **limits))
    assert table.get(name).status == CANCELLED
    assert (lone.uris("t/"), lone.rows("SHOW PARTITIONS t")) == ([], [])


def test_a_table_that_the_catalog_refuses_leaves_no_files(lone, monkeypatch):
    call = lone.call

    def refusing(operation: str, **params: Any) -> dict[str, Any]:
        if operation == "BatchCreatePartition":
            raise AwsError("AccessDeniedException", "no")
        return call(operation, **params)

    monkeypatch.setattr(lone, "call", refusing)
    for text in (
        "CREATE TABLE t WITH (partitioned_by = ARRAY['k']) AS SELECT 1 a, 2 k",
        "INSERT INTO u SELECT 1, 2",
    ):
        lone.perform("CREATE EXTERNAL TABLE IF NOT EXISTS u (a int) PARTITIONED BY (k int) LOCATION 's3://data/u'")
        with pytest.raises(AwsError):
            lone.perform(text)
    assert lone.rows("SHOW TABLES") == ["u"]
    assert lone.uris("") == []


def test_views_stand_for_their_queries(lone):
    lone.perform("CREATE TABLE t AS SELECT * FROM (VALUES (1, 'x'), (2, 'y')) AS v(a, b)")
    lone.perform("CREATE VIEW v AS SELECT b, a FROM t -- all\nWHERE a > 0")
    kept = document(lone, "v")
    assert (kept["TableType"], kept["ViewExpandedText"]) == ("VIRTUAL_VIEW", "/* Presto View */")
    assert kept["StorageDescriptor"]["Columns"] == [{"Name": "b", "Type": "varchar(1)"}, {"Name": "a", "Type": "int"}]
    text = kept["ViewOriginalText"].removeprefix("/* Presto View: ").removesuffix(" */")
    assert orjson.loads(base64.b64decode(text)) == {
        "originalSql": "SELECT b, a FROM t -- all\nWHERE a > 0",
        "catalog": "awsdatacatalog",
        "schema": "db",
        "columns": [{"name": "b", "type": "varchar(1)"}, {"name": "a", "type": "integer"}],
    }
    assert lone.rows("SHOW CREATE VIEW v") == ["CREATE VIEW db.v AS ", "SELECT b, a FROM t -- all", "WHERE a > 0"]
    assert lone.rows("DESCRIBE VIEW v") == ["b\tvarchar(1)\t\t", "a\tinteger\t\t"]
    lone.perform("CREATE DATABASE other")
    # The names in a view are those of the database that it was made in.
    lone.perform(
        "CREATE VIEW other.w AS WITH t AS (SELECT * FROM v) SELECT t.a + 1 AS c, n.* FROM t JOIN v n ON n.a = t.a"
    )
    lone.database = "other"
    assert lone.select("SELECT c, b FROM w AS x WHERE x.a = 2") == [["3", "y"]]
    assert lone.select("WITH w AS (SELECT 9 AS c) SELECT c FROM w") == [["9"]]
    lone.database = "db"
    assert lone.rows("SHOW TABLES") == ["t", "v"]
    assert lone.rows("SHOW VIEWS IN other") == ["w"]

    assert "View already exists: 'awsdatacatalog.db.v'" in refused(lone, "CREATE VIEW v AS SELECT 1 a")
    assert "Table already exists: 'awsdatacatalog.db.t'" in refused(lone, "CREATE OR REPLACE VIEW t AS SELECT 1 a")
    assert "MISSING_COLUMN_NAME" in refused(lone, "CREATE VIEW u AS SELECT 1")
    assert "TABLE_NOT_FOUND" in refused(lone, "CREATE VIEW u AS SELECT * FROM nope")
    assert "Use DROP VIEW" in refused(lone, "DROP TABLE v")
    assert "is a table, not a view" in refused(lone, "DROP VIEW t")
    assert "VIEW_IS_RECURSIVE: line 1:43" in refused(lone, "CREATE OR REPLACE VIEW v AS SELECT * FROM other.w")
    lone.perform("CREATE OR REPLACE VIEW v AS SELECT 'z' AS b, 7 AS a")
    assert lone.select("SELECT * FROM v") == [["z", "7"]]
    lone.perform("CREATE OR REPLACE VIEW v AS SELECT * FROM t")
    lone.perform("ALTER TABLE t CHANGE a a bigint")
    error = refused(lone, "SELECT * FROM v")
    assert "VIEW_IS_STALE: line 1:15: View 'awsdatacatalog.db.v' is stale or in invalid state: column [a] of" in error
    lone.perform("DROP TABLE t")
    assert "INVALID_VIEW: line 1:15: Failed analyzing stored view 'awsdatacatalog.db.v': " in refused(
        lone, "SELECT * FROM v"
    )
    lone.perform("DROP VIEW v")
    lone.perform("DROP VIEW IF EXISTS v")


def test_the_information_schema(lone):
    lone.perform(
        "CREATE EXTERNAL TABLE t (a array<int> COMMENT 'it''s') PARTITIONED BY (k date) LOCATION 's3://data/t'"
    )
    lone.perform("CREATE VIEW v AS SELECT 1 AS one")
    assert lone.select("SELECT table_name, table_type FROM information_schema.tables ORDER BY 1") == [
        ["t", "BASE TABLE"], ["v", "VIEW"]
    ]  # fmt: skip
    columns = "column_name, ordinal_position, data_type, comment, extra_info"
    query = (
        f"SELECT {columns} FROM information_schema.columns WHERE table_schema = 'db' AND table_name = 't' ORDER BY 2"
    )
    assert lone.select(query) == [["a", "1", "array(integer)", "it's", ""], ["k", "2", "date", "", "partition key"]]
    assert lone.select("SELECT view_definition FROM information_schema.views") == [["SELECT 1 AS one"]]
    assert lone.select("SELECT schema_name FROM information_schema.schemata WHERE schema_name = 'nope'") == []


def test_prepared_statements(lone):
    lone.perform("PREPARE Mine FROM SELECT x FROM (VALUES 1, 2, 3) AS v(x) WHERE x > ? LIMIT ?")
    assert lone.select("EXECUTE Mine USING 1, 1") == [["2"]]
    lone.perform("PREPARE Mine FROM SELECT ? AS text")
    assert lone.select("EXECUTE Mine USING 'it''s'") == [["it's"]]
    assert "expected 1 but found 0" in refused(lone, "EXECUTE Mine")
    lone.perform("DEALLOCATE PREPARE Mine")
    assert "NOT_FOUND: line 1:1: Prepared statement not found: Mine" in refused(lone, "EXECUTE Mine USING 1")


def test_queries_are_explained(lone):
    lone.perform("CREATE TABLE t WITH (partitioned_by = ARRAY['k']) AS SELECT 1 AS a, 'x' AS k")
    plan = lone.rows("EXPLAIN SELECT a + 1 FROM t WHERE k = 'x'")
    assert any("a + 1" in each or "Projection" in each for each in plan)
    assert not any(str(lone.folder) in each for each in plan)
    assert orjson.loads("\n".join(lone.rows("EXPLAIN (FORMAT JSON) SELECT * FROM t")))
    assert any("1 row" in each for each in lone.rows("EXPLAIN ANALYZE SELECT * FROM t"))
    assert lone.rows("EXPLAIN (TYPE VALIDATE) SELECT * FROM t") == ["true"]
    assert "COLUMN_NOT_FOUND" in refused(lone, "EXPLAIN (TYPE VALIDATE) SELECT nope FROM t")
    told = orjson.loads("\n".join(lone.rows("EXPLAIN (TYPE IO) INSERT INTO t SELECT a, 'y' FROM t WHERE k > 'a'")))
    place = {"catalog": "awsdatacatalog", "schemaTable": {"schema": "db", "table": "t"}}
    assert told["outputTable"] == told["inputTableColumnInfos"][0]["table"] == place
    (constraint,) = told["inputTableColumnInfos"][0]["columnConstraints"]
    assert constraint["domain"]["ranges"] == [
        {"low": {"value": "a", "bound": "EXCLUSIVE"}, "high": {"bound": "UNBOUNDED"}}
    ]  # fmt: skip
    assert "EXPLAIN of DELETE is not supported" in refused(lone, "EXPLAIN DELETE FROM t")
    functions = lone.rows("SHOW FUNCTIONS LIKE 'array_*'")
    assert "array_agg\taggregate" in functions
    assert "array_distinct\tscalar" in functions

"""DDL, performed on a real catalog: what is written there, and what is told."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.systems.athena.language.parsing import parse
from clary.systems.athena.statements.definition import definition
from clary.systems.athena.tests.lone import Killed, document, refused

BLANK = "\t \t "


def line(*parts: str) -> str:
    return "\t".join(part.ljust(20) for part in parts)


def test_a_table_is_written_as_athena_writes_it(lone):
    lone.perform(
        "CREATE EXTERNAL TABLE logs (id bigint COMMENT 'key', at timestamp) COMMENT 'of a day' "
        "PARTITIONED BY (dt string) CLUSTERED BY (id) SORTED BY (at DESC) INTO 4 BUCKETS "
        "ROW FORMAT DELIMITED FIELDS TERMINATED BY ',' LOCATION 's3://data/logs/' "
        "TBLPROPERTIES ('skip.header.line.count'='1')"
    )
    table = document(lone, "logs")
    assert int(table["Parameters"].pop("transient_lastDdlTime")) > 1_700_000_000
    assert table["Parameters"] == {"EXTERNAL": "TRUE", "comment": "of a day", "skip.header.line.count": "1"}
    assert (table["TableType"], table["Owner"]) == ("EXTERNAL_TABLE", "hadoop")
    assert table["PartitionKeys"] == [{"Name": "dt", "Type": "string"}]
    assert table["StorageDescriptor"] == {
        "Columns": [{"Name": "id", "Type": "bigint", "Comment": "key"}, {"Name": "at", "Type": "timestamp"}],
        "Location": "s3://data/logs",
        "InputFormat": "org.apache.hadoop.mapred.TextInputFormat",
        "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
        "Compressed": False,
        "NumberOfBuckets": 4,
        "SerdeInfo": {
            "SerializationLibrary": "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
            "Parameters": {"serialization.format": ",", "field.delim": ","},
        },
        "BucketColumns": ["id"],
        "SortColumns": [{"Column": "at", "SortOrder": 0}],
        "Parameters": {},
        "SkewedInfo": {"SkewedColumnNames": [], "SkewedColumnValues": [], "SkewedColumnValueLocationMaps": {}},
        "StoredAsSubDirectories": False,
    }
    assert "AlreadyExistsException(message:Table logs already exists)" in refused(
        lone, "CREATE EXTERNAL TABLE logs (a int) LOCATION 's3://data/x'"
    )
    lone.perform("CREATE EXTERNAL TABLE IF NOT EXISTS logs (a int) LOCATION 's3://data/x'")
    assert lone.rows("SHOW TABLES 'l*|x'") == ["logs"]
    assert lone.rows("SHOW CREATE TABLE logs") == [
        "CREATE EXTERNAL TABLE `logs`(",
        "  `id` bigint COMMENT 'key', ",
        "  `at` timestamp)",
        "COMMENT 'of a day'",
        "PARTITIONED BY ( ",
        "  `dt` string)",
        "CLUSTERED BY ( ",
        "  `id`) ",
        "SORTED BY ( ",
        "  `at` DESC) ",
        "INTO 4 BUCKETS",
        "ROW FORMAT DELIMITED ",
        "  FIELDS TERMINATED BY ',' ",
        "STORED AS INPUTFORMAT ",
        "  'org.apache.hadoop.mapred.TextInputFormat' ",
        "OUTPUTFORMAT ",
        "  'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'",
        "LOCATION",
        "  's3://data/logs'",
        "TBLPROPERTIES (",
        "  'skip.header.line.count'='1', ",
        f"  'transient_lastDdlTime'='{document(lone, 'logs')['Parameters']['transient_lastDdlTime']}')",
    ]
    assert lone.rows("DESCRIBE logs") == [
        line("id", "bigint", "key"),
        line("at", "timestamp", ""),
        line("dt", "string", ""),
        BLANK,
        "# Partition Information" + BLANK,
        "# " + line("col_name", "data_type", "comment"),
        BLANK,
        line("dt", "string", ""),
    ]
    formatted = lone.rows("DESCRIBE FORMATTED db.logs")
    assert formatted[:4] == [
        "# " + line("col_name", "data_type", "comment"), BLANK, line("id", "bigint", "key"), line("at", "timestamp", "")
    ]  # fmt: skip
    assert line("Location:", "s3://data/logs") + "\t " in formatted
    assert "\t" + line("skip.header.line.count", "1") in formatted
    assert line("Bucket Columns:", "[id]") + "\t " in formatted
    assert lone.rows("DESCRIBE logs id") == [line("id", "bigint", "key")]
    assert lone.rows("SHOW COLUMNS IN logs") == [line("id"), line("at"), line("dt")]
    assert lone.rows("SHOW TBLPROPERTIES logs('skip.header.line.count')") == ["1"]
    assert (
        "Detailed Table Information\tTable(tableName:logs, dbName:db, owner:hadoop, "
        in lone.rows("DESCRIBE EXTENDED logs")[-1]
    )


def test_columns_properties_and_places_of_a_table_change(lone):
    lone.perform(
        "CREATE EXTERNAL TABLE t (a int COMMENT 'x', b struct<c:array<int>>) PARTITIONED BY (k int) STORED AS PARQUET "
        "LOCATION 's3://data/t'"
    )
    descriptor = document(lone, "t")["StorageDescriptor"]
    assert descriptor["InputFormat"] == "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"
    serde = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
    assert descriptor["SerdeInfo"] == {"SerializationLibrary": serde, "Parameters": {"serialization.format": "1"}}
    lone.perform("ALTER TABLE t ADD PARTITION (k = 1)")
    lone.perform("ALTER TABLE t ADD COLUMNS (d date, e string)")
    lone.perform("ALTER TABLE t CHANGE COLUMN a z bigint AFTER b")
    lone.perform("ALTER TABLE t CHANGE e e string COMMENT 'end' FIRST")
    assert document(lone, "t")["StorageDescriptor"]["Columns"] == [
        {"Name": "e", "Type": "string", "Comment": "end"},
        {"Name": "b", "Type": "struct<c:array<int>>"},
        {"Name": "z", "Type": "bigint", "Comment": "x"},
        {"Name": "d", "Type": "date"},
    ]
    assert lone.rows("DESCRIBE t b.c") == [line("c", "array<int>", "from deserializer")]
    assert lone.rows("DESCRIBE t PARTITION (k=1)")[0].split() == ["a", "int", "x"]
    lone.perform("ALTER TABLE t PARTITION (k=1) SET LOCATION 's3://data/elsewhere/'")
    lone.perform("ALTER TABLE t SET LOCATION 's3://data/u'")
    lone.perform("ALTER TABLE t SET TBLPROPERTIES ('classification'='parquet')")
    lone.perform("ALTER TABLE t SET SERDEPROPERTIES ('a'='b')")
    lone.perform("ALTER TABLE t REPLACE COLUMNS (sole int)")
    table = document(lone, "t")
    assert table["Parameters"]["classification"] == "parquet"
    assert table["StorageDescriptor"]["Location"] == "s3://data/u"
    assert table["StorageDescriptor"]["SerdeInfo"]["Parameters"] == {"serialization.format": "1", "a": "b"}
    assert table["StorageDescriptor"]["Columns"] == [{"Name": "sole", "Type": "int"}]
    partition = lone.call("GetPartition", DatabaseName="db", TableName="t", PartitionValues=["1"])["Partition"]
    assert partition["StorageDescriptor"]["Location"] == "s3://data/elsewhere"
    assert [column["Name"] for column in partition["StorageDescriptor"]["Columns"]] == ["a", "b"]
    for text, error in {
        "ALTER TABLE t ADD COLUMNS (sole int)": "Duplicate column name: sole",
        "ALTER TABLE t REPLACE COLUMNS (k int)": "Column repeated in partitioning columns: k",
        "ALTER TABLE t CHANGE nope x int": "Invalid column reference nope",
        "ALTER TABLE t DROP COLUMN sole": "NOT_SUPPORTED: ALTER TABLE DROP COLUMN is for Iceberg tables",
        "ALTER TABLE t PARTITION (k=9) SET LOCATION 's3://data/x'": "Partition not found {k=9}",
        "ALTER TABLE t SET SERDE 'nope'": "Cannot validate serde: nope",
        "DESCRIBE nope": "FAILED: SemanticException [Error 10001]: Table not found db.nope",
        "DESCRIBE t nope": "Invalid column reference nope",
        "DROP TABLE nope": "Table not found db.nope",
        "SHOW TABLES IN nope": "[Error 10072]: Database does not exist: nope",
        "DROP DATABASE db": "Database db is not empty",
        "CREATE TABLE u (a int) LOCATION 's3://data/u'": "Only external table creation is supported",
        "CREATE EXTERNAL TABLE u (a int)": "No location was specified for table",
        "CREATE EXTERNAL TABLE u (a int) STORED AS NOPE LOCATION 's3://data/u'": "Unrecognized file format in STORED",
        "CREATE EXTERNAL TABLE u (a int) LOCATION '/tmp/u'": "/tmp/u is no place of S3",
        "CREATE EXTERNAL TABLE u (a int) PARTITIONED BY (a int) LOCATION 's3://data/u'": "Column repeated",
        "CREATE EXTERNAL TABLE u (a int, A int) LOCATION 's3://data/u'": "Duplicate column name: a",
        "SHOW TABLES IN other.db": "CATALOG_NOT_FOUND: Catalog 'other' does not exist",
    }.items():
        assert error in refused(lone, text), text
    lone.perform("DROP TABLE IF EXISTS nope")
    lone.perform("DROP TABLE t")
    assert lone.rows("SHOW TABLES") == []


def test_partitions_are_added_found_renamed_and_dropped(lone, caller):
    lone.perform("CREATE EXTERNAL TABLE t (a int) PARTITIONED BY (y int, c string) LOCATION 's3://data/t'")
    lone.perform("ALTER TABLE t ADD PARTITION (y=2020, c='a b:c') PARTITION (c='x', y=2021) LOCATION 's3://data/far/'")
    assert lone.rows("SHOW PARTITIONS t") == ["y=2020/c=a b%3Ac", "y=2021/c=x"]
    found = lone.call("GetPartitions", DatabaseName="db", TableName="t")["Partitions"]
    assert [each["StorageDescriptor"]["Location"] for each in found] == [
        "s3://data/t/y=2020/c=a b%3Ac", "s3://data/far"
    ]  # fmt: skip
    assert "Partition already exists: y=2021/c=x" in refused(
        lone, "ALTER TABLE t ADD PARTITION (y=2022, c='new') PARTITION (y=2021, c='x')"
    )
    assert len(lone.rows("SHOW PARTITIONS t")) == 2
    lone.perform("ALTER TABLE t ADD IF NOT EXISTS PARTITION (y=2022, c='new') PARTITION (y=2021, c='x')")
    lone.perform("ALTER TABLE t PARTITION (y=2022, c='new') RENAME TO PARTITION (y=2023, c='renamed')")
    assert lone.rows("SHOW PARTITIONS t PARTITION (y=2023)") == ["y=2023/c=renamed"]
    lone.perform("ALTER TABLE t DROP PARTITION (y < 2021), PARTITION (y = 2023)")
    assert lone.rows("SHOW PARTITIONS t") == ["y=2021/c=x"]
    assert "Partition not found (y > '2030')" in refused(lone, "ALTER TABLE t DROP PARTITION (y > 2030)")
    lone.perform("ALTER TABLE t DROP IF EXISTS PARTITION (y > 2030)")
    assert "doesn't contain all (2) partition columns: c missing" in refused(lone, "ALTER TABLE t ADD PARTITION (y=1)")
    assert "z is not a partition column" in refused(lone, "ALTER TABLE t ADD PARTITION (y=1, z=2)")

    put = caller("s3")
    for key in ("y=2021/c=x/f", "y=2024/c=new/f", "y=2024/c=new/g", "y=2025/c=a%2Fb/_SUCCESS", "Y=1/c=x/f", "y=3/f"):
        put("PutObject", Bucket="data", Key=f"t/{key}", Body=b"1")
    many = [f"t/y=1/c={number:03}/f" for number in range(120)]
    for key in many:
        put("PutObject", Bucket="data", Key=key, Body=b"1")
    rows = lone.rows("MSCK REPAIR TABLE `t`;")
    assert rows[0].startswith("Partitions not in metastore:\tt:y=1/c=000\tt:y=1/c=001\t")
    assert rows[-1] == "Repair: Added partition to metastore t:y=2025/c=a%2Fb"
    assert len(rows) == 123
    assert len(lone.rows("SHOW PARTITIONS t")) == 123
    values = lone.call("GetPartitions", DatabaseName="db", TableName="t", Expression="y = 2025")["Partitions"]
    assert (values[0]["Values"], values[0]["StorageDescriptor"]["Location"]) == (
        ["2025", "a/b"], "s3://data/t/y=2025/c=a%2Fb"
    )  # fmt: skip
    assert lone.rows("MSCK REPAIR TABLE t") == []


def test_databases(lone):
    assert "Database db already exists" in refused(lone, "CREATE DATABASE db")
    lone.perform("CREATE SCHEMA IF NOT EXISTS db")
    lone.perform("CREATE DATABASE other WITH DBPROPERTIES ('a'='1')")
    lone.perform("ALTER DATABASE other SET DBPROPERTIES ('b'='2')")
    assert lone.rows("DESCRIBE DATABASE EXTENDED other") == ["other\t\t\t\t\t{a=1, b=2}"]
    assert lone.rows("SHOW DATABASES") == ["db", "other"]
    assert lone.rows("SHOW SCHEMAS LIKE 'o*'") == ["other"]
    lone.perform("CREATE EXTERNAL TABLE other.t (a int) LOCATION 's3://data/t'")
    lone.perform("DROP DATABASE other CASCADE")
    lone.perform("DROP DATABASE IF EXISTS other")
    assert "Database does not exist: other" in refused(lone, "DROP DATABASE other")


def test_ddl_that_is_killed_and_runs_again_is_done_once(lone):
    """Kill each statement before each thing that it does, and behind the last one; run it again, which goes well."""
    for text in (
        "CREATE DATABASE other",
        "CREATE EXTERNAL TABLE t (a int, b string) PARTITIONED BY (k int) LOCATION 's3://data/t'",
        "ALTER TABLE t ADD PARTITION (k = 1) PARTITION (k = 2)",
        "ALTER TABLE t PARTITION (k = 2) RENAME TO PARTITION (k = 3)",
        "ALTER TABLE t ADD COLUMNS (c int, d int)",
        "ALTER TABLE t CHANGE a z int",
        "ALTER TABLE t SET TBLPROPERTIES ('x' = 'y')",
        "ALTER TABLE t DROP PARTITION (k = 1)",
        "DROP TABLE t",
        "DROP DATABASE other",
    ):
        lone.begin()
        execution = lone.execution_id
        for lives in range(20):
            lone.lives = lives
            try:
                lone.perform(text, again=execution if lives else "")
                break
            except Killed:
                execution = lone.execution_id
        lone.lives = None
        lone.perform(text, again=execution)
        if text.startswith("ALTER TABLE t DROP"):
            assert lone.rows("SHOW PARTITIONS t") == ["k=3"]
            assert [each["Name"] for each in document(lone, "t")["StorageDescriptor"]["Columns"]] == [
                "z",
                "b",
                "c",
                "d",
            ]
    assert lone.rows("SHOW TABLES") == []


NAMES = st.text("abcxyz_019é -", min_size=1, max_size=8).filter(lambda name: name.strip() == name)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=12)
TYPES = st.recursive(
    st.sampled_from(["int", "bigint", "string", "date", "timestamp", "decimal(10,2)", "varchar(5)", "binary"]),
    lambda inner: st.one_of(
        inner.map("array<{}>".format),
        st.tuples(st.sampled_from(["string", "int"]), inner).map(lambda pair: f"map<{pair[0]},{pair[1]}>"),
        st.tuples(inner, inner).map(lambda pair: f"struct<a:{pair[0]},date:{pair[1]}>"),
    ),
    max_leaves=4,
)
PROPERTIES = st.dictionaries(TEXTS.filter(bool), TEXTS, max_size=3)


@st.composite
def tables(draw):
    """Documents as the catalog has them of tables that DDL made."""
    names = draw(st.lists(NAMES, min_size=2, max_size=5, unique=True))
    columns = [
        {"Name": name, "Type": draw(TYPES), **draw(st.sampled_from([{}, {"Comment": draw(TEXTS)}]))} for name in names
    ]
    serde = draw(
        st.sampled_from(
            ["org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe", "org.apache.hadoop.hive.serde2.OpenCSVSerde"]
        )
    )
    delimiter = draw(st.sampled_from([None, ",", "\t", "\x01", "'", "\\"]))
    said = {"serialization.format": delimiter or "1", **({"field.delim": delimiter} if delimiter else {})}
    said |= draw(st.sampled_from([{}, {"escape.delim": "\\"}, {"separatorChar": '"'}, draw(PROPERTIES)]))
    bucketed = draw(st.booleans())
    return {
        "Name": draw(NAMES),
        "StorageDescriptor": {
            "Columns": columns[:-1],
            "Location": "s3://data/" + draw(st.text("ab/='", max_size=5)).strip("/"),
            "InputFormat": "a.B",
            "OutputFormat": "c.D",
            "SerdeInfo": {"SerializationLibrary": serde, "Parameters": said},
            "NumberOfBuckets": 4 if bucketed else -1,
            "BucketColumns": [columns[0]["Name"]] if bucketed else [],
            "SortColumns": [{"Column": columns[0]["Name"], "SortOrder": 0}] if bucketed and draw(st.booleans()) else [],
        },
        "PartitionKeys": columns[-1:] if draw(st.booleans()) else [],
        "Parameters": {"EXTERNAL": "TRUE", **draw(st.sampled_from([{}, {"comment": draw(TEXTS)}])), **draw(PROPERTIES)},
    }


class Recorded:
    """Takes what a statement would write into the catalog."""

    execution_id = output = folder = ""
    resumed = False
    catalog, database = "awsdatacatalog", "db"

    def __init__(self, platform: Any) -> None:
        self.ctx = platform.acting_as_root("111122223333", "eu-west-1", "athena", "ListEngineVersions")
        self.created: dict[str, Any] = {}

    def call(self, operation: str, **params: Any) -> dict[str, Any]:
        if operation == "CreateTable":
            self.created = params["TableInput"]
        return {"Database": {}}


@settings(max_examples=60)
@given(table=tables())
def test_show_create_table_makes_the_same_table(recorded, table):
    from clary.systems.athena.statements.tables import create_table

    create_table(recorded, parse("\n".join(definition(table))))
    made = recorded.created
    assert made["Name"] == table["Name"]
    assert made["PartitionKeys"] == table["PartitionKeys"]
    assert {name: made["StorageDescriptor"][name] for name in table["StorageDescriptor"]} == table["StorageDescriptor"]
    made["Parameters"].pop("transient_lastDdlTime")
    assert made["Parameters"] == table["Parameters"]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    from clary.kernel.core.settings import Settings
    from clary.kernel.rooms import Platform

    platform = Platform(Settings.load({}, home=str(tmp_path_factory.mktemp("home"))))
    yield Recorded(platform)
    platform.close()

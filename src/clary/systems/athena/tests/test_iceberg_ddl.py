"""DDL of Iceberg tables on a real catalog: what is written there and in S3, and what is told."""

import pytest

pytest.importorskip("pyiceberg")

from clary.systems.athena.tests.lone import Lone, document, refused


def described(lone: Lone, name: str) -> list[list[str]]:
    return [[part.strip() for part in row.split("\t")] for row in lone.rows(f"DESCRIBE {name}")]


CREATE = """CREATE TABLE db.events (id bigint COMMENT 'key', name string, at timestamp, price decimal(9,2))
PARTITIONED BY (bucket(16, id), truncate(3, name), day(at)) LOCATION 's3://data/events/'
TBLPROPERTIES ('table_type'='ICEBERG', 'format'='parquet', 'write_compression'='snappy',
'vacuum_min_snapshots_to_keep'='3', 'optimize_rewrite_delete_file_threshold'='10')"""


def test_a_table_is_made_and_told_of(lone):
    lone.perform(CREATE)
    table = document(lone, "events")
    assert table["Parameters"]["table_type"] == "ICEBERG"
    assert table["Parameters"]["metadata_location"].startswith("s3://data/events/metadata/00000-")
    assert [(each["Name"], each["Type"]) for each in table["StorageDescriptor"]["Columns"]] == [
        ("id", "bigint"), ("name", "string"), ("at", "timestamp"), ("price", "decimal(9,2)"),
    ]  # fmt: skip
    shown = lone.rows("SHOW CREATE TABLE events")
    assert shown == [
        "CREATE TABLE db.events (",
        "  id bigint COMMENT 'key',",
        "  name string,",
        "  at timestamp,",
        "  price decimal(9,2))",
        "PARTITIONED BY (bucket(16, `id`), truncate(3, `name`), day(`at`))",
        "LOCATION 's3://data/events'",
        "TBLPROPERTIES (",
        "  'table_type'='iceberg',",
        "  'format'='parquet',",
        "  'write_compression'='snappy',",
        "  'optimize_rewrite_delete_file_threshold'='10',",
        "  'vacuum_min_snapshots_to_keep'='3'",
        ")",
    ]
    lone.perform("\n".join(shown).replace("db.events", "db.again").replace("/events", "/again"))
    assert described(lone, "again") == [
        ["# Table schema:", "", ""],
        ["# col_name", "data_type", "comment"],
        ["id", "bigint", "key"],
        ["name", "string", ""],
        ["at", "timestamp", ""],
        ["price", "decimal(9,2)", ""],
        ["", "", ""],
        ["# Partition spec:", "", ""],
        ["# field_name", "field_transform", "column_name"],
        ["id_bucket", "bucket[16]", "id"],
        ["name_trunc", "truncate[3]", "name"],
        ["at_day", "day", "at"],
    ]
    assert "AlreadyExistsException" in refused(lone, CREATE)
    lone.perform(CREATE.replace("TABLE db", "TABLE IF NOT EXISTS db"))


def test_a_table_is_altered_renamed_and_dropped(lone, caller):
    lone.perform(CREATE)
    lone.perform("ALTER TABLE events ADD COLUMNS (extra array<int>)")
    lone.perform("ALTER TABLE events CHANGE COLUMN price price decimal(12,2) COMMENT 'in euro' AFTER id")
    lone.perform("ALTER TABLE events CHANGE COLUMN extra further array<int>")
    lone.perform(
        "ALTER TABLE events SET TBLPROPERTIES ('write_compression'='zstd', 'vacuum_max_snapshot_age_seconds'='60')"
    )
    lone.perform("ALTER TABLE events UNSET TBLPROPERTIES ('vacuum_min_snapshots_to_keep')")
    assert [row.strip() for row in lone.rows("SHOW COLUMNS IN events")] == ["id", "price", "name", "at", "further"]
    assert described(lone, "events")[3] == ["price", "decimal(12,2)", "in euro"]
    lone.perform("ALTER TABLE events DROP COLUMN further")
    assert [row.strip() for row in lone.rows("SHOW COLUMNS IN events")] == ["id", "price", "name", "at"]
    properties = dict(row.split("\t") for row in lone.rows("SHOW TBLPROPERTIES events"))
    assert properties["write.parquet.compression-codec"] == "zstd"
    assert "vacuum_min_snapshots_to_keep" not in properties
    assert "previous_metadata_location" in properties
    lone.perform("CREATE DATABASE other")
    lone.perform("ALTER TABLE events RENAME TO other.renamed")
    assert lone.rows("SHOW TABLES") == []
    assert lone.rows("SHOW TABLES IN other") == ["renamed"]
    assert len(lone.objects("s3://data/events/")) == 7
    lone.perform("DROP TABLE other.renamed")
    assert lone.objects("s3://data/events/") == []
    assert lone.rows("SHOW TABLES IN other") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CREATE.replace("LOCATION 's3://data/events/'", ""), "Table location can not be null for Iceberg table"),
        (CREATE.replace("bucket(16, id)", "bucket(16, missing)"), "partition by a column that is not there: missing"),
        (CREATE.replace("day(at)", "day(id)"), "Invalid source type long of id for transform: day"),
        (CREATE.replace("'parquet'", "'orc'"), "Clary writes Iceberg tables in parquet"),
        (CREATE.replace("snappy", "brotli"), "write_compression is brotli"),
        (CREATE.replace("'format'", "'fromat'"), "Unsupported table property key: fromat"),
        (CREATE.replace("id bigint", "id smallint"), "Unsupported Hive type: smallint"),
        (CREATE.replace("'3'", "'-1'"), "vacuum_min_snapshots_to_keep is -1"),
        (CREATE.replace("CREATE TABLE", "CREATE EXTERNAL TABLE"), "not external"),
    ],
)
def test_what_cannot_be_is_refused(lone, text, message):
    assert message in refused(lone, text)


def test_what_a_table_does_not_allow_is_refused(lone):
    lone.perform(CREATE)
    for text, message in (
        ("ALTER TABLE events DROP COLUMN id", "Cannot drop partition field: id"),
        ("ALTER TABLE events CHANGE COLUMN name name int", "Cannot change column type: string -> int"),
        ("ALTER TABLE events ADD COLUMNS (id int)", "Column already exists: id"),
        ("ALTER TABLE events SET TBLPROPERTIES ('other'='1')", "Unsupported table property key: other"),
        ("ALTER TABLE events ADD PARTITION (dt = 'x')", "not supported for Iceberg tables"),
        ("MSCK REPAIR TABLE events", ""),
        ("ALTER TABLE missing DROP COLUMN a", "Table not found db.missing"),
    ):
        assert message in refused(lone, text)


def test_ddl_that_was_cut_off_is_done_once(lone):
    statements = [
        CREATE,
        "ALTER TABLE events ADD COLUMNS (extra int)",
        "ALTER TABLE events CHANGE COLUMN extra further bigint",
        "ALTER TABLE events DROP COLUMN further",
        "ALTER TABLE events RENAME TO renamed",
        "DROP TABLE renamed",
    ]
    for text in statements:
        lone.perform(text)
        lone.perform(text, again=lone.execution_id)
    assert lone.rows("SHOW TABLES") == []
    lone.perform(CREATE)
    assert "AlreadyExistsException" in refused(
        lone, CREATE.replace("name string", "name int").replace("truncate(3, name), ", "")
    )

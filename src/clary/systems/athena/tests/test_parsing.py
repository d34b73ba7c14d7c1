"""What statements ask for, and what is said of those that cannot be read."""

import pytest

from clary.systems.athena.contract import StatementFailed
from clary.systems.athena.language.parsing import bound, parse
from clary.systems.athena.language.statements import (
    AddColumns,
    AddPartitions,
    AlterDatabaseProperties,
    ChangeColumn,
    ColumnDefinition,
    Comparison,
    CreateDatabase,
    CreateTable,
    CreateTableAs,
    CreateView,
    DatabaseName,
    Deallocate,
    Delete,
    Describe,
    DropColumn,
    DropDatabase,
    DropPartitions,
    DropTable,
    DropView,
    Execute,
    Explain,
    InsertInto,
    Merge,
    MsckRepair,
    Name,
    NewPartition,
    Optimize,
    PartitionField,
    Prepare,
    Query,
    RenamePartition,
    ReplaceColumns,
    RowFormat,
    SetLocation,
    SetTableProperties,
    ShowColumns,
    ShowCreateTable,
    ShowCreateView,
    ShowDatabases,
    ShowPartitions,
    ShowTableProperties,
    ShowTables,
    ShowViews,
    StoredAs,
    Unload,
    Update,
    Vacuum,
)

T = Name("t")


def test_a_table_of_hive_with_everything():
    statement = parse(
        """
        /* the log */ CREATE EXTERNAL TABLE IF NOT EXISTS `my-db`.`Events` ( -- columns
          `Id` bigint COMMENT 'it''s \\'one\\' \\u00e9',
          tags array<struct<Name:string,`to`:map<string,decimal(10, 2)>>>,
          v varchar(10))
        COMMENT "of a day"
        PARTITIONED BY (`dt` string COMMENT 'day', hour int)
        CLUSTERED BY (id) SORTED BY (id DESC, v) INTO 4 BUCKETS
        ROW FORMAT DELIMITED FIELDS TERMINATED BY '\\001' ESCAPED BY '\\\\' COLLECTION ITEMS TERMINATED BY '|'
          MAP KEYS TERMINATED BY ':' LINES TERMINATED BY '\\n' NULL DEFINED AS '\\\\N'
        STORED AS TEXTFILE
        LOCATION 's3://b/events/'
        TBLPROPERTIES ('skip.header.line.count'='1', "a;b"="--c");
        """
    )
    assert isinstance(statement, CreateTable)
    assert statement.text.endswith('"--c")')
    assert statement.name == Name("events", "my-db")
    assert statement.external
    assert statement.if_not_exists
    assert statement.comment == "of a day"
    assert statement.columns == (
        ColumnDefinition("id", "bigint", "it's 'one' é"),
        ColumnDefinition("tags", "array<struct<name:string,to:map<string,decimal(10,2)>>>"),
        ColumnDefinition("v", "varchar(10)"),
    )
    assert statement.keys == (ColumnDefinition("dt", "string", "day"), ColumnDefinition("hour", "int"))
    assert (statement.clustered_by, statement.buckets) == (("id",), 4)
    assert statement.sorted_by == (("id", "DESC"), ("v", "ASC"))
    assert statement.row_format == RowFormat(
        "",
        {
            "field.delim": "\x01",
            "serialization.format": "\x01",
            "escape.delim": "\\",
            "colelction.delim": "|",
            "mapkey.delim": ":",
            "line.delim": "\n",
            "serialization.null.format": "\\N",
        },
    )
    assert statement.stored_as == StoredAs("TEXTFILE")
    assert statement.location == "s3://b/events/"
    assert statement.properties == {"skip.header.line.count": "1", "a;b": "--c"}


def test_an_iceberg_table_is_parted_by_transforms():
    statement = parse(
        "CREATE TABLE t (id int, ts timestamp, c string) PARTITIONED BY (bucket(16, id), day(ts), c) "
        "LOCATION 's3://b/t/' TBLPROPERTIES ('table_type'='iceberg')"
    )
    assert isinstance(statement, CreateTable)
    assert statement.is_iceberg
    assert statement.partitioned_by == (
        PartitionField("id", "bucket[16]"),
        PartitionField("ts", "day"),
        PartitionField("c"),
    )


@pytest.mark.parametrize(
    ("text", "kind", "members"),
    [
        ("drop table if exists db.`T`", DropTable, {"name": Name("t", "db"), "if_exists": True}),
        ("create schema s comment 'c' location 's3://b' with dbproperties ('a'='b')", CreateDatabase,
         {"name": DatabaseName("s"), "comment": "c", "location": "s3://b", "properties": {"a": "b"}}),
        ("drop database if exists s cascade", DropDatabase, {"cascade": True, "if_exists": True}),
        ("alter database s set dbproperties ('a'='b')", AlterDatabaseProperties, {"properties": {"a": "b"}}),
        ("alter table t add if not exists partition (a=1, b='x') location 's3://x' "
         "partition (a=-2,b=date '2020-01-01')",
         AddPartitions, {"if_not_exists": True, "partitions": (
             NewPartition({"a": "1", "b": "x"}, "s3://x"), NewPartition({"a": "-2", "b": "2020-01-01"}))}),
        ("alter table t drop if exists partition (a < '1', b != 2), partition (a = 3)", DropPartitions,
         {"partitions": ((Comparison("a", "<", "1"), Comparison("b", "<>", "2")), (Comparison("a", "=", "3"),))}),
        ("alter table t partition (a=1) rename to partition (a=2)", RenamePartition,
         {"partition": {"a": "1"}, "to": {"a": "2"}}),
        ("alter table t add columns (x int, `date` date)", AddColumns,
         {"columns": (ColumnDefinition("x", "int"), ColumnDefinition("date", "date")), "partition": None}),
        ("alter table t partition (a='1') add columns (x int)", AddColumns, {"partition": {"a": "1"}}),
        ("alter table t replace columns (x int)", ReplaceColumns, {"columns": (ColumnDefinition("x", "int"),)}),
        ("alter table t change column a b bigint comment 'c' after d", ChangeColumn,
         {"old": "a", "column": ColumnDefinition("b", "bigint", "c"), "after": "d", "first": False}),
        ("alter table t drop column a", DropColumn, {"column": "a"}),
        ("alter table t set tblproperties ('a'='b')", SetTableProperties, {"properties": {"a": "b"}}),
        ("alter table t partition (a=1) set location 's3://x'", SetLocation,
         {"location": "s3://x", "partition": {"a": "1"}}),
        ("msck repair table t", MsckRepair, {"name": T}),
        ("show databases like 'a*'", ShowDatabases, {"pattern": "a*"}),
        ("show tables in db 'a*|b'", ShowTables, {"database": DatabaseName("db"), "pattern": "a*|b"}),
        ("show views from `db` like 'x'", ShowViews, {"database": DatabaseName("db"), "pattern": "x"}),
        ("show columns in t from db", ShowColumns, {"name": Name("t", "db")}),
        ("show partitions t partition (a=1)", ShowPartitions, {"partition": {"a": "1"}}),
        ("show tblproperties t('a')", ShowTableProperties, {"property": "a"}),
        ("show create table `awsdatacatalog`.`db`.`t`", ShowCreateTable, {"name": Name("t", "db", "awsdatacatalog")}),
        ('show create view "Db".v', ShowCreateView, {"name": Name("v", "db")}),
        ("describe formatted t partition (a=1)", Describe, {"formatted": True, "partition": {"a": "1"}}),
        ("desc extended t", Describe, {"extended": True}),
        ("describe t a.`b`", Describe, {"column": "a.b"}),
        ("drop view if exists v", DropView, {"name": Name("v"), "if_exists": True}),
        ("create or replace view v as select 1 -- c\n from t;", CreateView,
         {"body": "select 1 -- c\n from t", "or_replace": True}),
        ("with a as (select 1 x) select * from a", Query, {}),
        ("(select 1) union all values 2", Query, {}),
        ("table t", Query, {}),
        ("insert into db.t (a, \"B\") select 1, 2", InsertInto, {"name": Name("t", "db"), "columns": ("a", "b")}),
        ("insert into t (select 1)", InsertInto, {"columns": ()}),
        ("create table if not exists db.t with (format = 'ORC', partitioned_by = ARRAY['a', 'b'], bucket_count = 5, "
         "\"write.x\" = true) as select 1 a with no data", CreateTableAs,
         {"properties": {"format": "ORC", "partitioned_by": ("a", "b"), "bucket_count": 5, "write.x": True},
          "with_data": False, "if_not_exists": True, "name": Name("t", "db")}),
        ("create table t comment 'x' as select 1 a", CreateTableAs, {"comment": "x", "with_data": True}),
        ("create table t (a, b) as select 1, 2", CreateTableAs, {"columns": ("a", "b")}),
        ("unload (select ')' from t) to 's3://b/x' with (format = 'json')", Unload,
         {"location": "s3://b/x", "properties": {"format": "json"}}),
        ("delete from t where a = 1", Delete, {"name": T}),
        ("update t set a = 1", Update, {"name": T}),
        ("merge into db.t as x using s on x.a = s.a when matched then delete", Merge, {"name": Name("t", "db")}),
        ("vacuum db.t", Vacuum, {"name": Name("t", "db")}),
        ("optimize t rewrite data using bin_pack", Optimize, {"condition": None}),
        ("explain (type io, format json) select 1", Explain, {"type": "IO", "format": "JSON", "analyze": False}),
        ("explain analyze select 1", Explain, {"analyze": True}),
        ("prepare p from select ? from t limit ?", Prepare, {"name": "p", "body": "select ? from t limit ?"}),
        ("execute p using 1, 'a,b', array[1, 2]", Execute, {"parameters": ("1", "'a,b'", "array[1, 2]")}),
        ("deallocate prepare p", Deallocate, {"name": "p"}),
    ],
)  # fmt: skip
def test_what_a_statement_asks_for(text, kind, members):
    statement = parse(text)
    assert type(statement) is kind
    assert {name: getattr(statement, name) for name in members} == members


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "SYNTAX_ERROR: line 1:1: mismatched input '<EOF>'. Expecting: a statement"),
        ("selec 1", "SYNTAX_ERROR: line 1:1: mismatched input 'selec'. Expecting: 'ALTER', 'CREATE',"),
        ("select 1; drop table t", "Only one sql statement is allowed. Got: select 1; drop table t"),
        ("select a\nfrm t where", "SYNTAX_ERROR: line 2:5: mismatched input 't'"),
        ("select * from (select 1", "SYNTAX_ERROR: line 1:24: mismatched input '<EOF>'. Expecting: ')'"),
        ("select `a` from t", "line 1:8: backquoted identifiers are not supported; use double quotes"),
        ("select 'a", "line 1:8: mismatched input '''"),
        ("select " + "(" * 5000 + "1" + ")" * 5000, "line 1:1: statement is too large"),
        ("create table t as\n selct 1", "SYNTAX_ERROR: line 2:"),
        ("explain show tables", "line 1:9: mismatched input 'show'. Expecting: <query>"),
        ("prepare p from drop table t", "line 1:1: mismatched input 'drop'"),
        ("unload (select 1) 's3://b'", "line 1:19: mismatched input ''s3://b''. Expecting: 'TO'"),
        ("grant select on t to x", "NOT_SUPPORTED: Queries of this type are not supported: GRANT"),
        ("drop table a-b", "FAILED: ParseException line 1:12 missing EOF at '-' near 'a'"),
        ("drop tabel t", "FAILED: ParseException line 1:0 cannot recognize input near 'drop' 'tabel' 't' in drop"),
        ("create table t (a int b)", "line 1:22 mismatched input 'b' expecting ) near 'int'"),
        ("create table t (a text)", "FAILED: ParseException line 1:18 cannot recognize the type text"),
        ("create table t (a int) location 's3://x' stored as orc", "line 1:41 missing EOF at 'stored' near ''s3://x''"),
        ("create table t (`a` int, date date)", "line 1:25 cannot recognize input near 'date' 'date' ')'"),
        ("alter table t add partition (a=x)", "cannot recognize input near 'x' ')' '<EOF>' in constant"),
        ("create table t (" + "a array<" * 1 + "array<" * 5000 + "int", "cannot recognize input near"),
    ],
)  # fmt: skip
def test_what_is_said_of_a_statement_that_cannot_be_read(text, error):
    with pytest.raises(StatementFailed) as failed:
        parse(text)
    assert error in str(failed.value)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        # As dbt-athena sends them, with its comment before.
        ('-- /* {"app": "dbt"} */\n\n    create table "awsdatacatalog"."db"."t"\n    with (\n      '
         "table_type='hive',\n      is_external=true,external_location='s3://b/t/x',\n    partitioned_by=ARRAY['k'],\n"
         "    format='parquet'\n    )"
         "\n    as\n      select 1 as a, 'x' as k", CreateTableAs),
        ("-- /* {} */\n create external table `db`.`t__dbt_tmp` (`a` string , `b` string )\n row format serde "
         "'org.apache.hadoop.hive.serde2.OpenCSVSerde'\n location 's3://b/t/'\n tblproperties (\n "
         "'skip.header.line.count'='1'\n )", CreateTable),
        ("alter table `db`.`t` set tblproperties ('classification' = 'parquet')", SetTableProperties),
        ("alter table db.t add columns(a string, b decimal(10,2));", AddColumns),
        ("alter table db.t drop column `a`", DropColumn),
        ("drop schema if exists `db` cascade", DropDatabase),
        ('create or replace view\n "awsdatacatalog"."db"."v"\n as\n select 1 as a', CreateView),
        ('merge into "d"."t" as target using (select * from "d"."s") as src on (target."a" = src."a") when matched '
         'then update set "b" = src."b" when not matched then insert ("a", "b") values (src."a", src."b")', Merge),
        # And awswrangler.
        ('CREATE TABLE "db"."temp_table_1"\nWITH(\n    external_location = \'s3://b/temp_table_1\',\n    bucketed_by = '
         "ARRAY['a'],\n    bucket_count = 2,\n    write_compression = 'SNAPPY',\n    format = 'PARQUET'\n)\n"
         "AS SELECT 1 AS a\nWITH NO DATA", CreateTableAs),
        ("UNLOAD (SELECT * FROM t) TO 's3://b/x' WITH (  format='PARQUET'  , compression='snappy'  , "
         "partitioned_by=ARRAY['a'])", Unload),
        ("CREATE TABLE IF NOT EXISTS `t` (`a` bigint, `b` string COMMENT 'it''s') PARTITIONED BY (truncate(3, b)) "
         "LOCATION 's3://b/t' TBLPROPERTIES ('table_type' ='ICEBERG', 'format'='parquet')", CreateTable),
        ("ALTER TABLE `t` CHANGE COLUMN `a` `a` bigint", ChangeColumn),
        ("DESCRIBE `t`;", Describe),
    ],
)  # fmt: skip
def test_what_clients_send(text, kind):
    assert type(parse(text)) is kind


def test_parameters_stand_in_the_places_of_question_marks():
    found = parse("select '?', ? -- ?\nfrom t where a = ? limit ?", ["'it''s -- so'", "-1", "5"])
    assert isinstance(found, Query)
    assert found.tree.sql("trino") == "SELECT '?', 'it''s -- so' /* ? */ FROM t WHERE a = -1 LIMIT 5"
    assert parse("execute p", ["1"]).parameters == ("1",)
    for parameter in ("a", "1, 2", "1) or (1", "(select 1)", "1 x", "", "f(1)", "'a' || 'b'"):
        with pytest.raises(StatementFailed, match="is not a literal"):
            bound("select ?", [parameter])
    with pytest.raises(StatementFailed, match="Incorrect number of parameters: expected 2 but found 1"):
        parse("select ?, ?", ["1"])
    with pytest.raises(StatementFailed, match="expected 0 but found 1"):
        parse("drop table t", ["1"])

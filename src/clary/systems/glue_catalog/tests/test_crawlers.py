"""Crawlers on a real server: what lies in folders of S3 becomes tables, and stays up to date."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.systems.glue_catalog.tests.crawling import (
    ROLE,
    TYPES,
    Put,
    as_csv,
    as_json,
    as_parquet,
    columns,
    crawled,
    flights_by_day,
    queried,
)
from clary.testing import Server

pytest.importorskip("pyarrow")


@pytest.fixture
def bucket(server: Server, unique: Callable[[str], str]) -> str:
    name = unique("lake")
    server.client("s3").create_bucket(Bucket=name)
    return name


@pytest.fixture
def put(server: Server, bucket: str) -> Put:
    s3 = server.client("s3")
    return lambda key, data: s3.put_object(Bucket=bucket, Key=key, Body=data)


@pytest.fixture
def make(glue: Any, bucket: str, database: str, unique: Callable[[str], str]) -> Callable[..., str]:
    def make(path: str = "", **more: Any) -> str:
        name = unique("crawler")
        target = {"Path": f"s3://{bucket}/{path}", **more.pop("target", {})}
        glue.create_crawler(Name=name, Role=ROLE, DatabaseName=database, Targets={"S3Targets": [target]}, **more)
        return name

    return make


def tables(glue: Any, database: str) -> dict[str, dict[str, Any]]:
    return {table["Name"]: table for table in glue.get_tables(DatabaseName=database)["TableList"]}


def values(glue: Any, database: str, table: str) -> list[list[str]]:
    return [each["Values"] for each in glue.get_partitions(DatabaseName=database, TableName=table)["Partitions"]]


def test_flights_become_partitioned_tables(
    server: Server, glue: Any, bucket: str, database: str, put: Put, make: Callable[..., str]
) -> None:
    days = list(flights_by_day())
    for folder, rows in days:
        put(f"data/in_csv/{folder}part.csv", as_csv(rows))
        put(f"data/in_json/{folder}part.json", as_json(rows))
        put(f"data/in_parquet/{folder}part.parquet", as_parquet(rows))
        put(f"data/in_parquet/{folder}_SUCCESS", b"")
    crawler = crawled(glue, make("data", TablePrefix="ny_"))
    found = tables(glue, database)
    assert sorted(found) == ["ny_in_csv", "ny_in_json", "ny_in_parquet"]
    for table in found.values():
        assert [(key["Name"], key["Type"]) for key in table["PartitionKeys"]] == [
            ("month", "string"),
            ("day", "string"),
        ]
        assert values(glue, database, table["Name"]) == [[m, d] for m in "12" for d in "123"]
        assert table["Parameters"]["UPDATED_BY_CRAWLER"] == crawler["Name"]
        assert table["Parameters"]["objectCount"] == "6"
        indexes = glue.get_partition_indexes(DatabaseName=database, TableName=table["Name"])
        assert [key["Name"] for key in indexes["PartitionIndexDescriptorList"][0]["Keys"]] == ["month", "day"]
    assert columns(found["ny_in_csv"]) == columns(found["ny_in_parquet"]) == TYPES
    assert columns(found["ny_in_json"]) == {name: type_.replace("bigint", "int") for name, type_ in TYPES.items()}
    rows = sum(len(rows) for _, rows in days)
    assert [table["Parameters"]["recordCount"] for table in found.values()] == [str(rows)] * 3
    as_text = found["ny_in_csv"]["StorageDescriptor"]
    assert as_text["Location"] == f"s3://{bucket}/data/in_csv/"
    assert as_text["Parameters"].items() >= {"classification": "csv", "skip.header.line.count": "1"}.items()
    assert as_text["SerdeInfo"] == {
        "SerializationLibrary": "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
        "Parameters": {"field.delim": ","},
    }
    assert found["ny_in_json"]["StorageDescriptor"]["SerdeInfo"]["Parameters"]["paths"].startswith(
        "air_minutes,carrier"
    )
    partition = glue.get_partition(DatabaseName=database, TableName="ny_in_json", PartitionValues=["2", "3"])[
        "Partition"
    ]
    assert partition["StorageDescriptor"]["Location"] == f"s3://{bucket}/data/in_json/month=2/day=3/"
    # What it did stands in its history and in its log.
    last = crawler["LastCrawl"]
    history = glue.list_crawls(CrawlerName=crawler["Name"])["Crawls"]
    assert [crawl["State"] for crawl in history] == ["COMPLETED"]
    assert json.loads(history[0]["Summary"])["TABLE"]["ADD"]["Count"] == 3
    assert json.loads(history[0]["Summary"])["PARTITION"]["ADD"]["Count"] == 18
    logs = server.client("logs")
    events = logs.get_log_events(logGroupName=last["LogGroup"], logStreamName=last["LogStream"])["events"]
    assert any(f"Created table ny_in_csv in database {database}" in event["message"] for event in events)
    assert all(last["MessagePrefix"] in event["message"] for event in events)
    metrics = glue.get_crawler_metrics(CrawlerNameList=[crawler["Name"]])["CrawlerMetricsList"]
    assert (metrics[0]["TablesCreated"], metrics[0]["TablesUpdated"], metrics[0]["StillEstimating"]) == (3, 0, False)
    # Athena reads what was crawled.
    flown = sum(int(row["distance_miles"]) for folder, rows in days if folder.startswith("month=2/") for row in rows)
    for table in found:
        query = f"select sum(distance_miles), max(\"day\") from {table} where month = '2'"
        assert queried(server, bucket, database, query) == [[str(flown), "3"]]
    # A crawl that finds nothing new changes nothing.
    crawled(glue, crawler["Name"])
    assert [each["VersionId"] for each in tables(glue, database).values()] == ["0", "0", "0"]
    assert json.loads(glue.list_crawls(CrawlerName=crawler["Name"])["Crawls"][0]["Summary"]) == {}


def test_what_changes_in_the_data_changes_in_the_catalog(
    server: Server, glue: Any, bucket: str, database: str, put: Put, make: Callable[..., str]
) -> None:
    s3 = server.client("s3")
    put("t/k=1/f.json", '{"a": 1, "b": "x", "c": 1, "d": 1}')
    put("t/k=2/f.json", '{"a": 2, "b": "y", "c": 1, "d": 1}')
    put("gone/f.csv", "n,s\n1,x\n2,y\n")
    deleting = make(
        "", SchemaChangePolicy={"UpdateBehavior": "UPDATE_IN_DATABASE", "DeleteBehavior": "DELETE_FROM_DATABASE"}
    )
    crawled(glue, deleting)
    assert sorted(tables(glue, database)) == ["gone", "t"]
    put("t/k=3/f.json", '{"a": 2.5, "b": "z", "c": 1, "d": 1, "e": {"f": [1]}}')
    s3.delete_object(Bucket=bucket, Key="t/k=1/f.json")
    s3.delete_object(Bucket=bucket, Key="gone/f.csv")
    put("also/f.csv", "n,s\n1,x\n2,y\n")
    crawled(glue, deleting)
    found = tables(glue, database)
    assert sorted(found) == ["also", "t"]
    assert columns(found["t"]) == {"a": "double", "b": "string", "c": "int", "d": "int", "e": "struct<f:array<int>>"}
    assert values(glue, database, "t") == [["2"], ["3"]]
    history = [json.loads(crawl["Summary"]) for crawl in glue.list_crawls(CrawlerName=deleting)["Crawls"]]
    assert history[0]["TABLE"]["DELETE"]["Details"]["names"] == ["gone"]
    assert history[0]["PARTITION"]["DELETE"]["Count"] == 1
    # Another crawler's tables are not its own; what it does not delete it deprecates.
    put("t2/f.csv", "n,s\n1,x\n2,y\n")
    deprecating = make("t2")
    crawled(glue, deprecating)
    s3.delete_object(Bucket=bucket, Key="t2/f.csv")
    crawled(glue, deprecating)
    assert "DEPRECATED_BY_CRAWLER" in tables(glue, database)["t2"]["Parameters"]


def test_new_folders_alone_are_looked_into(glue: Any, database: str, put: Put, make: Callable[..., str]) -> None:
    put("t/k=1/f.json", '{"a": 1, "b": 2}')
    log = {"UpdateBehavior": "LOG", "DeleteBehavior": "LOG"}
    name = make("t", SchemaChangePolicy=log, RecrawlPolicy={"RecrawlBehavior": "CRAWL_NEW_FOLDERS_ONLY"})
    crawled(glue, name)
    put("t/k=1/more.json", '{"a": "text", "b": 2}')
    put("t/k=2/f.json", '{"a": 1, "b": 2, "c": 3, "d": 4}')
    crawled(glue, name)
    assert list(tables(glue, database)) == ["t"]
    assert columns(tables(glue, database)["t"]) == {"a": "int", "b": "int"}
    assert values(glue, database, "t") == [["1"], ["2"]]
    # Without the policy all is looked into; what lies deeper by now is no partition of the table that is left as it is.
    put("t/k=1/l=1/f.json", '{"a": 1, "b": 2}')
    put("t/k=2/l=1/f.json", '{"a": 1, "b": 2}')
    glue.update_crawler(Name=name, RecrawlPolicy={"RecrawlBehavior": "CRAWL_EVERYTHING"})
    crawled(glue, name)
    assert [key["Name"] for key in tables(glue, database)["t"]["PartitionKeys"]] == ["k"]
    assert values(glue, database, "t") == [["1"], ["2"]]


def test_a_crawler_crawls_as_it_is_configured(
    glue: Any, bucket: str, database: str, put: Put, make: Callable[..., str], unique: Callable[[str], str]
) -> None:
    put("in/year=2017/f.json", '{"a": 1, "b": 2}')
    put("in/year=2018/f.json", '{"c": 1, "d": 2}')
    put("in/skip/f.json", '{"c": 1, "d": 2}')
    excluded = {"Exclusions": ["skip/**"]}
    crawled(glue, make("in/skip/f.json", TablePrefix="One_"))
    assert list(tables(glue, database)) == ["one_f_json"]
    glue.delete_table(DatabaseName=database, Name="one_f_json")
    crawled(glue, make("in", target=excluded))
    assert sorted(tables(glue, database)) == ["year_2017", "year_2018"]
    for table in tables(glue, database):
        glue.delete_table(DatabaseName=database, Name=table)
    configuration = {
        "Version": 1.0,
        "CrawlerOutput": {
            "Partitions": {"AddOrUpdateBehavior": "InheritFromTable"},
            "Tables": {"AddOrUpdateBehavior": "MergeNewColumns"},
        },
        "Grouping": {"TableGroupingPolicy": "CombineCompatibleSchemas"},
        "CreatePartitionIndex": False,
    }
    name = make("in", target=excluded, Configuration=json.dumps(configuration))
    crawled(glue, name)
    table = tables(glue, database)["in"]
    assert columns(table) == dict.fromkeys("abcd", "int")
    partition = glue.get_partition(DatabaseName=database, TableName="in", PartitionValues=["2018"])["Partition"]
    assert columns(partition) == columns(table)
    reader = {"SerializationLibrary": "org.apache.hive.hcatalog.data.JsonSerDe", "Parameters": {"mine": "1"}}
    mine = [{"Name": "a", "Type": "string", "Comment": "mine"}]
    given = {member: table[member] for member in ("Name", "PartitionKeys", "TableType")}
    given["StorageDescriptor"] = {**table["StorageDescriptor"], "Columns": mine, "SerdeInfo": reader}
    given["Parameters"] = {**table["Parameters"], "owner": "me"}
    glue.update_table(DatabaseName=database, TableInput=given)
    put("in/year=2019/f.json", '{"a": 1}')
    for policy in ({}, {"SchemaChangePolicy": {"UpdateBehavior": "LOG", "DeleteBehavior": "LOG"}}):
        glue.update_crawler(Name=name, **policy)
        crawled(glue, name)
        table = tables(glue, database)["in"]
        assert columns(table) == {"a": "string", **dict.fromkeys("bcd", "int")}
        assert (table["Parameters"]["owner"], table["Parameters"]["objectCount"]) == ("me", "3")
        for partition in glue.get_partitions(DatabaseName=database, TableName="in")["Partitions"]:
            assert columns(partition) == columns(table)
            serde = partition["StorageDescriptor"]["SerdeInfo"]
            assert serde == {**reader, "Parameters": {"mine": "1", "paths": "a,b,c,d"}}
            assert partition["Parameters"]["objectCount"] == "1"
        put("in/year=2020/f.json", '{"a": 1}')
    given["StorageDescriptor"]["Columns"] = mine
    glue.update_table(DatabaseName=database, TableInput=given)
    crawled(glue, name)
    found = glue.get_partitions(DatabaseName=database, TableName="in")["Partitions"]
    assert [columns(partition) for partition in found] == [{"a": "string"}] * 4
    few = json.dumps({"Version": 1.0, "CrawlerOutput": {"Tables": {"TableThreshold": 1}}})
    failed = crawled(glue, make("in", Configuration=few), "FAILED")
    assert "greater than the table threshold" in failed["LastCrawl"]["ErrorMessage"]


def test_a_classifier_of_ones_own_knows_a_log(
    server: Server,
    glue: Any,
    bucket: str,
    database: str,
    put: Put,
    make: Callable[..., str],
    unique: Callable[[str], str],
) -> None:
    name = unique("log")
    pattern = "%{LEVEL:level} %{INT:millis:int} %{GREEDYDATA:text}"
    custom = "LEVEL (?:LOW|HIGH)"
    given = {"Name": name, "Classification": "app", "GrokPattern": pattern, "CustomPatterns": custom}
    glue.create_classifier(GrokClassifier=given)
    put("app/a.log", "HIGH 12 it is late\nLOW 3 it is not\n")
    crawled(glue, make("app", Classifiers=[name]))
    table = tables(glue, database)["app"]
    assert columns(table) == {"level": "string", "millis": "int", "text": "string"}
    assert table["Parameters"]["classification"] == "app"
    serde = table["StorageDescriptor"]["SerdeInfo"]
    assert serde["SerializationLibrary"] == "com.amazonaws.glue.serde.GrokSerDe"
    assert serde["Parameters"] == {"input.format": pattern, "input.grokCustomPatterns": custom}
    rows = queried(server, bucket, database, "select millis, level from app order by millis")
    assert rows == [["3", "LOW"], ["12", "HIGH"]]


def test_tables_of_the_catalog_are_brought_up_to_date(
    glue: Any, bucket: str, database: str, put: Put, unique: Callable[[str], str]
) -> None:
    put("hand/2024/a.csv", "n,s\n1,x\n2,y\n")
    put("hand/2025/a.csv", "n,s\n1,x\n2,y\n")
    descriptor = {"Columns": [{"Name": "old", "Type": "string"}], "Location": f"s3://{bucket}/hand/"}
    given = {"Name": "made", "PartitionKeys": [{"Name": "year", "Type": "int"}], "Parameters": {"mine": "1"}}
    glue.create_table(DatabaseName=database, TableInput={**given, "StorageDescriptor": descriptor})
    name = unique("crawler")
    glue.create_crawler(
        Name=name,
        Role="service-role/AmazonSageMaker-ExecutionRole",
        Targets={"CatalogTargets": [{"DatabaseName": database, "Tables": ["made"]}]},
        SchemaChangePolicy={"UpdateBehavior": "UPDATE_IN_DATABASE", "DeleteBehavior": "LOG"},
    )
    crawled(glue, name)
    table = tables(glue, database)["made"]
    assert columns(table) == {"n": "bigint", "s": "string"}
    assert (table["PartitionKeys"], table["Parameters"]["mine"]) == ([{"Name": "year", "Type": "int"}], "1")
    assert values(glue, database, "made") == [["2024"], ["2025"]]


def test_a_crawler_is_made_shown_changed_and_deleted(
    glue: Any, bucket: str, database: str, make: Callable[..., str]
) -> None:
    name = make("x", Schedule="cron(0 6 * * ? *)", Tags={"team": "lake"}, Description="mornings")
    with pytest.raises(glue.exceptions.AlreadyExistsException):
        glue.create_crawler(Name=name, Role=ROLE, DatabaseName=database, Targets={"S3Targets": [{"Path": "s3://b/"}]})
    shown = glue.get_crawler(Name=name)["Crawler"]
    assert (shown["State"], shown["Version"], shown["Targets"]["JdbcTargets"]) == ("READY", 1, [])
    assert shown["Schedule"] == {"ScheduleExpression": "cron(0 6 * * ? *)", "State": "SCHEDULED"}
    glue.stop_crawler_schedule(CrawlerName=name)
    with pytest.raises(glue.exceptions.SchedulerNotRunningException):
        glue.stop_crawler_schedule(CrawlerName=name)
    glue.start_crawler_schedule(CrawlerName=name)
    with pytest.raises(glue.exceptions.SchedulerRunningException):
        glue.start_crawler_schedule(CrawlerName=name)
    glue.update_crawler_schedule(CrawlerName=name, Schedule="")
    with pytest.raises(glue.exceptions.NoScheduleException):
        glue.start_crawler_schedule(CrawlerName=name)
    glue.update_crawler(Name=name, TablePrefix="p_", Description="")
    shown = glue.batch_get_crawlers(CrawlerNames=[name, "none"])
    assert shown["CrawlersNotFound"] == ["none"]
    assert (shown["Crawlers"][0]["TablePrefix"], shown["Crawlers"][0]["Version"]) == ("p_", 3)
    assert glue.list_crawlers(Tags={"team": "lake"})["CrawlerNames"].count(name) == 1
    assert name in [each["Name"] for each in glue.get_crawlers()["Crawlers"]]
    with pytest.raises(glue.exceptions.CrawlerNotRunningException):
        glue.stop_crawler(Name=name)
    glue.delete_crawler(Name=name)
    for call in (glue.get_crawler, glue.start_crawler, glue.delete_crawler):
        with pytest.raises(glue.exceptions.EntityNotFoundException):
            call(Name=name)


S3 = {"S3Targets": [{"Path": "s3://b/x/"}]}
LOGGED = {"UpdateBehavior": "LOG", "DeleteBehavior": "LOG"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"Targets": {}}, "at least one store"),
        ({"Targets": {"S3Targets": [{"Path": "/x"}]}}, "not one"),
        ({"Targets": {"S3Targets": [{"Path": "s3://b/", "ConnectionName": "c"}]}}, "ConnectionName of S3Targets"),
        ({"Targets": {"S3Targets": [{"Path": "s3://b/", "Exclusions": ["[a"]}]}}, "is missing"),
        ({"Targets": {"DynamoDBTargets": [{"Path": "t"}]}}, "no DynamoDB"),
        ({"Targets": {"JdbcTargets": [{"ConnectionName": "c", "Path": "db"}]}}, "database/schema/table"),
        ({"DatabaseName": None}, "DatabaseName is needed"),
        ({"Schedule": "rate(1 hour)"}, "by cron"),
        ({"Schedule": "cron(* * * * ? *)"}, "every 5 minutes"),
        ({"RecrawlPolicy": {"RecrawlBehavior": "CRAWL_NEW_FOLDERS_ONLY"}}, "can have only LOG"),
        ({"RecrawlPolicy": {"RecrawlBehavior": "CRAWL_EVENT_MODE"}}, "not supported"),
        ({"Configuration": "{"}, "not JSON"),
        ({"Configuration": '{"Version": 1.0, "Grouping": {"Nope": 1}}'}, "Nope is not known"),
        ({"LakeFormationConfiguration": {"UseLakeFormationCredentials": True}}, "Lake Formation"),
    ],
)
def test_what_a_crawler_could_not_do_is_refused(glue: Any, given: dict[str, Any], message: str) -> None:
    request = {"Name": "wrong", "Role": ROLE, "DatabaseName": "d", "Targets": S3, **given}
    with pytest.raises(ClientError, match=message) as refused:
        glue.create_crawler(**{member: value for member, value in request.items() if value is not None})
    assert refused.value.response["Error"]["Code"] == "InvalidInputException"

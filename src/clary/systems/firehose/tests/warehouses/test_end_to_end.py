"""From a client's puts into a real PostgreSQL and a real OpenSearch-compatible server, and what is said of the rest."""

import base64
import gzip
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.lake.tests.postgres import Postgres
from clary.systems.firehose.tests.conftest import ROLE, Client
from clary.systems.firehose.tests.warehouses.conftest import Search, quoted
from clary.testing import eventually

LINES = {"Enabled": True, "Processors": [{"Type": "AppendDelimiterToRecord"}]}


@pytest.fixture
def table(postgres: Postgres, unique: Callable[[str], str]) -> Iterator[str]:
    name = unique("orders")
    postgres.run("CREATE TABLE {} (id int NOT NULL, note text)", name)
    yield name
    postgres.run("DROP TABLE IF EXISTS {}", name)


def redshift(client: Client, postgres: Postgres, table: str, options: str, **members: Any) -> dict[str, Any]:
    return {
        "RoleARN": ROLE,
        "ClusterJDBCURL": postgres.url,
        "CopyCommand": {"DataTableName": quoted(table), "CopyOptions": options},
        "Username": "postgres",
        "Password": postgres.password,
        "S3Configuration": client.part(Prefix="staged/", **members.pop("s3", {})),
        **members,
    }


def search_of(client: Client, url: str, index: str, **members: Any) -> dict[str, Any]:
    return {
        "RoleARN": ROLE,
        "ClusterEndpoint": url,
        "IndexName": index,
        "IndexRotationPeriod": "NoRotation",
        "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 0},
        "S3Configuration": client.part(),
        **members,
    }


def test_every_record_becomes_a_row(client: Client, postgres: Postgres, table: str) -> None:
    logged = {"Enabled": True, "LogGroupName": client.unique("logs"), "LogStreamName": "load"}
    client.server.client("logs").create_log_group(logGroupName=logged["LogGroupName"])
    configuration = redshift(
        client,
        postgres,
        table,
        "json 'auto' gzip maxerror 10",
        s3={"CompressionFormat": "GZIP"},
        CloudWatchLoggingOptions=logged,
        S3BackupMode="Enabled",
        S3BackupConfiguration=client.part(Prefix="backup/"),
    )
    name = client.create(RedshiftDestinationConfiguration=configuration)
    shown = client.describe(name)["Destinations"][0]["RedshiftDestinationDescription"]
    assert shown["ClusterJDBCURL"] == postgres.url
    assert shown["RetryOptions"] == {"DurationInSeconds": 3600}
    assert "Password" not in json.dumps(shown)

    rows = [json.dumps({"id": number, "note": f"order {number}"}).encode() + b"\n" for number in range(3000)]
    client.put(name, [*rows[:1000], b'{"id": "none"}', *rows[1000:]])
    everything = [(number, f"order {number}") for number in range(3000)]
    found = eventually(lambda: len(found := postgres.run("SELECT * FROM {} ORDER BY id", table)) >= 3000 and found)
    assert found == everything
    ((key, failed),) = eventually(lambda: client.objects("staged/redshift-failed/")).items()
    assert key.endswith(".gz")
    (line,) = [json.loads(line) for line in gzip.decompress(failed).splitlines()]
    assert base64.b64decode(line["rawData"]) == b'{"id": "none"}'
    assert line["errorCode"] == "Redshift.DataLoadFailed"
    assert len(client.delivered(3000, "backup/")) >= 3000


def test_what_cannot_be_loaded_in_time_is_named_in_a_manifest(client: Client, postgres: Postgres, table: str) -> None:
    at_once = {"RetryOptions": {"DurationInSeconds": 0}}
    name = client.create(
        RedshiftDestinationConfiguration=redshift(client, postgres, table, "csv delimiter ';'", **at_once)
    )
    client.put(name, [b"no number;x\n"])
    (manifest,) = eventually(lambda: client.objects("staged/errors/manifests/")).values()
    (entry,) = json.loads(manifest)["entries"]
    prefix = f"s3://{client.bucket}/"
    assert entry["url"].startswith(f"{prefix}staged/2")
    assert client.objects(entry["url"].removeprefix(prefix)) == {entry["url"].removeprefix(prefix): b"no number;x\n"}
    client.put(name, [b"7;seven\n"])
    assert eventually(lambda: postgres.run("SELECT * FROM {}", table)) == [(7, "seven")]


def test_a_warehouse_that_was_down_has_everything_once_it_is_up(client: Client, postgres: Postgres, table: str) -> None:
    logs = client.server.client("logs")
    group = client.unique("logs")
    logs.create_log_group(logGroupName=group)
    logged = {"Enabled": True, "LogGroupName": group, "LogStreamName": "load"}
    configuration = redshift(
        client, postgres, table, "csv", CloudWatchLoggingOptions=logged, ProcessingConfiguration=LINES
    )
    name = client.create(RedshiftDestinationConfiguration=configuration)
    postgres.stop()
    try:
        client.put(name, [f"{number},x".encode() for number in range(1000)])
        told = eventually(lambda: [event["message"] for event in logs.filter_log_events(logGroupName=group)["events"]])
        assert json.loads(told[0])["errorCode"] == "Redshift.ConnectionFailed"
        client.put(name, [f"{number},x".encode() for number in range(1000, 1500)])
    finally:
        postgres.start()
    found = eventually(lambda: len(found := postgres.run("SELECT id FROM {} ORDER BY id", table)) >= 1500 and found)
    assert found == [(number,) for number in range(1500)]


def test_a_stream_of_kinesis_becomes_rows_and_documents(
    client: Client, postgres: Postgres, search: Search, table: str
) -> None:
    kinesis = client.server.client("kinesis")
    stream, index = client.unique("stream"), client.unique("orders").lower()
    kinesis.create_stream(StreamName=stream, ShardCount=2)
    kinesis.get_waiter("stream_exists").wait(StreamName=stream, WaiterConfig={"Delay": 1})
    arn = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamARN"]
    source = {
        "DeliveryStreamType": "KinesisStreamAsSource",
        "KinesisStreamSourceConfiguration": {"KinesisStreamARN": arn, "RoleARN": ROLE},
    }
    client.create(RedshiftDestinationConfiguration=redshift(client, postgres, table, "json 'auto'"), **source)
    client.create(AmazonopensearchserviceDestinationConfiguration=search_of(client, search.server.url, index), **source)
    for start in range(0, 1000, 250):
        records = [
            {"Data": json.dumps({"id": number}).encode(), "PartitionKey": str(number)}
            for number in range(start, start + 250)
        ]
        assert kinesis.put_records(StreamName=stream, Records=records)["FailedRecordCount"] == 0
    found = eventually(lambda: len(found := postgres.run("SELECT id FROM {} ORDER BY id", table)) >= 1000 and found)
    assert found == [(number,) for number in range(1000)]
    documents = eventually(lambda: len(found := search.documents(index)) >= 1000 and found)
    assert sorted(document["id"] for document in documents.values()) == list(range(1000))
    kinesis.delete_stream(StreamName=stream)


def test_another_table_after_an_update(client: Client, postgres: Postgres, table: str) -> None:
    name = client.create(RedshiftDestinationConfiguration=redshift(client, postgres, "no_such_table", "csv"))
    client.put(name, [b"1,waits\n"])
    described = client.describe(name)
    client.firehose.update_destination(
        DeliveryStreamName=name,
        CurrentDeliveryStreamVersionId=described["VersionId"],
        DestinationId=described["Destinations"][0]["DestinationId"],
        RedshiftDestinationUpdate={"CopyCommand": {"DataTableName": quoted(table), "CopyOptions": "csv"}},
    )
    assert eventually(lambda: postgres.run("SELECT * FROM {}", table)) == [(1, "waits")]


@pytest.mark.parametrize("kind", ["Amazonopensearchservice", "Elasticsearch"])
def test_every_record_becomes_a_document(client: Client, search: Search, kind: str) -> None:
    index = client.unique("orders").lower()
    secret = search.server.url.replace("http://", "http://user:secret@")
    configuration = search_of(client, secret, index, S3BackupMode="AllDocuments")
    name = client.create(**{f"{kind}DestinationConfiguration": configuration})
    shown = client.describe(name)["Destinations"][0][f"{kind}DestinationDescription"]
    assert shown["ClusterEndpoint"] == secret.replace("user:secret", "***")
    assert shown["DocumentIdOptions"] == {"DefaultDocumentIdFormat": "FIREHOSE_DEFAULT"}
    assert shown["RetryOptions"] == {"DurationInSeconds": 300}

    documents = [json.dumps({"n": number}).encode() for number in range(1500)]
    client.put(name, [*documents[:10], b'{"n": "no number"}', b"no JSON", *documents[10:]])
    found = eventually(lambda: len(found := search.documents(index)) >= 1500 and found)
    assert sorted(document["n"] for document in found.values()) == list(range(1500))

    def failed() -> list[dict[str, Any]] | None:
        lines = [json.loads(line) for line in client.lines("elasticsearch-failed/")]
        return lines if len(lines) >= 2 else None

    lines = {base64.b64decode(line["rawData"]): line for line in eventually(failed)}
    assert lines.keys() == {b'{"n": "no number"}', b"no JSON"}
    line = lines[b"no JSON"]
    assert line["errorCode"] == "400"
    assert json.loads(line["errorMessage"])["type"] == "mapper_parsing_exception"
    assert line["esIndexName"] == index
    assert f"{index}/{line['esDocumentId']}" not in found
    assert set(line) == {
        *("attemptsMade", "arrivalTimestamp", "errorCode", "errorMessage", "attemptEndingTimestamp", "rawData"),
        *("subsequenceNumber", "esDocumentId", "esIndexName", "esTypeName"),
    }


def test_documents_of_a_server_that_stays_away_go_to_the_error_output(client: Client, search: Search) -> None:
    index = client.unique("orders").lower()
    search.proxy.refusals = [503]
    configuration = search_of(client, search.proxy.url, index, RetryOptions={"DurationInSeconds": 0})
    name = client.create(AmazonopensearchserviceDestinationConfiguration=configuration)
    client.put(name, [b'{"n": 1}'])
    (data,) = eventually(lambda: client.objects("elasticsearch-failed/")).values()
    line = json.loads(data)
    assert line["errorCode"] == "OS.ServiceException"
    assert line["attemptsMade"] == 1
    client.put(name, [b'{"n": 2}'])
    assert list(eventually(lambda: search.documents(index)).values()) == [{"n": 2}]


@pytest.mark.parametrize(
    ("member", "changed", "told"),
    [
        ("Redshift", {"ClusterJDBCURL": "jdbc:mysql://h/d"}, "failed to satisfy constraint"),
        ("Redshift", {"ClusterJDBCURL": "jdbc:redshift://h:1/d?a=b"}, "the property 'a=b' is not known"),
        ("Redshift", {"CopyCommand": {"DataTableName": "t", "CopyOptions": "avro 'auto'"}}, "AVRO is not known"),
        ("Redshift", {"S3BackupMode": "Enabled"}, "S3BackupConfiguration cannot be null"),
        ("Amazonopensearchservice", {"ClusterEndpoint": None}, "ClusterEndpoint '' must look like"),
        (
            "Amazonopensearchservice",
            {"ClusterEndpoint": None, "DomainARN": "arn:aws:es:us-east-1:000000000000:domain/logs"},
            "as ClusterEndpoint",
        ),
        ("Elasticsearch", {"ProcessingConfiguration": LINES}, "each record is sent alone"),
        ("Elasticsearch", {"IndexName": "UPPER"}, "is no name of an index"),
    ],
)
def test_what_cannot_be_honoured_is_refused(
    client: Client, postgres: Postgres, member: str, changed: dict[str, Any], told: str
) -> None:
    good = (
        redshift(client, postgres, "t", "csv")
        if member == "Redshift"
        else search_of(client, "https://localhost:9", "index")
    )
    configuration = {name: value for name, value in (good | changed).items() if value is not None}
    with pytest.raises(ClientError, match=told):
        client.firehose.create_delivery_stream(
            DeliveryStreamName=client.unique("stream"), **{f"{member}DestinationConfiguration": configuration}
        )

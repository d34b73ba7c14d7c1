"""Delivery to tables of Iceberg in the Glue catalog, read by pyiceberg: exactly the records, once."""

import base64
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from botocore.exceptions import ClientError

from clary.systems.firehose.destinations.contract import Record
from clary.systems.firehose.tests.conftest import ROLE, Client
from clary.testing import eventually

pa = pytest.importorskip("pyarrow")
glue = pytest.importorskip("pyiceberg.catalog.glue")

import duckdb  # noqa: E402
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC, PartitionField, PartitionSpec  # noqa: E402
from pyiceberg.schema import Schema  # noqa: E402
from pyiceberg.transforms import DayTransform  # noqa: E402
from pyiceberg.types import (  # noqa: E402
    DecimalType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from clary.kernel.rooms.tests.in_process import ACCOUNT, REGION  # noqa: E402
from clary.lake.iceberg.acting import ContextAccess  # noqa: E402
from clary.lake.iceberg.appending import Note, append  # noqa: E402
from clary.lake.iceberg.creating import create, new_metadata  # noqa: E402
from clary.lake.iceberg.reading import scan_of  # noqa: E402
from clary.systems.firehose.conversion import rows  # noqa: E402
from clary.systems.firehose.destinations import iceberg_commits  # noqa: E402
from clary.systems.firehose.destinations.iceberg_commits import Item, NoTable  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

CATALOG = "arn:aws:glue:us-east-1:000000000000:catalog"
EVENTS = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "name", StringType()),
    NestedField(3, "at", TimestamptzType()),
    NestedField(4, "amount", DecimalType(10, 2)),
    NestedField(5, "tags", ListType(6, StringType(), element_required=True)),
    NestedField(7, "counts", MapType(8, StringType(), 9, LongType(), value_required=False)),
    NestedField(10, "place", StructType(NestedField(11, "lat", LongType(), required=True))),
    NestedField(12, "clock", TimeType()),
    NestedField(13, "uid", UUIDType()),
)
ONE = Schema(NestedField(1, "id", LongType(), required=True))


class Lake:
    """A catalog with a database of one's own, as a user of pyiceberg has it."""

    def __init__(self, client: Client, database: str) -> None:
        server = client.server
        self.database = database
        where = {"client.access-key-id": server.access_key, "client.secret-access-key": server.secret}
        place = {"client.region": "us-east-1", "glue.endpoint": server.endpoint, "s3.endpoint": server.endpoint}
        self.catalog = glue.GlueCatalog("clary", **where, **place)
        self.catalog.create_namespace(database, {"location": f"s3://{client.bucket}/lake"})

    def create(self, name: str, schema: Schema, **how: Any) -> Any:
        return self.catalog.create_table((self.database, name), schema, **how)

    def rows(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.catalog.load_table((self.database, name)).scan().to_arrow().to_pylist()
        return sorted(found, key=lambda row: json.dumps(row, default=str))


@pytest.fixture
def lake(client: Client, unique: Callable[[str], str]) -> Lake:
    return Lake(client, unique("ice").replace("-", "_").lower())


def destination(client: Client, tables: Sequence[dict[str, Any]] = (), **members: Any) -> dict[str, Any]:
    return {
        "RoleARN": ROLE,
        "CatalogConfiguration": {"CatalogARN": CATALOG},
        "S3Configuration": client.part(ErrorOutputPrefix="errors/"),
        "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 1},
        "DestinationTableConfigurationList": list(tables),
        **members,
    }


def extraction(query: str) -> dict[str, Any]:
    """The processing that finds in a record where it goes."""
    parameters = [
        {"ParameterName": "MetadataExtractionQuery", "ParameterValue": query},
        {"ParameterName": "JsonParsingEngine", "ParameterValue": "JQ-1.6"},
    ]
    return {"Enabled": True, "Processors": [{"Type": "MetadataExtraction", "Parameters": parameters}]}


def event(number: int) -> dict[str, Any]:
    return {
        "ID": number,
        "name": f"event {number}",
        "at": f"2024-03-0{number % 3 + 1}T12:00:00.5Z",
        "amount": 1.25,
        "tags": ["a"] * (number % 3),
        "counts": {"x": number, "y": None},
        "place": {"lat": 1},
        "clock": "12:30:00",
        "uid": "12345678-1234-5678-1234-567812345678",
    }


def test_a_table_has_exactly_the_records(client: Client, lake: Lake) -> None:
    by_day = PartitionSpec(PartitionField(source_id=3, field_id=1000, transform=DayTransform(), name="day"))
    lake.create("events", EVENTS, partition_spec=by_day)
    only = {"DestinationDatabaseName": lake.database, "DestinationTableName": "Events"}
    name = client.create(IcebergDestinationConfiguration=destination(client, [only]))
    shown = client.describe(name)["Destinations"][0]["IcebergDestinationDescription"]
    assert shown["DestinationTableConfigurationList"] == [only]
    bad = [b'{"name": "without an id"}', b'{"id": 1, "tags": [null]}', b'{"id": 2, "place": {"lat": null}}', b"no JSON"]
    client.put(name, [json.dumps(event(number)).encode() for number in range(1500)] + bad)
    eventually(lambda: lake.catalog.load_table((lake.database, "events")).current_snapshot())
    eventually(lambda: len(lake.rows("events")) >= 1500)
    found = lake.rows("events")
    assert sorted(row["id"] for row in found) == list(range(1500))
    one = next(row for row in found if row["id"] == 8)
    assert one == {
        "id": 8,
        "name": "event 8",
        "at": datetime(2024, 3, 3, 12, 0, 0, 500000, tzinfo=UTC),
        "amount": Decimal("1.25"),
        "tags": ["a", "a"],
        "counts": [("x", 8), ("y", None)],
        "place": {"lat": 1},
        "clock": time(12, 30),
        "uid": UUID("12345678-1234-5678-1234-567812345678"),
    }
    lines = [json.loads(line) for line in client.delivered(4, "errors/iceberg-failed/")]
    assert [base64.b64decode(line["rawData"]) for line in lines] == bad
    assert [line["errorCode"] for line in lines] == ["Iceberg.MalformedData"] * 3 + ["Iceberg.ParseError"]


def test_records_are_routed_and_change_rows_by_their_keys(client: Client, lake: Lake) -> None:
    schema = Schema(
        NestedField(1, "shop", StringType(), required=True),
        NestedField(2, "item", LongType(), required=True),
        NestedField(3, "count", LongType(), required=True),
    )
    for table in ("stock", "log"):
        lake.create(table, schema)
    query = f'{{destinationDatabaseName: "{lake.database}", destinationTableName: .to, operation: .op}}'
    keyed = {"DestinationDatabaseName": lake.database, "DestinationTableName": "stock", "UniqueKeys": ["shop", "item"]}
    configuration = destination(
        client,
        [keyed],
        ProcessingConfiguration=extraction(query),
    )
    name = client.create(IcebergDestinationConfiguration=configuration)

    def put(*steps: tuple[str, str, str, int, int | None]) -> None:
        keys = ("to", "op", "shop", "item", "count")
        records = [dict(zip(keys, step, strict=True)) for step in steps]
        client.put(name, [json.dumps({k: v for k, v in each.items() if v is not None}).encode() for each in records])

    put(
        *(("stock", "insert", shop, item, 10) for shop in "ab" for item in range(3)),
        ("stock", "update", "a", 0, 11),
        ("stock", "update", "c", 7, 1),
        ("log", "insert", "a", 0, 1),
        ("log", "insert", "a", 0, 1),
    )
    expected = {("a", 0): 11, ("a", 1): 10, ("a", 2): 10, ("b", 0): 10, ("b", 1): 10, ("b", 2): 10, ("c", 7): 1}

    def stock() -> dict[tuple[str, int], int]:
        rows = lake.rows("stock")
        assert len({(row["shop"], row["item"]) for row in rows}) == len(rows)
        return {(row["shop"], row["item"]): row["count"] for row in rows}

    eventually(lambda: stock() == expected and len(lake.rows("log")) == 2)
    put(
        ("stock", "delete", "a", 1, None),
        ("stock", "update", "b", 0, 5),
        ("stock", "update", "b", 0, 6),
        ("stock", "insert", "d", 1, 1),
        ("stock", "delete", "d", 1, None),
        ("log", "delete", "a", 0, None),
        ("none", "insert", "a", 0, 1),
        ("stock", "upsert", "a", 0, 1),
    )
    del expected["a", 1]
    eventually(lambda: stock() == {**expected, ("b", 0): 6})
    lines = [json.loads(line) for line in client.delivered(3, "errors/iceberg-failed/")]
    assert sorted(line["errorCode"] for line in lines) == [
        "Iceberg.InvalidMetadata",
        "Iceberg.InvalidMetadata",
        "Iceberg.NoSuchTable",
    ]
    assert len(lake.rows("log")) == 2


def test_what_comes_again_is_not_there_twice(platform, caller, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    caller("s3")("CreateBucket", Bucket="lake", CreateBucketConfiguration={"LocationConstraint": REGION})
    caller("glue")("CreateDatabase", DatabaseInput={"Name": "db"})
    access = ContextAccess(platform.acting_as_root(ACCOUNT, REGION, "glue", "GetTable"), tmp_path)
    schema = Schema(
        NestedField(1, "id", LongType(), required=True),
        NestedField(2, "parts", ListType(3, StructType(NestedField(4, "n", LongType(), required=False)), False)),
    )
    create(access, "db", "events", new_metadata(schema, UNPARTITIONED_PARTITION_SPEC, "s3://lake/events", {}))
    name = ("db", "events")

    def items(first: int, last: int) -> list[Item]:
        records = [Record("", 0, json.dumps({"id": number}).encode(), {}, (number, 0)) for number in range(first, last)]
        records.append(Record("", 0, b"{}", {}, (last - 1, 1)))
        return [Item(index, record, "insert") for index, record in enumerate(records)]

    def commit(table: Any, wanted: list[Item]) -> list[int]:
        return [failure.index for failure in iceberg_commits.commit(access, table, wanted, [], "stream-1")]

    def read() -> list[tuple[Any, ...]]:
        with duckdb.connect() as connection:
            connection.execute(f"CREATE VIEW t AS {scan_of(iceberg_commits.load(access, name), 't').sql}")
            return sorted(connection.execute("SELECT id, parts FROM t").fetchall())

    monkeypatch.setattr(rows, "_READ_AT_ONCE_BYTES", 50)  # of some ten bytes each
    for _ in range(2):
        assert commit(iceberg_commits.load(access, name), items(0, 10)) == [10]
    behind = iceberg_commits.load(access, name)
    append(access, *name, pa.table({"id": [99]}), Note("other", 1))
    assert commit(behind, items(0, 20)) == [20]  # goes over what others added
    assert commit(behind, items(0, 20)) == [20]  # what is there by now is not added again
    assert read() == [(number, None) for number in (*range(20), 99)]
    assert iceberg_commits.load(access, name).metadata.properties == {"stream-1": "19:1", "other": "1"}
    with pytest.raises(NoTable):
        iceberg_commits.load(access, ("db", "other"))


def test_a_role_writes_only_what_it_may(client: Client, lake: Lake, unique: Callable[[str], str]) -> None:
    lake.create("events", ONE)
    iam, role = client.server.client("iam"), unique("role")
    trust = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"Service": "firehose.amazonaws.com"},
            "Action": "sts:AssumeRole",
        },
    }
    arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    errors = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    iam.put_role_policy(
        RoleName=role, PolicyName="s3", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": errors})
    )
    only = {"DestinationDatabaseName": lake.database, "DestinationTableName": "events"}
    configuration = destination(client, [only], RoleARN=arn, RetryOptions={"DurationInSeconds": 0})
    name = client.create(IcebergDestinationConfiguration=configuration)
    client.put(name, [b'{"id": 1}'])
    (line,) = client.delivered(1, "errors/iceberg-failed/")
    assert json.loads(line)["errorCode"] == "Iceberg.AccessDenied"
    assert lake.rows("events") == []


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"SchemaEvolutionConfiguration": {"Enabled": True}}, "SchemaEvolutionConfiguration"),
        ({"TableCreationConfiguration": {"Enabled": True}}, "TableCreationConfiguration"),
        ({"CatalogConfiguration": {"CatalogARN": f"{CATALOG}/s3tablescatalog/b"}}, "own catalog"),
        ({"CatalogConfiguration": {"WarehouseLocation": "s3://b/"}}, "WarehouseLocation"),
        ({"tables": [("d", "t"), ("D", "T")]}, "more than once"),
        ({"AppendOnly": True, "tables": [("d", "t")]}, "AppendOnly"),
        ({"ProcessingConfiguration": extraction("{table: .table}")}, "keys of MetadataExtractionQuery"),
    ],
)
def test_what_cannot_be_honoured_is_refused(client: Client, members: dict[str, Any], message: str) -> None:
    tables = [
        {"DestinationDatabaseName": database, "DestinationTableName": table, "UniqueKeys": ["id"]}
        for database, table in members.pop("tables", ())
    ]
    with pytest.raises(ClientError, match=message) as refused:
        client.create(IcebergDestinationConfiguration=destination(client, tables, **members))
    assert refused.value.response["Error"]["Code"] == "InvalidArgumentException"

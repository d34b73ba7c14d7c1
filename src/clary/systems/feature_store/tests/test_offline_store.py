"""What is in the log of a group comes into its offline store once, whatever is killed; what blocks it is told."""

import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.noop import NoopCatalog
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.serializers import FromInputFile
from pyiceberg.table import Table

from clary.kernel.auth.directory import DEFAULT_ROLE, DEFAULT_ROLE_PATH
from clary.kernel.core.clock import VirtualClock
from clary.kernel.core.errors import AwsError
from clary.kernel.core.settings import Settings
from clary.kernel.rooms import Platform
from clary.kernel.rooms.tests.crossings import Crash, Fuse, fuses
from clary.kernel.rooms.tests.in_process import ACCOUNT, REGION, calling, reconcilers
from clary.systems.feature_store import offline_log
from clary.systems.feature_store.offline.configuration import completed_offline
from clary.systems.feature_store.offline.draining import DRAINING_TOPIC
from clary.systems.feature_store.offline.preparing import Blocked, prepare
from clary.systems.feature_store.records import CREATED, DELETING, FeatureGroup

ROLE = f"arn:aws:iam::{ACCOUNT}:role{DEFAULT_ROLE_PATH}{DEFAULT_ROLE}"
DEFINITIONS = [
    {"FeatureName": "id", "FeatureType": "String"},
    {"FeatureName": "time", "FeatureType": "Fractional"},
    {"FeatureName": "Amount", "FeatureType": "Integral"},
]
KEY = f"{ACCOUNT}/{REGION}/group"
TABLE = {"DatabaseName": "sagemaker_featurestore", "TableName": "group_1593511200"}


class World:
    """A home with a feature group whose log is filled by hand, and the reconciler that drains it."""

    def __init__(self, folder: Path, *, bucket: bool = True, **config: Any) -> None:
        self.text = config.get("TableFormat") == "Iceberg"
        definitions = [
            {**each, "FeatureType": "String"} if self.text and each["FeatureName"] == "time" else each
            for each in DEFINITIONS
        ]
        self.clock = VirtualClock()
        self.platform = Platform(Settings.load({}, home=str(folder), ephemeral=True), self.clock)
        self.platform.keys.ensure_default()
        if bucket:
            self.platform.objects.buckets.create("bucket", ACCOUNT, REGION)
        self.kv: Any = self.platform.kv(offline_log.DOMAIN)
        self.write = self.kv.write
        self.groups = self.platform.records(FeatureGroup).within(ACCOUNT, REGION)
        given = {"S3StorageConfig": {"S3Uri": "s3://bucket/features"}, **config}
        place = {"account": ACCOUNT, "region": REGION, "group": "group", "created_at": 1593511200.0}
        offline = completed_offline(given, **place, event_time="time", definitions=definitions)
        group = FeatureGroup(
            uid="uid", arn="arn", identifier="id", event_time="time", definitions=definitions, online=None,
            offline=offline, throughput={}, role_arn=ROLE, role=ROLE, offline_status={"Status": "Active"},
        )  # fmt: skip
        self.groups.create("group", group, status=CREATED)
        self.location = offline["S3StorageConfig"]["ResolvedOutputS3Uri"].removeprefix("s3://bucket/")
        self.glue = calling(self.platform, "glue")

    def prepare(self) -> None:
        entry = self.groups.get("group")
        assert entry is not None
        prepare(self.platform, entry)

    def put(self, id: str, event: float, amount: int | None = None, *, deleted: bool = False, **more: str) -> None:
        time = f"{datetime.fromtimestamp(event, UTC):%Y-%m-%dT%H:%M:%SZ}" if self.text else str(event)
        values = {"id": id, "time": time, **({} if amount is None else {"Amount": str(amount)}), **more}
        entry = offline_log.entry_of(values, time, self.clock.now(), deleted=deleted)
        self.write(lambda tx: offline_log.append(tx, "uid", entry))

    def drain(self, seconds: float = 10.0) -> float | None:
        self.clock.advance(seconds)
        return reconcilers(self.platform)[DRAINING_TOPIC](KEY)

    def files(self) -> dict[str, list[dict[str, Any]]]:
        objects = self.platform.objects
        return {
            listed.key.removeprefix(f"{self.location}/"): pq.read_table(
                io.BytesIO(objects.get_bytes("bucket", listed.key)), partitioning=None
            ).to_pylist()
            for listed in objects.list("bucket", self.location)
        }

    def objects(self) -> list[str]:
        """The objects below the folder of the group."""
        folder = self.location.removesuffix("data")
        return [listed.key.removeprefix(folder) for listed in self.platform.objects.list("bucket", folder)]

    def rows(self) -> list[dict[str, Any]]:
        return [row for rows in self.files().values() for row in rows]

    def status(self) -> dict[str, str]:
        found = self.groups.get("group")
        assert found is not None
        return found.value.offline_status or {}

    @property
    def waiting(self) -> list[str]:
        return offline_log.groups(self.kv)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "home")
    yield made
    made.platform.close()


def test_entries_become_files_by_the_hour_once_the_first_has_waited(world: World) -> None:
    world.prepare()
    world.put("a", 3600.0, 1)
    world.clock.advance(4.0)
    world.put("b", 3599.5)
    world.put("a", 3700.0, deleted=True)
    assert world.drain(0.5) == pytest.approx(0.5)
    assert world.files() == {}
    assert world.drain(0.5) is None
    first, second = sorted(world.files())
    assert first.startswith("year=1970/month=01/day=01/hour=00/19700101T005959Z_")
    assert second.startswith("year=1970/month=01/day=01/hour=01/19700101T010140Z_")
    put, deleted = world.files()[second]
    assert list(put) == ["id", "time", "Amount", "write_time", "api_invocation_time", "is_deleted"]
    assert (put["id"], put["time"], put["Amount"], put["is_deleted"]) == ("a", 3600.0, 1, False)
    assert (deleted["id"], deleted["Amount"], deleted["is_deleted"]) == ("a", None, True)
    assert (put["write_time"] - put["api_invocation_time"]).total_seconds() == 5.0
    assert world.waiting == []
    partitions = world.glue("GetPartitions", **TABLE)["Partitions"]
    assert [each["Values"] for each in partitions] == [["1970", "01", "01", "00"], ["1970", "01", "01", "01"]]
    [location] = {each["StorageDescriptor"]["Location"].rpartition("/year=")[0] for each in partitions}
    table = world.glue("GetTable", DatabaseName=TABLE["DatabaseName"], Name=TABLE["TableName"])["Table"]
    assert table["StorageDescriptor"]["Location"] == location == f"s3://bucket/{world.location}"


@pytest.mark.parametrize("table_format", ["Glue", "Iceberg"])
def test_every_entry_is_in_the_store_once_whenever_draining_is_killed(tmp_path: Path, table_format: str) -> None:
    for fuse in fuses(10):
        world = World(tmp_path / str(fuse.burns_at), TableFormat=table_format)
        world.prepare()
        cross(world, fuse)
        for number in range(3):
            for hour in range(2):
                world.put(f"{number}-{hour}", (24 if world.text else 1) * hour * 3600.0 + number, number)
            with suppress(Crash):
                world.drain()
        world.drain()
        rows = iceberg_rows(world) if world.text else world.rows()
        assert Counter(row["id"] for row in rows) == Counter(f"{n}-{h}" for n in range(3) for h in range(2))
        if not world.text:
            assert len(world.glue("GetPartitions", **TABLE)["Partitions"]) == 2
        assert world.waiting == []
        world.platform.close()


def iceberg_rows(world: World) -> list[dict[str, Any]]:
    """The rows of the files that the table has, and no others."""
    return iceberg_table(world).scan().to_arrow().to_pylist()  # type: ignore[no-any-return]


def iceberg_table(world: World) -> Any:
    """The table as any reader of Iceberg sees it."""
    table = world.glue("GetTable", DatabaseName=TABLE["DatabaseName"], Name=TABLE["TableName"])["Table"]
    home = world.platform.objects

    class Local(PyArrowFileIO):
        def new_input(self, location: str) -> Any:
            return super().new_input(str(home.local_path("bucket", location.removeprefix("s3://bucket/"))))

    io = Local()
    location = table["Parameters"]["metadata_location"]
    metadata = FromInputFile.table_metadata(io.new_input(location))
    return Table(("db", "table"), metadata, location, io, NoopCatalog("none"))


def cross(world: World, fuse: Fuse) -> None:
    """Have everything that draining writes cross the fuse."""
    objects: Any = world.platform.objects
    store: Any = world.platform.store
    world.kv.write = fuse.wrap(world.kv.write)
    objects.put_bytes = fuse.wrap(objects.put_bytes)
    store.apply = fuse.wrap(store.apply)


def test_a_store_that_cannot_be_written_keeps_its_entries_and_says_why(tmp_path: Path) -> None:
    world = World(tmp_path / "home", bucket=False)
    world.put("a", 1.0)
    rest = world.drain()
    assert rest is not None
    assert rest > 0
    assert world.status()["Status"] == "Blocked"
    assert "does not exist" in world.status()["BlockedReason"]
    world.platform.objects.buckets.create("bucket", ACCOUNT, REGION)
    assert world.drain(0.0) == pytest.approx(rest)
    world.put("b", 2.0)
    while world.waiting:
        world.drain()
    assert world.status() == {"Status": "Active"}
    assert [row["id"] for row in world.rows()] == ["a", "b"]
    world.platform.close()


def test_a_role_that_may_not_write_blocks_the_store(world: World) -> None:
    iam = calling(world.platform, "iam")
    who = {"Service": "sagemaker.amazonaws.com"}
    trust = {"Statement": [{"Effect": "Allow", "Principal": who, "Action": "sts:AssumeRole"}]}
    arn = iam("CreateRole", RoleName="weak", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    world.groups.update("group", lambda group: type(group)(**{**vars_of(group), "role": arn}))
    world.put("a", 1.0)
    world.drain()
    assert "may not write to s3://bucket/features" in world.status()["BlockedReason"]
    assert "s3:PutObject" in world.status()["BlockedReason"]
    iam("DeleteRole", RoleName="weak")
    while world.status()["BlockedReason"].startswith("The role"):
        world.drain(100.0)
    assert "Could not assume role" in world.status()["BlockedReason"]
    assert world.waiting == ["uid"]


def vars_of(group: FeatureGroup) -> dict[str, Any]:
    return {name: getattr(group, name) for name in FeatureGroup.__dataclass_fields__}


def test_new_features_are_new_columns_of_the_table(world: World) -> None:
    world.prepare()
    world.put("a", 1.0, 1)
    world.drain()
    added = {"FeatureName": "Late", "FeatureType": "String"}
    world.groups.update("group", lambda group: type(group)(**{**vars_of(group), "definitions": [*DEFINITIONS, added]}))
    world.prepare()
    world.prepare()
    world.put("b", 2.0, Late="x")
    world.drain()
    assert {row["id"]: row.get("Late") for row in world.rows()} == {"a": None, "b": "x"}
    table = world.glue("GetTable", DatabaseName=TABLE["DatabaseName"], Name=TABLE["TableName"])["Table"]
    assert [each["Name"] for each in table["StorageDescriptor"]["Columns"]] == [
        "id", "time", "amount", "late", "write_time", "api_invocation_time", "is_deleted",
    ]  # fmt: skip
    assert (table["VersionId"], table["TableType"]) == ("1", "EXTERNAL_TABLE")


def test_a_table_of_iceberg_is_parted_by_the_day_and_gets_new_features(tmp_path: Path) -> None:
    world = World(tmp_path / "home", TableFormat="Iceberg")
    world.prepare()
    world.prepare()
    world.put("a", 1.0, 1)
    world.put("b", 90_000.0, deleted=True)
    world.drain()
    added = {"FeatureName": "Late", "FeatureType": "Integral", "CollectionType": "List"}
    world.groups.update(
        "group", lambda group: type(group)(**{**vars_of(group), "definitions": [*group.definitions, added]})
    )
    world.put("c", 2.0)
    world.drain()
    table = iceberg_table(world)
    first, *_ = sorted(key for key in world.objects() if "19700101T000001Z" in key)
    assert re.fullmatch(r"data/\w{8}/time_trunc=1970-01-01/19700101T000001Z_\w{16}\.parquet", first)
    assert table.metadata.location == f"s3://bucket/{world.location}".removesuffix("/data")
    assert [field.name for field in table.schema().fields] == [
        "id", "time", "amount", "write_time", "api_invocation_time", "is_deleted", "late",
    ]  # fmt: skip
    rows = sorted(iceberg_rows(world), key=lambda row: str(row["id"]))
    assert [(row["id"], row["amount"], row["is_deleted"]) for row in rows] == [
        ("a", 1, False), ("b", None, True), ("c", None, False),
    ]  # fmt: skip
    assert [row["partition"]["time_trunc"] for row in table.inspect.partitions().to_pylist()] == [
        "1970-01-01", "1970-01-02",
    ]  # fmt: skip
    world.platform.close()


def test_anothers_table_is_not_taken(world: World) -> None:
    world.glue("CreateDatabase", DatabaseInput={"Name": TABLE["DatabaseName"]})
    world.glue("CreateTable", DatabaseName=TABLE["DatabaseName"], TableInput={"Name": TABLE["TableName"]})
    with pytest.raises(Blocked, match="Another table has the name"):
        world.prepare()


def test_no_table_is_told_where_none_is_wanted(tmp_path: Path) -> None:
    world = World(tmp_path / "home", DisableGlueTableCreation=True)
    world.prepare()
    world.put("a", 1.0)
    world.drain()
    assert [row["id"] for row in world.rows()] == ["a"]
    assert world.glue("GetDatabases")["DatabaseList"] == []
    world.platform.close()


def test_a_group_that_is_being_deleted_is_written_to_its_end(world: World) -> None:
    world.prepare()
    world.put("a", 1.0)
    entry = world.groups.get("group")
    assert entry is not None
    world.groups.replace(entry, entry.value, status=DELETING)
    world.drain(0.0)
    assert [row["id"] for row in world.rows()] == ["a"]
    world.put("b", 2.0)
    world.platform.objects.delete("bucket", next(iter(world.platform.objects.list("bucket", ""))).key)
    with suppress(AwsError):
        world.platform.objects.buckets.delete("bucket", ACCOUNT)
    world.drain(0.0)
    assert world.waiting == [], "there is no other try"


def test_what_deleted_groups_leave_in_the_log_is_forgotten(world: World) -> None:
    world.put("a", 1.0)
    world.groups.delete("group")
    reconcilers(world.platform)[DRAINING_TOPIC](None)
    assert world.waiting == []
    assert world.files() == {}

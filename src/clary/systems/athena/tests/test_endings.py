"""How statements end that write: one that succeeds has done all of it, one that does not has changed nothing."""

import contextlib
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("pyiceberg")

from clary.kernel.rooms import Platform
from clary.kernel.rooms.tests.in_process import ACCOUNT, REGION
from clary.kernel.store import Entry
from clary.lake.iceberg.expiring import vacuum
from clary.systems.athena.reconcile import forget
from clary.systems.athena.records import FAILED, HISTORY_SECONDS, SUCCEEDED, UNFINISHED, QueryExecution, TableWrite
from clary.systems.athena.running.drive import drive
from clary.systems.athena.running.run import Limits, Run
from clary.systems.athena.tests.lone import Killed, Lone

USER, RESULTS = "analyst", "results"
ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}

WRITES = {
    "an INSERT": "INSERT INTO plain VALUES 3",
    "an INSERT of partitions": "INSERT INTO parted VALUES (1, 'a'), (2, 'b'), (3, 'old')",
    "a CTAS": "CREATE TABLE made WITH (partitioned_by = ARRAY['k'], external_location = 's3://data/made/') AS "
    "SELECT 1 a, 'x' k",
    "an UNLOAD": "UNLOAD (SELECT 1 a) TO 's3://data/unloaded/' WITH (format = 'JSON')",
    "an Iceberg INSERT": "INSERT INTO ice VALUES (3, 'c')",
    "an Iceberg CTAS": "CREATE TABLE iced WITH (table_type = 'ICEBERG', is_external = false, "
    "location = 's3://data/iced/') AS SELECT 1 a",
    "an UPDATE": "UPDATE ice SET k = 'z' WHERE a = 1",
    "a DELETE of all rows": "DELETE FROM ice",
}
DEFINES = {
    "CREATE DATABASE": "CREATE DATABASE other",
    "CREATE TABLE": "CREATE EXTERNAL TABLE made (a int) LOCATION 's3://data/made/'",
    "an Iceberg CREATE TABLE": "CREATE TABLE iced (a int) LOCATION 's3://data/iced/' "
    "TBLPROPERTIES ('table_type' = 'ICEBERG')",
    "DROP TABLE": "DROP TABLE plain",
    "ADD PARTITION": "ALTER TABLE parted ADD PARTITION (k = 'new')",
    "ADD COLUMNS": "ALTER TABLE ice ADD COLUMNS (b string)",
}


class InProcess(Run):
    """A query as the runner makes it, whose engine is in the test's own process.

    `lives` counts what it may still do to the world before it is killed; None is for ever.
    """

    def __init__(self, world: "World", ctx: Any, entry: Entry[QueryExecution]) -> None:
        about = {"catalog": "awsdatacatalog", "database": "db", "output": entry.value.output, "work_group": "primary"}
        ends_at = ctx.platform.clock.monotonic() + 600
        limits: Any = Limits(1 << 30, 1)
        super().__init__(
            ctx, None, limits, execution_id=entry.name, settings=entry.value.settings, ends_at=ends_at, **about
        )  # type: ignore[arg-type]
        world.lone.begin(entry.name)
        self._world = world
        self._delete = self.own.delete
        self.own.delete = self._discard  # type: ignore[method-assign]

    @property
    def folder(self) -> Path:
        return self._world.lone.folder

    def run(self, task: Any) -> Any:
        self._world.meanwhile()
        return self._world.lone.run(task)

    def call(self, operation: str, *, service: str = "glue", **params: Any) -> dict[str, Any]:
        self._world.live()
        return super().call(operation, service=service, **params)

    def put(self, uri: str, path: Path) -> None:
        self._world.live()
        super().put(uri, path)

    def announce(self, outcome: Any) -> None:
        self._world.live()
        super().announce(outcome)

    def _discard(self, uris: Sequence[str]) -> None:
        self._world.live()
        self._delete(uris)


class World:
    """A lake, and a user who has statements run on it."""

    def __init__(self, platform: Platform, caller: Callable[..., Any], lone: Lone) -> None:
        self.platform, self.lone, self.lives = platform, lone, None
        self.athena, self.iam, self.s3, self.glue = (caller(name) for name in ("athena", "iam", "s3", "glue"))
        self.meanwhile: Callable[[], object] = lambda: None
        self.s3("CreateBucket", Bucket=RESULTS, CreateBucketConfiguration={"LocationConstraint": REGION})
        user = self.iam("CreateUser", UserName=USER)["User"]
        self._caller = {
            "kind": "user",
            "account": ACCOUNT,
            "partition": "aws",
            "name": USER,
            "session": "",
            "path": "/",
        }
        self._caller |= {"unique_id": user["UserId"], "unlimited": False, "session_policies": None}
        self.allow(ALL)
        for text in (
            "CREATE EXTERNAL TABLE plain (a int) LOCATION 's3://data/plain/'",
            "CREATE EXTERNAL TABLE parted (a int) PARTITIONED BY (k string) LOCATION 's3://data/parted/'",
            "INSERT INTO parted VALUES (0, 'old')",
            "CREATE TABLE ice (a int, k string) LOCATION 's3://data/ice/' TBLPROPERTIES ('table_type' = 'ICEBERG')",
            "INSERT INTO ice VALUES (1, 'a'), (2, 'b')",
        ):
            lone.perform(text)

    def allow(self, *statements: dict[str, Any]) -> None:
        """Have these statements be all that the user's policies say."""
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        self.iam("PutUserPolicy", UserName=USER, PolicyName="own", PolicyDocument=policy)

    def start(self, text: str, results: str = f"s3://{RESULTS}/") -> str:
        """Have a query wait, of the user."""
        where = {"OutputLocation": results}
        context = {"Database": "db"}
        name: str = self.athena(
            "StartQueryExecution", QueryString=text, QueryExecutionContext=context, ResultConfiguration=where
        )["QueryExecutionId"]
        entry = self.entry(name)
        table = self.platform.records(QueryExecution).within(ACCOUNT, REGION)
        table.replace(entry, replace(entry.value, caller=self._caller))
        return name

    def drive(self, name: str) -> QueryExecution:
        drive(self.platform, self.entry(name), lambda ctx, entry: InProcess(self, ctx, entry))
        return self.entry(name).value

    def run(self, text: str) -> tuple[str, str]:
        """How a query ends, and why."""
        name = self.start(text)
        reason = self.drive(name).reason
        return self.entry(name).status, reason

    def entry(self, name: str) -> Entry[QueryExecution]:
        found = self.platform.records(QueryExecution).within(ACCOUNT, REGION).get(name)
        assert found is not None
        return found

    def live(self) -> None:
        if self.lives is not None:
            if self.lives <= 0:
                raise Killed
            self.lives -= 1

    def state(self) -> dict[str, Any]:
        """All that statements change: objects, databases, tables and partitions."""
        state: dict[str, Any] = {"objects": self.lone.uris("")}
        for database in self.glue("GetDatabases")["DatabaseList"]:
            tables = self.glue("GetTables", DatabaseName=database["Name"])["TableList"]
            state[database["Name"]] = {
                table["Name"]: (
                    table["VersionId"],
                    [
                        (each["Values"], each["StorageDescriptor"]["Location"])
                        for each in self.glue("GetPartitions", DatabaseName=database["Name"], TableName=table["Name"])[
                            "Partitions"
                        ]
                    ],
                )
                for table in tables
            }
        return state

    def results(self) -> list[str]:
        return [each.key for each in self.platform.objects.list(RESULTS, "", account=ACCOUNT)]


@pytest.fixture
def world(platform: Platform, caller: Callable[..., Any], lone: Lone) -> World:
    return World(platform, caller, lone)


@pytest.mark.parametrize("text", [*WRITES.values(), *DEFINES.values()], ids=[*WRITES, *DEFINES])
def test_a_statement_whose_results_may_not_be_stored_changes_nothing(world, text):
    before = world.state()
    world.allow(ALL, {"Effect": "Deny", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{RESULTS}/*"})
    status, reason = world.run(text)
    assert (status, world.state()) == (FAILED, before)
    assert "not authorized to perform: s3:PutObject on resource: arn:aws:s3:::results/" in reason


@pytest.mark.parametrize("text", WRITES.values(), ids=WRITES)
def test_results_that_cannot_be_stored_any_more_undo_what_writes(world, text):
    before = world.state()
    world.meanwhile = lambda: world.s3("DeleteBucket", Bucket=RESULTS)
    status, reason = world.run(text)
    assert (status, world.state()) == (FAILED, before)
    assert "NoSuchBucket" in reason


def test_what_is_done_succeeds_though_its_results_cannot_be_stored_any_more(world, monkeypatch):
    call = InProcess.call

    def dropping(self: InProcess, operation: str, **params: Any) -> dict[str, Any]:
        done = call(self, operation, **params)
        if operation == "DeleteTable":
            world.s3("DeleteBucket", Bucket=RESULTS)
        return done

    monkeypatch.setattr(InProcess, "call", dropping)
    assert world.run("DROP TABLE plain") == (SUCCEEDED, "")
    assert "plain" not in world.state()["db"]


@pytest.mark.parametrize(
    ("kind", "action"),
    [
        ("a CTAS", "glue:CreateTable"),
        ("a CTAS", "glue:BatchCreatePartition"),
        ("an INSERT of partitions", "glue:BatchCreatePartition"),
        ("an Iceberg CTAS", "glue:CreateTable"),
        ("an Iceberg INSERT", "glue:UpdateTable"),
        ("an UPDATE", "glue:UpdateTable"),
    ],
)
def test_a_statement_that_fails_leaves_nothing_whatever_its_caller_may_remove(world, kind, action):
    before = world.state()
    forbidden = [action, "s3:DeleteObject", "glue:DeleteTable", "glue:BatchDeletePartition", "glue:DeletePartition"]
    world.allow(ALL, {"Effect": "Deny", "Action": forbidden, "Resource": "*"})
    status, reason = world.run(WRITES[kind])
    assert (status, world.state(), world.results()) == (FAILED, before, [])
    assert action in reason


@pytest.mark.parametrize("text", WRITES.values(), ids=WRITES)
def test_what_is_cut_off_and_has_no_caller_any_more_is_undone_or_was_done(world, text):
    """Kill the statement before each thing that it does to the world, delete who asked for it, and look."""
    before = world.state()
    for lives in itertools.count():
        world.lives, name = lives, world.start(text)
        killed = False
        try:
            world.drive(name)
        except Killed:
            killed = True
        world.lives = None
        if not killed:
            break
        assert world.entry(name).status in UNFINISHED
        ended = _gone(world, name)
        assert world.entry(name).status == FAILED, ended
        assert "is not there any more" in ended.reason
        after = world.state()
        # What leads to nothing is found by VACUUM.
        after["objects"] = [uri for uri in after["objects"] if "/metadata/" not in uri or uri in before["objects"]]
        assert (after, world.results()) == (before, []), lives
    assert lives >= 2
    assert world.entry(name).status == SUCCEEDED
    assert world.state() != before


def test_an_iceberg_statement_that_is_cut_off_writes_once_and_leaves_no_data_files(world):
    for lives in itertools.count():
        world.lives, name = lives, world.start(WRITES["an Iceberg INSERT"])
        try:
            world.drive(name)
        except Killed:
            world.lives = None
            world.drive(name)
        assert world.entry(name).status == SUCCEEDED
        assert world.entry(name).value.update_count == 1
        assert world.lone.select("SELECT count(*) FROM ice WHERE k = 'c'") == [[str(lives + 1)]]
        assert len(world.lone.uris("ice/data/")) == lives + 2
        if world.lives is not None:
            break
    assert lives >= 4


@pytest.mark.parametrize("meanwhile", ["", "ALTER TABLE ice RENAME TO iced", "expired"])
def test_what_was_committed_when_it_was_cut_off_succeeds_whoever_asked_for_it(world, monkeypatch, meanwhile):
    call = InProcess.call

    def killed(self: InProcess, operation: str, **params: Any) -> dict[str, Any]:
        call(self, operation, **params)
        raise Killed

    name = world.start(WRITES["an Iceberg INSERT"])
    with monkeypatch.context() as patching:
        patching.setattr(
            InProcess,
            "call",
            lambda self, operation, **params: (killed if operation == "UpdateTable" else call)(
                self, operation, **params
            ),
        )
        with pytest.raises(Killed):
            world.drive(name)
    if meanwhile == "expired":
        world.lone.perform("INSERT INTO ice VALUES (4, 'd')")
        assert vacuum(world.lone, "db", "ice", world.platform.clock.now() + 1e6).snapshots == 2
    elif meanwhile:
        world.lone.perform(meanwhile)
    ended = _gone(world, name)
    assert (world.entry(name).status, ended.substatement, ended.update_count) == (SUCCEEDED, "INSERT", 1)
    table = "iced" if "iced" in meanwhile else "ice"
    assert world.lone.select(f"SELECT a FROM {table} WHERE k = 'c'") == [["3"]]
    manifest = ended.manifest.removeprefix(f"s3://{RESULTS}/")
    path = world.platform.objects.local_path(RESULTS, manifest, account=ACCOUNT)
    assert path.read_text().splitlines() == [uri for uri in world.lone.uris("ice/data/") if name in uri]


def test_rows_that_are_committed_while_a_table_gets_another_name_are_there(world, monkeypatch):
    call = InProcess.call

    def overtaken(self: InProcess, operation: str, **params: Any) -> dict[str, Any]:
        done = call(self, operation, **params)
        if operation == "CreateTable" and world.lone.select("SELECT count(*) FROM ice") == [["2"]]:
            world.lone.perform("INSERT INTO ice VALUES (3, 'c')")
        return done

    monkeypatch.setattr(InProcess, "call", overtaken)
    assert world.run("ALTER TABLE ice RENAME TO iced") == (SUCCEEDED, "")
    assert world.lone.select("SELECT count(*) FROM iced") == [["3"]]
    assert "ice" not in world.state()["db"]
    world.lone.perform("INSERT INTO iced VALUES (4, 'd')")
    assert world.lone.select("SELECT count(*) FROM iced") == [["4"]]


@pytest.mark.parametrize(
    ("text", "action"),
    [("ALTER TABLE ice RENAME TO iced", "glue:DeleteTable"), ("DROP TABLE ice", "s3:DeleteObject")],
)
def test_a_table_that_may_not_go_stays_as_it_was(world, text, action):
    before = world.state()
    world.allow(ALL, {"Effect": "Deny", "Action": action, "Resource": "*"})
    status, reason = world.run(text)
    after = world.state()
    assert status == FAILED
    assert action in reason
    assert (after["objects"], after["db"].keys()) == (before["objects"], before["db"].keys())
    assert world.lone.select("SELECT count(*) FROM ice") == [["2"]]
    world.lone.perform("INSERT INTO ice VALUES (3, 'c')")


@pytest.mark.parametrize("lives", range(8))
def test_a_table_whose_renaming_is_cut_off_has_its_new_name_then(world, lives):
    world.lives, name = lives, world.start("ALTER TABLE ice RENAME TO iced")
    with contextlib.suppress(Killed):
        world.drive(name)
    world.lives = None
    if world.entry(name).status in UNFINISHED:
        world.drive(name)
    assert (world.entry(name).status, world.entry(name).value.reason) == (SUCCEEDED, "")
    assert sorted(world.state()["db"]) == ["iced", "parted", "plain"]
    assert world.lone.select("SELECT count(*) FROM iced") == [["2"]]


def overtake(monkeypatch: pytest.MonkeyPatch, operation: str, other: Callable[[], object]) -> None:
    """Have something else happen right before a statement asks for an operation."""
    call = InProcess.call

    def overtaken(self: InProcess, asked: str, **params: Any) -> dict[str, Any]:
        if asked == operation:
            other()
        return call(self, asked, **params)

    monkeypatch.setattr(InProcess, "call", overtaken)


def test_partitions_are_added_all_or_none(world, monkeypatch):
    before = world.state()
    assert world.run("ALTER TABLE parted ADD PARTITION (k = 'new') PARTITION (k = 'old')")[0] == FAILED
    overtake(
        monkeypatch,
        "BatchCreatePartition",
        lambda: world.lone.perform("ALTER TABLE parted ADD PARTITION (k = 'taken')"),
    )
    assert world.run("ALTER TABLE parted ADD PARTITION (k = 'new') PARTITION (k = 'taken')")[0] == FAILED
    world.lone.perform("ALTER TABLE parted DROP PARTITION (k = 'taken')")
    assert world.state() == before


def test_a_partition_that_is_registered_elsewhere_meanwhile_hides_no_rows(world, monkeypatch):
    overtake(
        monkeypatch,
        "BatchCreatePartition",
        lambda: world.lone.perform("ALTER TABLE parted ADD PARTITION (k = 'a') LOCATION 's3://data/far/'"),
    )
    status, reason = world.run(WRITES["an INSERT of partitions"])
    assert status == FAILED
    assert "HIVE_CONCURRENT_MODIFICATION_DETECTED" in reason
    assert world.lone.rows("SHOW PARTITIONS parted") == ["k=a", "k=old"]
    assert len(world.lone.uris("parted/")) == 1


@pytest.mark.parametrize("kind", ["a CTAS", "an UNLOAD"])
def test_two_statements_that_find_one_folder_empty_do_not_share_it(world, kind):
    before, text = world.state(), WRITES[kind]
    other = text.replace("TABLE made", "TABLE other")

    def overtaken() -> None:
        world.meanwhile = lambda: None
        assert world.run(other) == (SUCCEEDED, "")

    world.meanwhile = overtaken
    status, reason = world.run(text)
    assert status == FAILED
    assert "HIVE_PATH_ALREADY_EXISTS" in reason
    assert len(world.state()["objects"]) == len(before["objects"]) + 1
    assert ("made" in world.state()["db"], "other" in world.state()["db"]) == (False, kind == "a CTAS")


@pytest.mark.parametrize("lives", range(6))
@pytest.mark.parametrize(("kind", "folder"), [("a CTAS", "made"), ("an UNLOAD", "unloaded")])
def test_results_may_lie_in_the_folder_that_a_statement_fills(world, kind, folder, lives):
    world.lives, name = lives, world.start(WRITES[kind], f"s3://data/{folder}/")
    with contextlib.suppress(Killed):
        world.drive(name)
    world.lives = None
    if world.entry(name).status in UNFINISHED:
        world.drive(name)
    assert (world.entry(name).status, world.entry(name).value.reason) == (SUCCEEDED, "")
    if kind == "a CTAS":
        assert world.lone.select("SELECT a FROM made") == [["1"]]


def test_a_query_that_is_to_run_again_is_not_forgotten(world):
    name = world.start(WRITES["an INSERT"])
    writes = world.platform.records(TableWrite).within(ACCOUNT, REGION)
    for each in (name, "ended"):
        writes.create(each, TableWrite([], 0))
    old = world.platform.clock.now() + 2 * HISTORY_SECONDS
    later = SimpleNamespace(records=world.platform.records, clock=SimpleNamespace(now=lambda: old))
    forget(later, None)
    assert writes.get(name) is not None
    assert writes.get("ended") is None


def _gone(world: World, name: str) -> QueryExecution:
    """How a query ends whose caller is somebody who was deleted."""
    table = world.platform.records(QueryExecution).within(ACCOUNT, REGION)
    entry = world.entry(name)
    table.replace(entry, replace(entry.value, caller={**entry.value.caller, "unique_id": "AIDAGONE"}))
    return world.drive(name)

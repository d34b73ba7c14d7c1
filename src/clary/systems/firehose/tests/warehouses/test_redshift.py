"""Redshift's destination against a real PostgreSQL: every row once, or said to be missing."""

import gzip
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Platform
from clary.lake.tests.postgres import Postgres
from clary.systems.firehose.configurations import completed
from clary.systems.firehose.destinations import redshift, warehouse
from clary.systems.firehose.destinations.contract import Unavailable
from clary.systems.firehose.destinations.kinds import kind_of_configuration
from clary.systems.firehose.tests.warehouses.conftest import ROLE, quoted, records, stream_of

KIND = kind_of_configuration("RedshiftDestinationConfiguration")
Make = Callable[..., "Table"]


class Table:
    """A table of the database, and a destination that delivers to it."""

    def __init__(self, platform: Platform, postgres: Postgres, name: str, copy: dict[str, Any], **s3: Any) -> None:
        self.platform, self.postgres, self.name = platform, postgres, name
        configuration = {
            "RoleARN": ROLE,
            "ClusterJDBCURL": postgres.url,
            "CopyCommand": {"DataTableName": quoted(name), **copy},
            "Username": "postgres",
            "Password": postgres.password,
            "S3Configuration": {"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::staging", **s3},
        }
        self.configuration = completed(KIND, configuration)
        redshift.check(self.configuration)
        self.stream = stream_of(self.configuration, "RedshiftDestinationConfiguration", name)
        self.destination = redshift.open(platform, self.stream, self.configuration)

    def rows(self, what: str = "*") -> list[tuple[Any, ...]]:
        return self.postgres.run(f"SELECT {what} FROM {{}} ORDER BY 1", self.name)

    def staged(self, prefix: str = "") -> dict[str, bytes]:
        objects = self.platform.objects
        return {found.key: objects.get_bytes("staging", found.key) for found in objects.list("staging", prefix)}


@pytest.fixture
def table(platform: Platform, postgres: Postgres, bucket: str, unique: Callable[[str], str]) -> Iterator[Make]:
    made: list[str] = []

    def make(columns: str, options: str, *, names: str = "", **s3: Any) -> Table:
        name = unique("T") + '"; %s DROP'  # a hostile name is a name
        postgres.run(f"CREATE TABLE {{}} ({columns})", name)
        made.append(name)
        return Table(platform, postgres, name, {"CopyOptions": options, "DataTableColumns": names}, **s3)

    yield make
    for name in made:
        postgres.run("DROP TABLE {}", name)


def test_json_lands_by_the_names_of_its_members(table: Make) -> None:
    orders = table(
        "id int, price numeric(20,2), note text, at timestamptz, extra jsonb, serial bigserial, hot boolean",
        "json 'auto' timeformat 'epochmillisecs'",
    )
    batch = records(
        '{"id": 1, "price": 123456789012345678.10, "note": "a|b\\t\\"c\\"\\n\\\\N", "at": 1767355200123, "hot": true}',
        '{"id": 2, "note": {"deep": [1.50, null]}, "extra": {"a": 1.0}, "unheard": 1}\n{"id": 3, "extra": "text"}',
    )
    assert orders.destination.deliver(batch) == []
    assert orders.rows("id, price::text, note, extract(epoch from at)::text, extra::text, serial, hot") == [
        (1, "123456789012345678.10", 'a|b\t"c"\n\\N', "1767355200.123000", None, 1, True),
        (2, None, '{"deep":[1.50,null]}', None, '{"a": 1.0}', 2, None),
        (3, None, None, None, '"text"', 3, None),
    ]


@pytest.mark.parametrize(("options", "number"), [("json", 1), ("json explicit_ids", 70)])
def test_columns_that_fill_themselves(table: Make, options: str, number: int) -> None:
    orders = table(
        "id int, own serial, counted int GENERATED ALWAYS AS IDENTITY, twice int GENERATED ALWAYS AS (id * 2) STORED",
        options,
    )
    assert orders.destination.deliver(records('{"id": 7, "own": 70, "counted": 70, "twice": 70}')) == []
    assert orders.rows() == [(7, number, number, 14)]


def test_a_jsonpaths_file_says_which_column_is_where(table: Make, platform: Platform) -> None:
    orders = table('id int, "who" text, size int', "format as json 's3://staging/paths.json'", names="size, who")
    batch = records('{"person": {"name": "Ada"}, "sizes": [7, 8]}', '{"sizes": []}')
    with pytest.raises(Unavailable) as caught:
        orders.destination.deliver(batch)
    assert caught.value.code == "Redshift.IncorrectJsonPathsFile"
    paths = {"jsonpaths": ["$.sizes[1]", "$['person'].name"]}
    platform.objects.put_bytes("staging", "paths.json", json.dumps(paths).encode())
    assert orders.destination.deliver(batch) == []
    assert orders.rows("size, who, id") == [(8, "Ada", None), (None, None, None)]


def test_csv_and_gzip(table: Make) -> None:
    orders = table(
        "id int, note varchar(5), day date", "csv gzip ignoreheader 1 truncatecolumns", CompressionFormat="GZIP"
    )
    assert orders.destination.deliver(records("id,note,day\n", '1,"a ""b"", c",2026-01-02\n2,,\n')) == []
    assert orders.rows("id, note, day::text") == [(1, 'a "b"', "2026-01-02"), (2, "", None)]
    (manifest,) = orders.staged("manifests/").values()
    (key,) = [key for key in orders.staged() if not key.startswith("manifests/")]
    assert key.startswith("2026/01/02/12/orders-1-2026-01-02-12-00-00-")
    assert key.endswith(".gz")
    assert gzip.decompress(orders.staged()[key]).startswith(b"id,note,day\n1,")
    assert json.loads(manifest) == {"entries": [{"url": f"s3://staging/{key}", "mandatory": True}]}


def test_producers_may_compress_themselves(table: Make) -> None:
    orders = table("id int, note text", "delimiter '\\t' gzip removequotes emptyasnull null as '-'")
    packed = [gzip.compress(text) for text in (b'1\t"a\tb"\n2\t\n', b"3\t-\t\n")]
    assert orders.destination.deliver(records(*packed)) == []
    assert orders.rows() == [(1, "a\tb"), (2, None), (3, None)]


def test_what_cannot_be_loaded_is_left_out_as_far_as_maxerror_goes(table: Make) -> None:
    orders = table("id int NOT NULL CHECK (id < 1000), note varchar(3)", "json 'auto' maxerror 6")
    rows: list[bytes | str] = [f'{{"id": {number}, "note": "ok"}}\n' for number in range(20)]
    bad = {3: '{"id": "x"}', 7: '{"id": ', 8: '{"note": "no"}', 15: '{"id": 1000}', 19: b'{"id": 19, "note": "\xff"}'}
    for index, data in bad.items():
        rows[index] = data
    failures = orders.destination.deliver(records(*rows))
    assert sorted(failure.index for failure in failures) == sorted(bad)
    assert {failure.code for failure in failures} == {"Redshift.DataLoadFailed"}
    assert "invalid input syntax for type integer" in next(f.message for f in failures if f.index == 3)
    assert orders.rows("id") == [(number,) for number in range(20) if number not in bad]

    rows[0] = rows[1] = "no JSON"
    with pytest.raises(Unavailable, match="6 of at most 6 errors"):
        orders.destination.deliver(records(*rows, first=100))
    assert len(orders.rows()) == 15


def test_rows_whose_key_is_there_are_left_out(table: Make) -> None:
    orders = table("id int PRIMARY KEY, note text", "json 'auto'")
    rows = [f'{{"id": {number}, "note": "first"}}' for number in range(6000)]
    assert orders.destination.deliver(records(*rows[:4000])) == []
    failures = orders.destination.deliver(records(*rows, first=10_000))
    assert [failure.index for failure in failures] == list(range(4000))
    assert {failure.code for failure in failures} == {"Redshift.RowExists"}
    assert len(orders.rows()) == 6000


def test_a_server_that_is_down_or_refuses_says_so_and_gets_the_batch_when_it_can(
    table: Make, postgres: Postgres
) -> None:
    orders = table("id int", "json 'auto'")
    batch = records('{"id": 1}')
    postgres.stop()
    try:
        with pytest.raises(Unavailable) as caught:
            orders.destination.deliver(batch)
    finally:
        postgres.start()
    assert caught.value.code == "Redshift.ConnectionFailed"
    assert orders.destination.deliver(batch) == []
    assert orders.rows() == [(1,)]

    assert orders.destination.give_up(batch, "Redshift.ConnectionFailed", "away") == []
    ((key, manifest),) = orders.staged("errors/manifests/2026/01/02/12/").items()
    assert key.startswith("errors/manifests/2026/01/02/12/orders-1-")
    assert json.loads(manifest)["entries"][0]["url"].removeprefix("s3://staging/") in orders.staged()

    def code(**changed: Any) -> str:
        configuration = completed(KIND, orders.configuration | changed)
        opened = redshift.open(orders.platform, stream_of(configuration, "r"), configuration)
        with pytest.raises(Unavailable) as refused:
            opened.deliver(batch)
        assert postgres.password not in refused.value.message
        return refused.value.code

    assert code(Password="wrong-password") == "Redshift.AuthenticationFailed"
    assert code(ClusterJDBCURL=postgres.url + "2") == "Redshift.DatabaseNotFound"
    assert code(ClusterJDBCURL=postgres.url + "?ssl=true") == "Redshift.SslNotSupported"
    assert code(CopyCommand={"DataTableName": "nothing", "CopyOptions": "json 'auto'"}) == "Redshift.TableNotFound"
    named = {"DataTableName": quoted(orders.name), "DataTableColumns": "id, ghost", "CopyOptions": "json 'auto'"}
    assert code(CopyCommand=named) == "Redshift.ColumnNotFound"
    elsewhere = {"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::nowhere"}
    assert code(S3Configuration=elsewhere) == "S3.NoSuchBucket"


def test_a_load_whose_commit_was_not_heard_of_is_there_once(table: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it was committed, the server is asked: the table has no key, and would take the rows again."""
    commit = psycopg.Connection.commit
    fates: list[bool] = []

    def lost(connection: psycopg.Connection[Any]) -> None:
        if not fates:
            return commit(connection)
        if fates.pop(0):
            commit(connection)
        raise psycopg.OperationalError("the connection is lost")

    monkeypatch.setattr(psycopg.Connection, "commit", lost)
    orders = table("id int", "json maxerror 5")
    batch = records('{"id": 0}', '{"id": "no"}', '{"id": 2}', '{"id": 3}', "no JSON", '{"id": 5}')

    def deliver(count: int, *lose: bool) -> list[int]:
        fates[:] = lose
        if lose:
            with pytest.raises(Unavailable, match="connection is lost"):
                orders.destination.deliver(batch[:count])
        return [failure.index for failure in orders.destination.deliver(batch[:count])]

    assert deliver(2, False) == [1], "it was rolled back, and loaded then"
    assert deliver(2) == [1]
    assert deliver(3, True) == [1], "it was committed, and not loaded again"
    assert deliver(5, False) == [1, 4], "what was known to be there is not loaded again, nor what failed behind it lost"
    assert deliver(1) == []
    opened = redshift.open(orders.platform, orders.stream, orders.configuration)
    assert [failure.index for failure in opened.deliver(batch)] == [1, 4], "another carrier knows, too"
    assert orders.rows() == [(0,), (2,), (3,), (5,)]


def test_a_server_that_hangs_is_left(table: Make, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes connections and says nothing, and one where another holds the table."""
    monkeypatch.setattr(warehouse, "CONNECT_SECONDS", 2)
    monkeypatch.setattr(warehouse, "PATIENCE_SECONDS", 1.0)
    orders = table("id int", "json 'auto'")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"jdbc:redshift://127.0.0.1:{silent.getsockname()[1]}/db"
        configuration = orders.configuration | {"ClusterJDBCURL": url}
        opened = redshift.open(orders.platform, stream_of(configuration, "r"), configuration)
        with pytest.raises(Unavailable):
            opened.deliver(records('{"id": 1}'))
    with postgres.connect() as holder, holder.transaction():
        holder.execute(f"LOCK TABLE {quoted(orders.name)} IN ACCESS EXCLUSIVE MODE".encode())
        with pytest.raises(Unavailable):
            orders.destination.deliver(records('{"id": 1}'))
    assert orders.rows() == []
    assert not [each for each in threading.enumerate() if isinstance(each, threading.Timer)]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"ClusterJDBCURL": "jdbc:redshift:///tmp/socket"}, "ClusterJDBCURL: .* must look like jdbc:redshift://"),
        (
            {"ClusterJDBCURL": "jdbc:redshift://h/d?options=-c"},
            "ClusterJDBCURL: the property 'options=-c' is not known",
        ),
        ({"CopyCommand": {"DataTableName": "t; drop table t"}}, "DataTableName: '; drop table t' stands where"),
        ({"CopyCommand": {"DataTableName": "t", "DataTableColumns": "a,a"}}, "a stands there more than once"),
        ({"CopyCommand": {"DataTableName": "t", "CopyOptions": "parquet"}}, "PARQUET is not known; Clary knows ACCEPT"),
        ({"S3Configuration": {"CompressionFormat": "ZIP"}}, "CompressionFormat ZIP cannot be used with Redshift"),
        ({"S3Configuration": {"CompressionFormat": "GZIP"}}, "needs the option GZIP in CopyOptions"),
        ({"SecretsManagerConfiguration": {"Enabled": True}}, "no Secrets Manager"),
        ({"Password": None}, "Password of the Redshift destination is missing"),
    ],
)
def test_what_cannot_be_honoured_is_refused_at_once(changed: dict[str, Any], told: str) -> None:
    good = {
        "RoleARN": ROLE,
        "ClusterJDBCURL": "jdbc:redshift://localhost/db",
        "CopyCommand": {"DataTableName": "t"},
        "Username": "u",
        "Password": "password",
        "S3Configuration": {"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::b"},
    }
    redshift.check(good)
    with pytest.raises(AwsError, match=told) as caught:
        redshift.check(good | changed)
    assert caught.value.code == "InvalidArgumentException"

"""Kill -9 what runs queries, at random moments: each ends as if nothing had been, its rows whole in S3.

What is written is written once. Locally, for longer:

    CLARY_CHAOS_ROUNDS=10 pytest tests/chaos/test_queries.py --log-cli-level=INFO
"""

import csv
import itertools
import logging
import os
import random
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
from botocore.config import Config
from tests.chaos.killing import kill_next, nobody_left, wait_until

from clary.testing import Server, eventually, kill_role, reserved_port, serving, start_server, stop_server

ENDED = {"SUCCEEDED", "FAILED", "CANCELLED"}
ROUNDS = 2
WRITING_ROUNDS = int(os.environ.get("CLARY_CHAOS_ROUNDS", "1"))
BUCKET = "queries"
VICTIMS = ("engine", "engine nursery", "carrier", "engine", "supervisor", "carrier", "controller")
ROWS = 3000
LATEST_SECONDS = 0.3
SETTINGS = {"warm_interpreters": False}

_log = logging.getLogger("storm")


@pytest.mark.slow
def test_queries_outlive_the_carrier_and_their_engines(tmp_path):
    chosen = random.Random(7)
    pause = threading.Event()
    with serving(tmp_path / "home") as server:
        athena, s3 = server.client("athena"), server.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        results = {"OutputLocation": f"s3://{BUCKET}/results/"}

        def start(number: int) -> str:
            query = (
                f"SELECT {number} AS round, count(*) AS n FROM UNNEST(sequence(1, 10000)) AS a (x) "
                "CROSS JOIN UNNEST(sequence(1, 3000)) AS b (y) WHERE x * y % 7 = 3"
            )
            return str(athena.start_query_execution(QueryString=query, ResultConfiguration=results)["QueryExecutionId"])

        def ended(name: str) -> dict[str, str] | None:
            status = athena.get_query_execution(QueryExecutionId=name)["QueryExecution"]["Status"]
            return status if status["State"] in ENDED else None

        first = start(0)
        assert eventually(lambda: ended(first))["State"] == "SUCCEEDED"
        for number in range(1, ROUNDS + 1):
            names = [start(number) for _ in range(3)]
            pause.wait(chosen.random())
            if number % 2:
                kill_role(server, "carrier")
            else:
                kill_next(tmp_path / "home", "engine", chosen)
            for name in names:
                status = eventually(lambda name=name: ended(name))
                assert status["State"] == "SUCCEEDED", status
                body = s3.get_object(Bucket=BUCKET, Key=f"results/{name}.csv")["Body"].read().decode()
                assert body.splitlines()[0] == '"round","n"'
                assert body.splitlines()[1].startswith(f'"{number}","')
        left = eventually(lambda: not _running(tmp_path / "home" / "queries"))
        assert left


def _running(folder) -> list[str]:
    """Folders of queries beyond those of the engines that are ready."""
    return sorted(path.name for path in folder.iterdir())[2:]


class Statement(NamedTuple):
    """A statement that writes, the table or folder that it writes, and what this holds after it."""

    text: str
    target: str
    becomes: Callable[["Lake"], dict[int, int]]


class Lake:
    """Tables that statements write, and what they should hold: a value for each number."""

    def __init__(self, server: Server) -> None:
        once = Config(retries={"max_attempts": 0}, connect_timeout=60, read_timeout=60, s3={"addressing_style": "path"})
        self.athena, self.s3 = (server.client(name, config=once) for name in ("athena", "s3"))
        self.rows: dict[str, dict[int, int]] = {"hive": {}, "ice": {}}
        self.s3.create_bucket(Bucket=BUCKET)
        columns, place = "(n bigint, v bigint, k bigint)", f"s3://{BUCKET}/tables"
        for text in (
            "CREATE DATABASE lake",
            f"CREATE EXTERNAL TABLE hive (n bigint, v bigint) PARTITIONED BY (k bigint) LOCATION '{place}/hive/'",
            f"CREATE TABLE ice {columns} LOCATION '{place}/ice/' TBLPROPERTIES ('table_type' = 'ICEBERG')",
        ):
            assert self.run(text)["State"] == "SUCCEEDED"

    def start(self, text: str) -> str:
        token = str(uuid.uuid4())
        return str(wait_until(lambda: self._started(text, token), "a statement starts"))

    def ended(self, name: str) -> dict[str, Any]:
        """The status of a query, once it has ended."""

        def look() -> dict[str, Any] | None:
            status = self.athena.get_query_execution(QueryExecutionId=name)["QueryExecution"]["Status"]
            return status if status["State"] in ENDED else None

        status: dict[str, Any] = wait_until(look, "a statement ends")
        return status

    def run(self, text: str) -> dict[str, Any]:
        return self.ended(self.start(text))

    def held(self, target: str) -> list[tuple[int, int]]:
        """What a table holds, or a folder of JSON."""
        if target.startswith("unloaded"):
            lines = [line for key in self.keys(target) for line in self.content(key).splitlines()]
            return sorted((row["n"], row["v"]) for row in map(orjson.loads, lines))
        name = self.start(f"SELECT n, v FROM {target}")
        assert self.ended(name)["State"] == "SUCCEEDED"
        rows = csv.reader(self.content(f"results/{name}.csv").splitlines()[1:])
        return sorted((int(n), int(v)) for n, v in rows)

    def keys(self, prefix: str) -> list[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/")
        return [each["Key"] for page in pages for each in page.get("Contents", ())]

    def content(self, key: str) -> str:
        return str(self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode())

    def _started(self, text: str, token: str) -> str:
        return str(
            self.athena.start_query_execution(
                QueryString=text,
                ClientRequestToken=token,
                QueryExecutionContext={"Database": "lake"},
                ResultConfiguration={"OutputLocation": f"s3://{BUCKET}/results/"},
            )["QueryExecutionId"]
        )


def statements(number: int) -> Iterator[Statement]:
    """One of each kind; those of other numbers write other rows."""
    base = number * 100_000
    new = {base + x: 0 for x in range(1, ROWS + 1)}
    merged = [base + 2 * x for x in range(1, ROWS + 1)]
    numbers = f"UNNEST(sequence(1, {ROWS})) AS t (x)"

    def merge(lake: Lake) -> dict[int, int]:
        return lake.rows["ice"] | {n: lake.rows["ice"].get(n, 90) + 10 for n in merged}

    yield Statement(
        f"INSERT INTO hive SELECT {base} + x, 0, x % 5 FROM {numbers}", "hive", lambda lake: lake.rows["hive"] | new
    )
    yield Statement(
        f"CREATE TABLE hive_{number} WITH (format = 'ORC', partitioned_by = ARRAY['k'], "
        f"external_location = 's3://{BUCKET}/tables/hive_{number}/') AS SELECT * FROM hive",
        f"hive_{number}",
        lambda lake: lake.rows["hive"],
    )
    yield Statement(
        f"INSERT INTO ice SELECT {base} + x, 0, x % 5 FROM {numbers}", "ice", lambda lake: lake.rows["ice"] | new
    )
    yield Statement(
        "UPDATE ice SET v = v + 1 WHERE n % 2 = 0",
        "ice",
        lambda lake: {n: v + 1 - n % 2 for n, v in lake.rows["ice"].items()},
    )
    yield Statement(
        f"MERGE INTO ice USING (SELECT {base} + 2 * x AS m FROM {numbers}) AS s ON ice.n = s.m "
        "WHEN MATCHED THEN UPDATE SET v = v + 10 WHEN NOT MATCHED THEN INSERT (n, v, k) VALUES (m, 100, 0)",
        "ice",
        merge,
    )
    yield Statement(
        "DELETE FROM ice WHERE n % 7 = 0",
        "ice",
        lambda lake: {n: v for n, v in lake.rows["ice"].items() if n % 7},
    )
    yield Statement(
        f"CREATE TABLE ice_{number} WITH (table_type = 'ICEBERG', is_external = false, "
        f"location = 's3://{BUCKET}/tables/ice_{number}/') AS SELECT * FROM ice",
        f"ice_{number}",
        lambda lake: lake.rows["ice"],
    )
    yield Statement(
        f"UNLOAD (SELECT n, v FROM ice) TO 's3://{BUCKET}/unloaded/{number}/' "
        "WITH (format = 'JSON', compression = 'NONE')",
        f"unloaded/{number}",
        lambda lake: lake.rows["ice"],
    )


@pytest.mark.slow
def test_what_statements_write_is_there_once(tmp_path):
    """One statement after the other, each with something killed while it runs."""
    chance = random.Random(20261128)
    folder = tmp_path / "home"
    killed: list[str] = []
    with reserved_port() as port:
        storm(folder, f"127.0.0.1:{port}", chance, killed)
    assert set(killed) == set(VICTIMS)
    nobody_left(folder)


def storm(folder: Path, listen: str, chance: random.Random, killed: list[str]) -> None:
    server = start_server(folder, "--listen", listen, **SETTINGS)
    try:
        lake = Lake(server)
        every = itertools.chain.from_iterable(map(statements, range(WRITING_ROUNDS)))
        for statement, victim in zip(every, itertools.cycle(VICTIMS), strict=False):
            name = lake.start(statement.text)
            threading.Event().wait(chance.uniform(0.0, LATEST_SECONDS))
            killed += kill_next(folder, victim, chance)
            if victim == "supervisor":
                server.process.wait(30)
                server = start_server(folder, "--listen", listen, **SETTINGS)
            status = lake.ended(name)
            _log.info("%s, with the %s killed: %s", statement.text, victim, status)
            assert status["State"] == "SUCCEEDED", (statement, victim, status)
            lake.rows[statement.target] = statement.becomes(lake)
        for target, rows in lake.rows.items():
            assert lake.held(target) == sorted(rows.items()), target
        wait_until(lambda: not _running(folder / "queries"), "the folders of queries are gone")
    finally:
        stop_server(server)

"""A user of Athena on a real server, with a bucket for results."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from clary.kernel.rooms import Platform
from clary.systems.athena.tests.lone import Lone
from clary.testing import Server, eventually

ENDED = frozenset({"SUCCEEDED", "FAILED", "CANCELLED"})


@dataclass
class Client:
    """What a user has: boto3, names that nobody else uses, and a bucket."""

    server: Server
    unique: Callable[[str], str]

    def __post_init__(self) -> None:
        self.athena = self.server.client("athena")
        self.s3 = self.server.client("s3")
        self.bucket = self.unique("bucket")
        self.s3.create_bucket(Bucket=self.bucket)
        self.output = f"s3://{self.bucket}/results/"

    def start(self, query: str, **members: Any) -> str:
        members.setdefault("ResultConfiguration", {"OutputLocation": self.output})
        started = self.athena.start_query_execution(QueryString=query, **members)
        return str(started["QueryExecutionId"])

    def execution(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.athena.get_query_execution(QueryExecutionId=name)["QueryExecution"]
        return found

    def ended(self, name: str) -> dict[str, Any]:
        """The execution, once it has ended."""
        eventually(lambda: self.execution(name)["Status"]["State"] in ENDED)
        return self.execution(name)

    def run(self, query: str, **members: Any) -> dict[str, Any]:
        """The execution of a query that succeeds."""
        done = self.ended(self.start(query, **members))
        assert done["Status"]["State"] == "SUCCEEDED", done["Status"]
        return done

    def rows(self, query: str, **members: Any) -> list[list[str | None]]:
        """The rows of a query, its header first."""
        name = self.run(query, **members)["QueryExecutionId"]
        pages = self.athena.get_paginator("get_query_results").paginate(QueryExecutionId=name)
        found = [row for page in pages for row in page["ResultSet"]["Rows"]]
        return [[datum.get("VarCharValue") for datum in row["Data"]] for row in found]


@pytest.fixture
def client(server: Server, unique: Callable[[str], str]) -> Client:
    return Client(server, unique)


@pytest.fixture
def lone(platform: Platform, caller: Callable[..., Any], tmp_path: Path) -> Lone:
    """Statements performed without a server, on a bucket `data` and a database `db`."""
    caller("s3")("CreateBucket", Bucket="data", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    running = Lone(platform, tmp_path / "queries")
    running.perform("CREATE DATABASE db COMMENT 'of tests' LOCATION 's3://data/db'")
    return running

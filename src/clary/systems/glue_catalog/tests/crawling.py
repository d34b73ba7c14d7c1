"""What tests of crawlers share: data like that of nycflights, laid out in folders, and crawlers that have run."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from clary.testing import Server, eventually

ROLE = "arn:aws:iam::000000000000:role/service-role/AmazonSageMaker-ExecutionRole"
FLIGHTS = Path(__file__).parents[5] / "examples" / "data" / "flights.csv"
TYPES = {
    "air_minutes": "bigint", "scheduled_departure_minute": "bigint", "distance_miles": "bigint", "carrier": "string",
    "origin": "string", "destination": "string",
}  # fmt: skip


def flights_by_day() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Some days of flights, each with the folder that it lies in."""
    days: dict[str, list[dict[str, str]]] = {}
    with FLIGHTS.open() as file:
        for row in csv.DictReader(file):
            month, day = row.pop("month"), row.pop("day")
            if month in ("1", "2") and day in ("1", "2", "3"):
                days.setdefault(f"month={month}/day={day}/", []).append(row)
    yield from sorted(days.items())


def as_csv(rows: list[dict[str, str]]) -> bytes:
    sink = io.StringIO()
    writer = csv.DictWriter(sink, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    return sink.getvalue().encode()


def as_json(rows: list[dict[str, str]]) -> bytes:
    typed = [{name: int(value) if value.isdigit() else value for name, value in row.items()} for row in rows]
    return "\n".join(map(json.dumps, typed)).encode()


def as_parquet(rows: list[dict[str, str]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    typed = [{name: int(value) if value.isdigit() else value for name, value in row.items()} for row in rows]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(typed), sink)
    return sink.getvalue()


def crawled(glue: Any, name: str, status: str = "SUCCEEDED") -> dict[str, Any]:
    """Start a crawler and wait until it has ended; the crawler as it is then."""
    before = glue.list_crawls(CrawlerName=name, MaxResults=1)["Crawls"]
    glue.start_crawler(Name=name)

    def ended() -> dict[str, Any] | None:
        crawler: dict[str, Any] = glue.get_crawler(Name=name)["Crawler"]
        return crawler if crawler["State"] == "READY" else None

    crawler = eventually(ended)
    assert crawler["LastCrawl"]["Status"] == status, crawler["LastCrawl"]
    assert glue.list_crawls(CrawlerName=name, MaxResults=1)["Crawls"][0]["CrawlId"] not in [
        e["CrawlId"] for e in before
    ]
    return crawler


def queried(server: Server, bucket: str, database: str, query: str) -> list[list[str | None]]:
    """The rows that Athena answers with."""
    athena = server.client("athena")
    started = athena.start_query_execution(
        QueryString=query,
        QueryExecutionContext={"Database": database},
        ResultConfiguration={"OutputLocation": f"s3://{bucket}/results/"},
    )

    def ended() -> dict[str, Any] | None:
        execution: dict[str, Any] = athena.get_query_execution(**started_as)["QueryExecution"]
        return execution if execution["Status"]["State"] not in ("QUEUED", "RUNNING") else None

    started_as = {"QueryExecutionId": started["QueryExecutionId"]}
    status = eventually(ended)["Status"]
    assert status["State"] == "SUCCEEDED", status
    rows = athena.get_query_results(**started_as)["ResultSet"]["Rows"]
    return [[value.get("VarCharValue") for value in row["Data"]] for row in rows[1:]]


def columns(table: dict[str, Any]) -> dict[str, str]:
    return {column["Name"]: column["Type"] for column in table["StorageDescriptor"]["Columns"]}


Put = Callable[[str, bytes | str], None]

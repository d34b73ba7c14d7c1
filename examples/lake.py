"""Files on S3, found by a crawler, queried in place, joined, and exported, with plain boto3.

    eval "$(clary env)" && python examples/lake.py

Flights lie on S3 as CSV, a folder for each month; carriers as JSON beside them. A crawler finds two tables, one of them
in partitions. Athena joins them where they lie; a table of Parquet is made of them, which answers the same by reading a
fraction of the bytes; the answer is exported as a file. The same program runs against AWS (with ROLE_ARN set).
"""

import csv
import io
import json
import os
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import boto3

DATA = Path(__file__).parent / "data" / "flights.csv"
CARRIERS = {
    "9E": "Endeavor", "AA": "American", "AS": "Alaska", "B6": "JetBlue", "DL": "Delta", "EV": "ExpressJet",
    "F9": "Frontier", "FL": "AirTran", "HA": "Hawaiian", "MQ": "Envoy", "OO": "SkyWest", "UA": "United",
    "US": "US Airways", "VX": "Virgin America", "WN": "Southwest", "YV": "Mesa",
}  # fmt: skip

region = boto3.session.Session().region_name or "us-east-1"
account = boto3.client("sts").get_caller_identity()["Account"]
role = os.environ.get("ROLE_ARN", f"arn:aws:iam::{account}:role/clary-execution-role")
bucket = f"lake-{account}-{region}"
name = f"lake_{time.strftime('%Y%m%d_%H%M%S', time.gmtime())}"
lake = f"s3://{bucket}/{name}"

s3 = boto3.client("s3")
glue = boto3.client("glue")
athena = boto3.client("athena")


def wait(look: Callable[[], object], seconds: float = 600) -> object:
    """What `look` says, once it says something."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise SystemExit("waited in vain")
        time.sleep(0.1)
    return found


def upload() -> None:
    """Flights as CSV, a folder for each month, and carriers as lines of JSON."""
    if bucket not in (each["Name"] for each in s3.list_buckets()["Buckets"]):
        s3.create_bucket(Bucket=bucket)
    months = defaultdict(list)
    with DATA.open(newline="") as file:
        for flight in csv.DictReader(file):
            months[int(flight.pop("month"))].append(flight)
    for month, flights in months.items():
        text = io.StringIO()
        writer = csv.DictWriter(text, list(flights[0]))
        writer.writeheader()
        writer.writerows(flights)
        key = f"{name}/flights/month={month:02}/flights.csv"
        s3.put_object(Bucket=bucket, Key=key, Body=text.getvalue().encode())
    lines = "\n".join(json.dumps({"code": code, "name": carrier}) for code, carrier in CARRIERS.items())
    s3.put_object(Bucket=bucket, Key=f"{name}/carriers/carriers.json", Body=lines.encode())


def crawl() -> dict[str, dict]:
    """The tables that a crawler finds."""
    targets = {"S3Targets": [{"Path": f"{lake}/flights/"}, {"Path": f"{lake}/carriers/"}]}
    glue.create_crawler(Name=name, Role=role, DatabaseName=name, Targets=targets)
    glue.start_crawler(Name=name)

    def crawled() -> dict | None:
        crawler = glue.get_crawler(Name=name)["Crawler"]
        return crawler.get("LastCrawl") if crawler["State"] == "READY" else None

    last = wait(crawled)
    if last["Status"] != "SUCCEEDED":
        raise SystemExit(f"the crawl failed: {last.get('ErrorMessage')}")
    return {table["Name"]: table for table in glue.get_tables(DatabaseName=name)["TableList"]}


def ask(sql: str) -> tuple[list[list[str]], int]:
    """The rows of a query, and the bytes that it read."""
    started = athena.start_query_execution(
        QueryString=sql,
        QueryExecutionContext={"Database": name},
        ResultConfiguration={"OutputLocation": f"{lake}/results/"},
    )["QueryExecutionId"]

    def ended() -> dict | None:
        execution = athena.get_query_execution(QueryExecutionId=started)["QueryExecution"]
        return execution if execution["Status"]["State"] in ("SUCCEEDED", "FAILED", "CANCELLED") else None

    execution = wait(ended)
    if execution["Status"]["State"] != "SUCCEEDED":
        raise SystemExit(f"{execution['Status']['StateChangeReason']}: {sql}")
    rows = athena.get_query_results(QueryExecutionId=started)["ResultSet"]["Rows"]
    values = [[value.get("VarCharValue", "") for value in row["Data"]] for row in rows[1:]]
    return values, execution["Statistics"]["DataScannedInBytes"]


JOINED = """
    SELECT c.name, count(*) AS flights, round(avg(f.distance_miles / (f.air_minutes / 60.0))) AS miles_per_hour
    FROM {flights} f JOIN carriers c ON f.carrier = c.code
    WHERE f.month IN ('06', '07', '08')
    GROUP BY c.name HAVING count(*) >= 100 ORDER BY miles_per_hour DESC, name LIMIT 5
"""


def main() -> None:
    print(f"1. Uploading flights and carriers to {lake}/")
    upload()

    print("2. Letting a crawler find out what they are")
    for table in crawl().values():
        columns = ", ".join(f"{each['Name']} {each['Type']}" for each in table["StorageDescriptor"]["Columns"])
        keys = ", ".join(f"{each['Name']} {each['Type']}" for each in table["PartitionKeys"])
        kind = table["Parameters"]["classification"]
        print(f"   {table['Name']} ({kind}): {columns}{f'; parted by {keys}' * bool(keys)}")

    print("3. Asking which carriers were the fastest in summer")
    rows, scanned = ask(JOINED.format(flights="flights"))
    for row in rows:
        print(f"   {row[0]:<16} {row[1]:>5} flights {float(row[2]):>5.0f} miles per hour")
    print(f"   {scanned:,} bytes read: the CSV of three months, and the carriers")

    print("4. Making a table of Parquet")
    ask(
        f"CREATE TABLE fast WITH (partitioned_by = ARRAY['month'], external_location = '{lake}/fast/') AS "
        "SELECT carrier, distance_miles, air_minutes, origin, destination, month FROM flights"
    )
    again, less = ask(JOINED.format(flights="fast"))
    if again != rows:
        raise SystemExit(f"it answers something else: {again}")
    print(f"   the same answer, and {less:,} bytes read")

    print("5. Exporting the answer")
    ask(f"UNLOAD ({JOINED.format(flights='fast')}) TO '{lake}/export/' WITH (format = 'JSON', compression = 'NONE')")
    for each in s3.list_objects_v2(Bucket=bucket, Prefix=f"{name}/export/")["Contents"]:
        print(f"   s3://{bucket}/{each['Key']} ({each['Size']} bytes)")


if __name__ == "__main__":
    main()

"""Claims: `SELECT 1` takes at most 25 ms from the call that starts it to SUCCEEDED; the 22 queries of TPC-H over
partitioned Parquet in S3 take at most 1.2 times as long as DuckDB takes in a process, and 50 ms each, and a fifth of
what Spark takes; and a query that scans 10 GB stays within its memory.

Side by side in turns, over the same files: Clary through boto3, from the query's record to its end, each query in an
engine of its own, its rows stored as CSV; DuckDB in one process that stays, its rows fetched; Spark in one local
session that stays, its rows collected. The queries are those that the tests ask. TPCH_SCALE (1) and SCAN_GIB (10) make
it smaller.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import psutil

from clary.testing import Server, serving

_SCALE = float(os.environ.get("TPCH_SCALE", "1"))
_SCAN_BYTES = int(float(os.environ.get("SCAN_GIB", "10")) * 1024**3)
_ROUNDS, _CALLS, _PARTS = 3, 50, 4
_SPARKS_ROUNDS = 2  # each takes minutes
_BUCKET, _DATABASE = "bench-athena", "tpch"
_QUERIES = Path(__file__).parents[1] / "src" / "clary" / "systems" / "athena" / "select" / "tests" / "tpch.sql"
_MEMORY_BYTES = 2 * 1024**3
_SERDE = {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"}
_ENDED = frozenset({"SUCCEEDED", "FAILED", "CANCELLED"})
_TYPES = {"BIGINT": "bigint", "INTEGER": "int", "VARCHAR": "string", "DATE": "date", "DOUBLE": "double"}


def run(seconds: float) -> None:
    """`seconds` has no meaning here: each way asks the same queries a few times."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        program = Path(sys.executable).with_name("tpchgen-cli")
        made = [str(program), "parquet", "-s", str(_SCALE), f"--parts={_PARTS}", f"--output-dir={folder}"]
        subprocess.run(made, check=True, capture_output=True)
        with serving(folder / ".home", query_memory_bytes=_MEMORY_BYTES) as server:
            _store(server, folder)
            asking = Asking(server)
            _latency(asking)
            _tpch(asking, folder)
            _scan(server, asking)


class Asking:
    """Asks Clary as a client does."""

    def __init__(self, server: Server) -> None:
        self._athena = server.client("athena")

    def __call__(self, query: str) -> float:
        """The seconds from the start of a query until it is seen to have succeeded."""
        began = time.perf_counter()
        name = self._athena.start_query_execution(
            QueryString=query,
            QueryExecutionContext={"Database": _DATABASE},
            ResultConfiguration={"OutputLocation": f"s3://{_BUCKET}/results/"},
        )["QueryExecutionId"]
        while True:
            found = self._athena.get_query_execution(QueryExecutionId=name)["QueryExecution"]
            if found["Status"]["State"] in _ENDED:
                break
            # Looking takes of the CPUs that the query needs: seldom, once it is no short one.
            time.sleep(0.001 if time.perf_counter() - began < 0.05 else 0.1)
        took = time.perf_counter() - began
        self.last = found
        if found["Status"]["State"] != "SUCCEEDED":
            raise RuntimeError(f"{found['Status'].get('StateChangeReason')}: {query[:80]}")
        return took

    def recorded(self, query: str) -> float:
        """The seconds that the execution's record says, from its creation to its end."""
        self(query)
        return float(self.last["Statistics"]["TotalExecutionTimeInMillis"]) / 1000


def _latency(asking: Asking) -> None:
    took = []
    for _ in range(_CALLS):
        took.append(asking("SELECT 1") * 1000)
        time.sleep(0.2)  # as people ask: one engine at least is ready then
    took = sorted(took[5:])
    print(
        f"\nSELECT 1, from the start call to SUCCEEDED: median {statistics.median(took):.1f} ms, best {took[0]:.1f} ms"
    )
    print(f"  of which Clary says: {_parts(asking.last)}")


def _parts(execution: dict[str, Any]) -> str:
    timeline = execution["Statistics"]
    names = ("QueryQueueTime", "ServicePreProcessingTime", "EngineExecutionTime", "ServiceProcessingTime")
    return ", ".join(f"{name} {timeline[f'{name}InMillis']} ms" for name in names)


def _tpch(asking: Asking, folder: Path) -> None:
    queries = [each.strip() for each in _QUERIES.read_text().split(";") if each.strip()]
    ways: dict[str, Callable[[str], float]] = {"Clary": asking.recorded, "DuckDB": _in_process(folder)}
    spark = _spark(folder)
    if spark is not None:
        ways["Spark"] = spark
    best = {name: [float("inf")] * len(queries) for name in ways}
    for turn in range(_ROUNDS):
        for place, query in enumerate(queries):
            for name, ask in ways.items():
                if name != "Spark" or turn < _SPARKS_ROUNDS:
                    best[name][place] = min(best[name][place], ask(query))
    print(f"\nTPC-H at scale {_SCALE:g}, best of {_ROUNDS} ({_SPARKS_ROUNDS} of Spark), ms")
    print(f"  {'query':>6}" + "".join(f"{name:>10}" for name in ways))
    for place in range(len(queries)):
        print(f"  {place + 1:>6}" + "".join(f"{best[name][place] * 1000:>10.0f}" for name in ways))
    total = {name: sum(times) for name, times in best.items()}
    print(f"  {'all':>6}" + "".join(f"{total[name] * 1000:>10.0f}" for name in ways))
    bound = 1.2 * total["DuckDB"] + 0.05 * len(queries)
    print(
        f"  Clary takes {total['Clary'] / total['DuckDB']:.2f} times DuckDB's time; 1.2 times and 50 ms a query are ",
        end="",
    )
    print(f"{bound * 1000:.0f} ms")
    if spark is not None:
        print(f"  Spark takes {total['Spark'] / total['Clary']:.1f} times Clary's time")


def _scan(server: Server, asking: Asking) -> None:
    """Scan a table of many objects that share their bytes, and look at what the engine's process holds meanwhile."""
    s3, glue = server.client("s3"), server.client("glue")
    objects = [each for each in _listed(s3, "lineitem/")]
    size = sum(each["Size"] for each in objects)
    copies = max(1, _SCAN_BYTES // size)
    for number in range(copies):
        for each in objects:
            source = {"Bucket": _BUCKET, "Key": each["Key"]}
            s3.copy_object(Bucket=_BUCKET, Key=f"large/{number}-{each['Key'].replace('/', '-')}", CopySource=source)
    table = glue.get_table(DatabaseName=_DATABASE, Name="lineitem")["Table"]
    descriptor = {**table["StorageDescriptor"], "Location": f"s3://{_BUCKET}/large/"}
    glue.create_table(DatabaseName=_DATABASE, TableInput={"Name": "large", "StorageDescriptor": descriptor})
    with _Peak(server) as peak:
        took = asking(
            "SELECT l_shipdate, count(*), max(l_comment), sum(l_quantity), min(l_shipinstruct), sum(l_extendedprice), "
            "sum(l_discount), sum(l_tax), max(l_commitdate), min(l_receiptdate), max(l_shipmode), max(l_linestatus), "
            "max(l_returnflag), max(l_suppkey), max(l_partkey), max(l_orderkey), max(l_linenumber) "
            "FROM large GROUP BY l_shipdate ORDER BY 2 DESC LIMIT 10"
        )
    scanned = asking.last["Statistics"]["DataScannedInBytes"]
    print(
        f"\nA scan of {scanned / 1024**3:.1f} GiB in {took:.1f} s within {_MEMORY_BYTES / 1024**3:.0f} GiB of memory: ",
        end="",
    )
    print(f"the engine's process held {peak.bytes / 1024**3:.2f} GiB at most")


class _Peak:
    """The most memory of its own that any process of an engine held."""

    def __init__(self, server: Server) -> None:
        self.bytes = 0
        self._server = server
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "_Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            for process in psutil.Process(self._server.process.pid).children(recursive=True):
                try:
                    if "clary.lake.engine.nursery" in process.cmdline()[2:3]:
                        memory = process.memory_info()
                        self.bytes = max(self.bytes, memory.rss - memory.shared)
                except psutil.Error:
                    continue


def _store(server: Server, folder: Path) -> None:
    """Each part of a table of several is a partition."""
    s3, glue = server.client("s3"), server.client("glue")
    s3.create_bucket(Bucket=_BUCKET)
    glue.create_database(DatabaseInput={"Name": _DATABASE})
    for table in _tables(folder):
        files = sorted((folder / table).glob("*.parquet"))
        rows = duckdb.sql(f"DESCRIBE SELECT * FROM read_parquet('{files[0]}')").fetchall()
        columns = [{"Name": row[0], "Type": _TYPES.get(row[1], row[1].lower())} for row in rows]
        location = f"s3://{_BUCKET}/{table}/"
        descriptor = {"Columns": columns, "Location": location, "SerdeInfo": _SERDE}
        keys = [{"Name": "part_of_table", "Type": "int"}]
        given = {"Name": table, "StorageDescriptor": descriptor, "PartitionKeys": keys}
        glue.create_table(DatabaseName=_DATABASE, TableInput=given)
        for number, file in enumerate(files, 1):
            s3.upload_file(str(file), _BUCKET, f"{table}/part_of_table={number}/{file.name}")
            own = {**descriptor, "Location": f"{location}part_of_table={number}/"}
            partition = {"Values": [str(number)], "StorageDescriptor": own}
            glue.create_partition(DatabaseName=_DATABASE, TableName=table, PartitionInput=partition)


def _tables(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def _listed(s3: Any, prefix: str) -> list[dict[str, Any]]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=_BUCKET, Prefix=prefix)
    return [each for page in pages for each in page.get("Contents", ())]


def _in_process(folder: Path) -> Callable[[str], float]:
    connection = duckdb.connect()
    connection.execute("SET preserve_insertion_order = false")
    for table in _tables(folder):
        connection.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet('{folder}/{table}/*.parquet')")

    def ask(query: str) -> float:
        began = time.perf_counter()
        connection.execute(query).fetchall()
        return time.perf_counter() - began

    return ask


def _spark(folder: Path) -> Callable[[str], float] | None:
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        print("\nSpark is left out: install the extra [spark]")
        return None
    session = SparkSession.builder.master("local[*]").config("spark.driver.memory", "6g").getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    for table in _tables(folder):
        session.read.parquet(str(folder / table)).createOrReplaceTempView(table)

    def ask(query: str) -> float:
        began = time.perf_counter()
        session.sql(query).collect()
        return time.perf_counter() - began

    return ask

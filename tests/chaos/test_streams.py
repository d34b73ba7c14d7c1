"""Kill -9 any process while records stream in: nothing that was acknowledged is missing from any reader.

Producers put a thousand records a second, in all, into a data stream and into a delivery stream; a second delivery
stream reads the data stream. Everything is checked by what ordinary clients find at the end. Locally, for longer:

    CLARY_CHAOS_ROUNDS=10 CLARY_CHAOS_SECONDS=120 pytest tests/chaos/test_streams.py --log-cli-level=INFO
"""

import itertools
import json
import logging
import os
import random
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from tests.chaos.killing import kill_next, nobody_left, wait_until

from clary.testing import Server, reserved_port, start_server, stop_server

ROUNDS = int(os.environ.get("CLARY_CHAOS_ROUNDS", "1"))
SECONDS = float(os.environ.get("CLARY_CHAOS_SECONDS", "15"))
VICTIMS = ("gateway", "carrier", "supervisor", "gateway", "controller", "carrier")
BUCKET = "storm"
STREAM = "storm"
DIRECT, SOURCED = "storm-direct", "storm-sourced"
ROLE = "arn:aws:iam::000000000000:role/clary-execution-role"
BATCH, BATCHES_PER_SECOND, PRODUCERS = 25, 10, 2
KEYS = 5

_log = logging.getLogger("storm")


@dataclass
class Producer:
    """Puts batches of numbered records, each once: what failed is known to nobody, and neither asked for again."""

    name: str
    put: Callable[[list[dict[str, Any]]], list[bool]]
    acknowledged: set[str] = field(default_factory=set)
    failures: int = 0

    def run(self, stop: threading.Event) -> None:
        numbers = itertools.count()
        while not stop.wait(1 / BATCHES_PER_SECOND):
            records = [
                {"id": f"{self.name}-{number}", "key": f"{self.name}-{number % KEYS}", "n": number}
                for number in itertools.islice(numbers, BATCH)
            ]
            try:
                taken = self.put(records)
            except (BotoCoreError, ClientError):
                self.failures += 1
                continue
            self.acknowledged |= {record["id"] for record, ok in zip(records, taken, strict=True) if ok}


def client(server: Server, service: str) -> Any:
    """A client that never asks twice: a repeated put would be there twice, and rightly so."""
    once = Config(retries={"max_attempts": 0}, connect_timeout=60, read_timeout=60, s3={"addressing_style": "path"})
    return server.client(service, config=once)


def into_stream(server: Server) -> Callable[[list[dict[str, Any]]], list[bool]]:
    kinesis = client(server, "kinesis")

    def put(records: list[dict[str, Any]]) -> list[bool]:
        entries = [{"Data": json.dumps(record).encode(), "PartitionKey": record["key"]} for record in records]
        answer = kinesis.put_records(StreamName=STREAM, Records=entries)
        return ["SequenceNumber" in one for one in answer["Records"]]

    return put


def into_delivery(server: Server) -> Callable[[list[dict[str, Any]]], list[bool]]:
    firehose = client(server, "firehose")

    def put(records: list[dict[str, Any]]) -> list[bool]:
        entries = [{"Data": json.dumps(record).encode() + b"\n"} for record in records]
        answer = firehose.put_record_batch(DeliveryStreamName=DIRECT, Records=entries)
        return ["RecordId" in one for one in answer["RequestResponses"]]

    return put


def prepare(server: Server) -> None:
    client(server, "s3").create_bucket(Bucket=BUCKET)
    kinesis, firehose = client(server, "kinesis"), client(server, "firehose")
    kinesis.create_stream(StreamName=STREAM, ShardCount=3)
    kinesis.get_waiter("stream_exists").wait(StreamName=STREAM, WaiterConfig={"Delay": 1, "MaxAttempts": 180})
    arn = kinesis.describe_stream_summary(StreamName=STREAM)["StreamDescriptionSummary"]["StreamARN"]

    def destination(prefix: str) -> dict[str, Any]:
        return {
            "RoleARN": ROLE,
            "BucketARN": f"arn:aws:s3:::{BUCKET}",
            "Prefix": prefix,
            "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 1},
        }

    firehose.create_delivery_stream(
        DeliveryStreamName=DIRECT, ExtendedS3DestinationConfiguration=destination("direct/")
    )
    processor = {"Type": "AppendDelimiterToRecord", "Parameters": []}
    firehose.create_delivery_stream(
        DeliveryStreamName=SOURCED,
        DeliveryStreamType="KinesisStreamAsSource",
        KinesisStreamSourceConfiguration={"KinesisStreamARN": arn, "RoleARN": ROLE},
        ExtendedS3DestinationConfiguration=destination("sourced/")
        | {"ProcessingConfiguration": {"Enabled": True, "Processors": [processor]}},
    )
    for name in (DIRECT, SOURCED):
        wait_until(
            lambda name=name: _status(firehose, name) == "ACTIVE",
            f"{name} is active",
        )


def _status(firehose: Any, name: str) -> str:
    return str(
        firehose.describe_delivery_stream(DeliveryStreamName=name)["DeliveryStreamDescription"]["DeliveryStreamStatus"]
    )


def consume(server: Server) -> Iterator[dict[str, Any]]:
    """Every record of the stream, from its beginning, shard by shard."""
    kinesis = client(server, "kinesis")
    for shard in kinesis.list_shards(StreamName=STREAM)["Shards"]:
        iterator = kinesis.get_shard_iterator(
            StreamName=STREAM, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while iterator:
            page = kinesis.get_records(ShardIterator=iterator)
            for record in page["Records"]:
                yield json.loads(record["Data"])
            if not page["Records"] and page["MillisBehindLatest"] == 0:
                break
            iterator = page.get("NextShardIterator")


def delivered(server: Server, prefix: str) -> Counter[str]:
    """How often each record lies below a prefix of the bucket."""
    s3 = client(server, "s3")
    found: Counter[str] = Counter()
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix):
        for item in page.get("Contents", ()):
            lines = s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read().splitlines()
            found.update(json.loads(line)["id"] for line in lines)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("number", range(ROUNDS))
def test_nothing_acknowledged_is_lost(tmp_path: Path, number: int) -> None:
    chance = random.Random(20261127 + number)
    folder = tmp_path / "home"
    killed: list[str] = []
    with reserved_port() as port:
        storm(folder, f"127.0.0.1:{port}", chance, killed)
    assert killed == list(VICTIMS)
    nobody_left(folder)


def storm(folder: Path, listen: str, chance: random.Random, killed: list[str]) -> None:
    server = start_server(folder, "--listen", listen, warm_interpreters=False)
    stop = threading.Event()
    try:
        prepare(server)
        streaming = [Producer(f"s{i}", into_stream(server)) for i in range(PRODUCERS)]
        delivering = [Producer(f"d{i}", into_delivery(server)) for i in range(PRODUCERS)]
        with ThreadPoolExecutor() as pool:
            runs = [pool.submit(producer.run, stop) for producer in streaming + delivering]
            try:
                pause = SECONDS / len(VICTIMS)
                for victim in VICTIMS:
                    stop.wait(chance.uniform(0.5 * pause, 1.5 * pause))
                    killed += kill_next(folder, victim, chance)
                    if victim == "supervisor":
                        server.process.wait(30)
                        server = start_server(folder, "--listen", listen, warm_interpreters=False)
                stop.wait(pause)
            finally:
                stop.set()
            for run in runs:
                run.result(180)
        check(server, streaming, delivering)
    finally:
        stop_server(server)


def check(server: Server, streaming: list[Producer], delivering: list[Producer]) -> None:
    acknowledged = set().union(*(producer.acknowledged for producer in streaming))
    wait_until(lambda: client(server, "kinesis").list_streams()["StreamNames"], "the server answers")
    read = list(consume(server))
    times = Counter(record["id"] for record in read)
    assert acknowledged - set(times) == set(), "acknowledged, and not in the stream"
    assert [one for one, count in times.items() if count > 1] == [], "more than once in the stream"
    by_key: defaultdict[str, list[int]] = defaultdict(list)
    for record in read:
        by_key[record["key"]].append(record["n"])
    assert all(numbers == sorted(numbers) for numbers in by_key.values()), "out of order"

    wait_until(lambda: set(times) <= set(delivered(server, "sourced/")), "all of the stream is delivered")
    direct = set().union(*(producer.acknowledged for producer in delivering))
    wait_until(lambda: direct <= set(delivered(server, "direct/")), "all that was acknowledged is delivered")
    twice = sum(count - 1 for prefix in ("sourced/", "direct/") for count in delivered(server, prefix).values())
    failed = sum(producer.failures for producer in streaming + delivering)
    _log.info(
        "%d + %d acknowledged, %d batches failed, %d delivered again", len(acknowledged), len(direct), failed, twice
    )

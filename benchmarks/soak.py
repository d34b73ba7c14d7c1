"""Claim: memory stays flat while records stream through for as long as one likes.

Two producers put some thousand records a second into a data stream and a delivery stream, a consumer reads the one, and
two deliveries write both to S3. Every process's own memory (what it mapped of files is not its own) is shown over time.
A round of this script takes 300 times as long as one of the others: ten minutes, unless `--seconds` says otherwise.
"""

import json
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

import psutil

from benchmarks.clary_server import clary
from clary.testing import Server

_BATCH = 100
_BATCHES_PER_SECOND = 5
_ROLES = ("gateway", "controller", "carrier")
_SAMPLES = 10
_STREAM, _BUCKET = "soak", "soak"
_ROLE = "arn:aws:iam::000000000000:role/clary-execution-role"


def run(seconds: float) -> None:
    length = 300 * seconds
    with clary() as server:
        _prepare(server)
        stop = threading.Event()
        counts = {"put": 0, "read": 0}
        with ThreadPoolExecutor() as pool:
            work = [pool.submit(_produce, server, counts, stop), pool.submit(_consume, server, counts, stop)]
            try:
                _watch(server, length, work)
            finally:
                stop.set()
            for one in work:
                one.result()
        print(f"  {counts['put']:,} records put, {counts['read']:,} read")


def _prepare(server: Server) -> None:
    server.client("s3").create_bucket(Bucket=_BUCKET)
    kinesis, firehose = server.client("kinesis"), server.client("firehose")
    kinesis.create_stream(StreamName=_STREAM, ShardCount=2)
    kinesis.get_waiter("stream_exists").wait(StreamName=_STREAM)
    arn = kinesis.describe_stream_summary(StreamName=_STREAM)["StreamDescriptionSummary"]["StreamARN"]
    s3 = {
        "RoleARN": _ROLE,
        "BucketARN": f"arn:aws:s3:::{_BUCKET}",
        "BufferingHints": {"SizeInMBs": 4, "IntervalInSeconds": 5},
        "CompressionFormat": "GZIP",
    }
    firehose.create_delivery_stream(
        DeliveryStreamName="direct", ExtendedS3DestinationConfiguration=s3 | {"Prefix": "direct/"}
    )
    firehose.create_delivery_stream(
        DeliveryStreamName="sourced",
        DeliveryStreamType="KinesisStreamAsSource",
        KinesisStreamSourceConfiguration={"KinesisStreamARN": arn, "RoleARN": _ROLE},
        ExtendedS3DestinationConfiguration=s3 | {"Prefix": "sourced/"},
    )


def _produce(server: Server, counts: dict[str, int], stop: threading.Event) -> None:
    kinesis, firehose = server.client("kinesis"), server.client("firehose")
    while not stop.wait(1 / _BATCHES_PER_SECOND):
        data = [json.dumps({"n": counts["put"] + i, "pad": "x" * 900}).encode() for i in range(_BATCH)]
        kinesis.put_records(
            StreamName=_STREAM, Records=[{"Data": one, "PartitionKey": str(i)} for i, one in enumerate(data)]
        )
        firehose.put_record_batch(DeliveryStreamName="direct", Records=[{"Data": one} for one in data])
        counts["put"] += 2 * _BATCH


def _consume(server: Server, counts: dict[str, int], stop: threading.Event) -> None:
    kinesis = server.client("kinesis")
    shards = [shard["ShardId"] for shard in kinesis.list_shards(StreamName=_STREAM)["Shards"]]
    iterators = [
        kinesis.get_shard_iterator(StreamName=_STREAM, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        for shard in shards
    ]
    while not stop.wait(0.2):
        pages = [kinesis.get_records(ShardIterator=iterator) for iterator in iterators]
        counts["read"] += sum(len(page["Records"]) for page in pages)
        iterators = [page["NextShardIterator"] for page in pages]


def _watch(server: Server, length: float, work: list[Future[None]]) -> None:
    print(f"\nSoak: own memory in MiB of each process over {length:,.0f} s")
    roles = {role: process for role in _ROLES for process in server.processes(role)}
    print(f"  {'after s':>10}" + "".join(f"{role:>12}" for role in roles))
    started = time.monotonic()
    for sample in range(1, _SAMPLES + 1):
        while time.monotonic() - started < sample * length / _SAMPLES and not any(one.done() for one in work):
            time.sleep(0.5)
        own = "".join(f"{_own(process):>12.1f}" for process in roles.values())
        print(f"  {time.monotonic() - started:>10.0f}{own}", flush=True)


def _own(process: psutil.Process) -> float:
    memory = process.memory_info()
    return float(memory.rss - memory.shared) / 2**20

"""A consumer group with plain boto3; the same program runs against AWS.

    eval "$(clary env)" && python examples/consumer_group.py

Workers share a stream's shards among themselves. Each shard has a lease, a small object in S3 that says who reads it
and how far: a conditional write takes it, extends it and saves the checkpoint, so that of two workers one wins. The
children of a split or merged shard are read when their parents are read to the end, which keeps records of one key in
order. When a worker dies, its leases run out and others go on from its checkpoints; what it had read and not saved is
read again.

The demonstration starts three workers, has a producer put records while the stream is split, scaled and merged, lets
one worker die, and shows that every record was processed, in order for each key.
"""

import json
import random
import sys
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import ClientError

LEASE_SECONDS = 3.0
KEYS = 12
Record = dict[str, Any]


@dataclass
class Lease:
    """A worker's hold on a shard; `etag` is of the object it was last written as."""

    shard: str
    parents: list[str]
    owner: str = ""
    until: float = 0.0
    checkpoint: str = "TRIM_HORIZON"
    ended: bool = False
    etag: str = ""

    def body(self) -> bytes:
        return json.dumps({name: value for name, value in vars(self).items() if name != "etag"}).encode()


class Leases:
    """The leases of a group. `save` writes over exactly what was read, or says that somebody else was quicker."""

    def __init__(self, bucket: str, group: str) -> None:
        self._s3 = boto3.client("s3")
        self._bucket = bucket
        self._prefix = f"{group}/leases/"

    def all(self) -> dict[str, Lease]:
        found = {}
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
        for item in (item for page in pages for item in page.get("Contents", [])):
            answer = self._s3.get_object(Bucket=self._bucket, Key=item["Key"])
            lease = Lease(**json.loads(answer["Body"].read()), etag=answer["ETag"])
            found[lease.shard] = lease
        return found

    def save(self, lease: Lease) -> bool:
        condition = {"IfMatch": lease.etag} if lease.etag else {"IfNoneMatch": "*"}
        try:
            key = self._prefix + lease.shard
            lease.etag = self._s3.put_object(Bucket=self._bucket, Key=key, Body=lease.body(), **condition)["ETag"]
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] in (404, 409, 412):
                return False
            raise
        return True


class Worker:
    """Reads its share of a stream's shards and gives each batch to `process`: at least once, in order for each key."""

    def __init__(self, stream: str, leases: Leases, process: Callable[[str, list[Record]], None]) -> None:
        self.name = uuid.uuid4().hex[:8]
        self._kinesis = boto3.client("kinesis")
        self._stream = stream
        self._leases = leases
        self._process = process
        self._held: dict[str, Lease] = {}
        self._iterators: dict[str, str] = {}

    def run(self, stop: Callable[[], bool]) -> None:
        """Work until `stop` says so; then the leases run out by themselves."""
        looked = 0.0
        while not stop():
            if time.time() - looked > LEASE_SECONDS / 3:
                self._share()
                looked = time.time()
            if not sum([self._read(lease) for lease in list(self._held.values())]):
                time.sleep(0.05)

    def _share(self) -> None:
        """Make leases for new shards, extend what is held, take up to a fair share of what nobody holds."""
        known, now = self._leases.all(), time.time()
        pages = self._kinesis.get_paginator("list_shards").paginate(StreamName=self._stream)
        listed = {shard["ShardId"]: shard for page in pages for shard in page["Shards"]}
        for shard, facts in listed.items():
            if shard not in known:
                parents = [facts[member] for member in ("ParentShardId", "AdjacentParentShardId") if member in facts]
                lease = Lease(shard, parents)
                if self._leases.save(lease):
                    known[shard] = lease
        ready = [lease for lease in known.values() if not lease.ended and self._parents_ended(lease, known, listed)]
        workers = {lease.owner for lease in ready if lease.until > now} | {self.name}
        share = -(-len(ready) // len(workers))
        for shard in list(self._held):
            if len(self._held) > share:  # others have come: let go, with the checkpoint as it is
                self._drop(shard, until=0.0)
            else:
                self._keep(self._held[shard])
        for lease in random.sample(ready, len(ready)):
            if len(self._held) >= share:
                break
            if lease.until < now and lease.shard not in self._held:
                lease.owner = self.name
                self._keep(lease)

    def _parents_ended(self, lease: Lease, known: dict[str, Lease], listed: Iterable[str]) -> bool:
        """Whether the parents are read, or past retention: then the stream no longer lists them."""
        return all(parent in known and known[parent].ended for parent in lease.parents if parent in listed)

    def _keep(self, lease: Lease) -> bool:
        lease.until = time.time() + LEASE_SECONDS
        if self._leases.save(lease):
            self._held[lease.shard] = lease
            return True
        self._held.pop(lease.shard, None)  # it ran out and another took it
        self._iterators.pop(lease.shard, None)
        return False

    def _drop(self, shard: str, *, until: float) -> None:
        lease = self._held.pop(shard)
        self._iterators.pop(shard, None)
        lease.until = until
        self._leases.save(lease)

    def _read(self, lease: Lease) -> int:
        try:
            answer = self._kinesis.get_records(ShardIterator=self._iterator(lease), Limit=500)
        except self._kinesis.exceptions.ExpiredIteratorException:
            self._iterators.pop(lease.shard)
            return 0
        records = answer["Records"]
        if records:
            if lease.until < time.time() and not self._keep(lease):
                return 0
            self._process(lease.shard, records)
            lease.checkpoint = records[-1]["SequenceNumber"]
        if "NextShardIterator" in answer:
            self._iterators[lease.shard] = answer["NextShardIterator"]
            if records:
                self._keep(lease)
        else:
            lease.ended = True
            self._drop(lease.shard, until=0.0)
        return len(records)

    def _iterator(self, lease: Lease) -> str:
        if lease.shard not in self._iterators:
            position = {"ShardIteratorType": "TRIM_HORIZON"}
            if lease.checkpoint != "TRIM_HORIZON":
                position = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": lease.checkpoint}
            asked = self._kinesis.get_shard_iterator(StreamName=self._stream, ShardId=lease.shard, **position)
            self._iterators[lease.shard] = asked["ShardIterator"]
        return self._iterators[lease.shard]


def produce(stream: str, count: int) -> None:
    """Put numbered records, and reshard the stream on the way."""
    kinesis = boto3.client("kinesis")

    def reshard(step: int) -> None:
        if step == 1:
            kinesis.split_shard(StreamName=stream, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**125))
        elif step == 2:
            kinesis.update_shard_count(StreamName=stream, TargetShardCount=4, ScalingType="UNIFORM_SCALING")
        elif step == 3:
            shards = kinesis.list_shards(StreamName=stream, ShardFilter={"Type": "AT_LATEST"})["Shards"]
            shards.sort(key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))
            first, second = shards[0]["ShardId"], shards[1]["ShardId"]
            kinesis.merge_shards(StreamName=stream, ShardToMerge=first, AdjacentShardToMerge=second)
        kinesis.get_waiter("stream_exists").wait(StreamName=stream)

    for number in range(count):
        if number and number % (count // 4) == 0:
            reshard(number // (count // 4))
        key = f"key-{number % KEYS}"
        kinesis.put_record(StreamName=stream, PartitionKey=key, Data=json.dumps({"number": number}).encode())


def main(name: str, count: int) -> dict[str, Any]:
    kinesis, s3 = boto3.client("kinesis"), boto3.client("s3")
    kinesis.create_stream(StreamName=name, ShardCount=2)
    kinesis.get_waiter("stream_exists").wait(StreamName=name)
    s3.create_bucket(Bucket=name)
    seen: dict[str, list[int]] = defaultdict(list)
    shares: dict[str, int] = defaultdict(int)
    lock, dead, done = threading.Lock(), threading.Event(), threading.Event()

    def worker_for(stop: threading.Event) -> threading.Thread:
        def process(shard: str, records: list[Record]) -> None:
            with lock:
                shares[worker.name] += len(records)
                for record in records:
                    seen[record["PartitionKey"]].append(json.loads(record["Data"])["number"])

        worker = Worker(name, Leases(name, "group"), process)
        return threading.Thread(target=worker.run, args=(lambda: stop.is_set() or done.is_set(),))

    workers = [worker_for(dead), worker_for(done), worker_for(done)]
    for thread in workers:
        thread.start()
    producer = threading.Thread(target=produce, args=(name, count))
    producer.start()
    time.sleep(LEASE_SECONDS)
    dead.set()  # one worker dies; it says nothing to the others
    producer.join()
    deadline = time.time() + 120
    while time.time() < deadline and len({number for numbers in seen.values() for number in numbers}) < count:
        time.sleep(0.1)
    done.set()
    for thread in workers:
        thread.join()
    first_time = {key: list(dict.fromkeys(numbers)) for key, numbers in seen.items()}
    result = {
        "processed": sum(map(len, first_time.values())),
        "again": sum(map(len, seen.values())) - sum(map(len, first_time.values())),
        "in_order": all(numbers == sorted(numbers) for numbers in first_time.values()),
        "workers": len(shares),
        "shards": len(kinesis.list_shards(StreamName=name)["Shards"]),
    }
    kinesis.delete_stream(StreamName=name)
    for item in s3.list_objects_v2(Bucket=name)["Contents"]:
        s3.delete_object(Bucket=name, Key=item["Key"])
    s3.delete_bucket(Bucket=name)
    return result


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1] if len(sys.argv) > 1 else f"group-{uuid.uuid4().hex[:8]}", 1200)))

"""Claim: Firehose takes records durably, and faster than an emulator that writes each batch to S3 at once.

PutRecordBatch of 100 records of 1 KiB, and PutRecord of one, against moto's server. Clary fsyncs each batch into the
delivery stream's buffer before it answers, and its carrier delivers to S3 meanwhile; that CPU is counted too. Moto
keeps the objects in memory.
"""

import base64
import http.client
import json
import os
import threading
import time
from typing import Any

from benchmarks import peers
from benchmarks.clary_server import clary, port_of
from benchmarks.compare import Subject, show, side_by_side, tree
from benchmarks.load import replay
from benchmarks.signing import signed

_ROLE = "arn:aws:iam::000000000000:role/Benchmark"
_BATCH = 100
_RECORD = os.urandom(1024)
_INTERVAL_SECONDS = 1


class _Firehose:
    """One server with a delivery stream, and the requests it is sent."""

    def __init__(self, name: str, port: int, processes, access_key: str = "test", secret: str = "test") -> None:  # type: ignore[no-untyped-def]
        self.name = name
        self.port = port
        self.processes = processes
        self._keys = {"access_key": access_key, "secret": secret}
        replay(port, [signed("PUT", port, "/bench", "s3", **self._keys)], connections=1, count=1)
        hints = {"SizeInMBs": 5, "IntervalInSeconds": _INTERVAL_SECONDS}
        part = {"RoleARN": _ROLE, "BucketARN": "arn:aws:s3:::bench", "Prefix": "in/", "BufferingHints": hints}
        self.ask("CreateDeliveryStream", DeliveryStreamName="bench", ExtendedS3DestinationConfiguration=part)
        for _ in range(200):
            described = self.ask("DescribeDeliveryStream", DeliveryStreamName="bench")
            if described["DeliveryStreamDescription"]["DeliveryStreamStatus"] == "ACTIVE":
                return
            time.sleep(0.05)
        raise RuntimeError("the delivery stream did not become active")

    def request(self, operation: str, **params: Any) -> bytes:
        headers = {"X-Amz-Target": f"Firehose_20150804.{operation}", "Content-Type": "application/x-amz-json-1.1"}
        body = json.dumps(params).encode()
        return signed("POST", self.port, "/", "firehose", body=body, headers=headers, **self._keys)

    def ask(self, operation: str, **params: Any) -> Any:
        head, _, body = self.request(operation, **params).partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")[1:]
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request("POST", "/", body, dict(line.split(": ", 1) for line in lines))
        answer = connection.getresponse()
        found = json.loads(answer.read() or b"{}")
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"{operation}: {found}")
        return found

    def batches(self) -> Subject:
        records = [{"Data": base64.b64encode(_RECORD).decode()} for _ in range(_BATCH)]
        request = self.request("PutRecordBatch", DeliveryStreamName="bench", Records=records)
        return Subject(self.name, self.port, [request], self.processes)

    def singles(self) -> Subject:
        record = {"Data": base64.b64encode(_RECORD).decode()}
        request = self.request("PutRecord", DeliveryStreamName="bench", Record=record)
        return Subject(self.name, self.port, [request], self.processes)


def run(seconds: float) -> None:
    with clary() as server, peers.moto() as (moto_port, moto_pid):
        stores = [
            _Firehose("Clary, durable", port_of(server), tree(server.process.pid), server.access_key, server.secret),
            _Firehose("moto server, in memory", moto_port, tree(moto_pid)),
        ]
        for connections in (1, 16):
            batches = side_by_side([one.batches() for one in stores], connections=connections, seconds=seconds)
            show(f"Firehose: PutRecordBatch of {_BATCH} x 1 KiB, {connections} connection(s)", batches)
            for result in batches:
                print(f"  {result.subject}: {result.median(lambda one: one.rate) * _BATCH:,.0f} records/s")
        singles = side_by_side([one.singles() for one in stores], connections=16, seconds=seconds)
        show("Firehose: PutRecord of 1 KiB, 16 connections", singles)
        _delivery(server)


def _delivery(server: Any) -> None:
    """How long after its put a lone record is in S3, beyond the buffer's interval."""
    s3, firehose = server.client("s3"), server.client("firehose")
    hints = {"SizeInMBs": 5, "IntervalInSeconds": _INTERVAL_SECONDS}
    part = {"RoleARN": _ROLE, "BucketARN": "arn:aws:s3:::bench", "Prefix": "lone/", "BufferingHints": hints}
    firehose.create_delivery_stream(DeliveryStreamName="lone", ExtendedS3DestinationConfiguration=part)
    pause, took = threading.Event(), []
    while (
        firehose.describe_delivery_stream(DeliveryStreamName="lone")["DeliveryStreamDescription"][
            "DeliveryStreamStatus"
        ]
        != "ACTIVE"
    ):
        pause.wait(0.05)
    for number in range(1, 6):
        firehose.put_record(DeliveryStreamName="lone", Record={"Data": b"x"})
        begun = time.monotonic()
        while s3.list_objects_v2(Bucket="bench", Prefix="lone/")["KeyCount"] < number:
            pause.wait(0.01)
        took.append(time.monotonic() - begun - _INTERVAL_SECONDS)
    print(f"\nA lone record is in S3 {max(took) * 1e3:,.0f} ms after its buffer's interval at most, of {len(took)}")

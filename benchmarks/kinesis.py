"""Claim: durable streams that are faster than emulators that keep records in memory.

PutRecord of 1 KiB, PutRecords of 100 x 1 KiB and GetRecords of 1,000 x 1 KiB, at 1, 16 and 64 connections, against
kinesalite and kinesis-mock (npm `kinesis-local`), ministack and moto's server. Clary has each record on disk before it
answers, and verifies signatures; the peers keep records in memory and verify none.
"""

import base64
import json
import os
import threading
from collections.abc import Callable
from typing import Any

import orjson

from benchmarks import peers
from benchmarks.clary_server import clary, gateways, port_of
from benchmarks.compare import Subject, show, side_by_side, tree
from benchmarks.load import ask
from benchmarks.signing import signed

_CONNECTIONS = (1, 16, 64)
_SHARDS = 4
_BATCH = 100
_READ = 1000
_REQUESTS = 200
_ACTIVE_TRIES = 200


class _Server:
    """One server of Kinesis, its streams, and the requests it is sent."""

    def __init__(
        self,
        name: str,
        port: int,
        processes: Callable[[], list[int]],
        access_key: str = "test",
        secret: str = "test",
    ) -> None:
        self.name = name
        self._port = port
        self._processes = processes
        self._keys = {"access_key": access_key, "secret": secret}
        for stream in ("written", "read"):
            self._call("CreateStream", StreamName=stream, ShardCount=_SHARDS if stream == "written" else 1)
            self._wait(stream)
        for _ in range(_READ // _BATCH):
            self._call("PutRecords", StreamName="read", Records=_records(0))

    def puts(self) -> Subject:
        return self._subject("PutRecord", [{"StreamName": "written", **_record(number)} for number in range(_REQUESTS)])

    def batches(self) -> Subject:
        return self._subject(
            "PutRecords", [{"StreamName": "written", "Records": _records(number)} for number in range(_REQUESTS // 10)]
        )

    def gets(self) -> Subject:
        """With an iterator of its own, since it is valid for five minutes alone."""
        position = {"ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"}
        iterator = self._call("GetShardIterator", StreamName="read", **position)["ShardIterator"]
        found = self._call("GetRecords", ShardIterator=iterator, Limit=_READ)["Records"]
        if len(found) != _READ:
            raise RuntimeError(f"{self.name} answers {len(found)} of {_READ} records")
        return self._subject("GetRecords", [{"ShardIterator": iterator, "Limit": _READ}])

    def _subject(self, operation: str, bodies: list[dict[str, Any]]) -> Subject:
        return Subject(self.name, self._port, [self._sign(operation, body) for body in bodies], self._processes)

    def _sign(self, operation: str, body: dict[str, Any]) -> bytes:
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"Kinesis_20131202.{operation}",
        }
        return signed("POST", self._port, "/", "kinesis", body=orjson.dumps(body), headers=headers, **self._keys)

    def _call(self, operation: str, **params: Any) -> dict[str, Any]:
        status, body = ask(self._port, self._sign(operation, params))
        if status != 200:
            raise RuntimeError(f"{self.name} answers {status} to {operation}: {body[:200]!r}")
        return dict(json.loads(body)) if body else {}

    def _wait(self, stream: str) -> None:
        pause = threading.Event()
        for _ in range(_ACTIVE_TRIES):
            described = self._call("DescribeStreamSummary", StreamName=stream)["StreamDescriptionSummary"]
            if described["StreamStatus"] == "ACTIVE":
                return
            pause.wait(0.1)
        raise RuntimeError(f"{self.name}: stream {stream} does not become ACTIVE")


def _record(number: int) -> dict[str, str]:
    return {"PartitionKey": f"key-{number}", "Data": base64.b64encode(os.urandom(1024)).decode()}


def _records(number: int) -> list[dict[str, str]]:
    return [_record(_BATCH * number + each) for each in range(_BATCH)]


def run(seconds: float) -> None:
    with (
        clary() as server,
        peers.kinesalite() as (lite_port, lite_pid),
        peers.ministack() as (mini_port, mini_pid),
        peers.moto() as (moto_port, moto_pid),
    ):
        servers = [
            _Server("Clary, durable", port_of(server), gateways(server), server.access_key, server.secret),
            _Server("kinesalite, in memory", lite_port, tree(lite_pid)),
            _Server("ministack, in memory", mini_port, tree(mini_pid)),
            _Server("moto server, in memory", moto_port, tree(moto_pid)),
        ]
        kinds: tuple[tuple[str, Callable[[_Server], Subject]], ...] = (
            (f"GetRecords, {_READ:,} x 1 KiB", _Server.gets),
            ("PutRecord, 1 KiB", _Server.puts),
            (f"PutRecords, {_BATCH} x 1 KiB", _Server.batches),  # which leave some peers busy for long
        )
        for title, subject in kinds:
            for connections in _CONNECTIONS:
                subjects = [subject(one) for one in servers]
                results = side_by_side(subjects, connections=connections, seconds=seconds)
                # It comes last and anew: it goes on with what it was asked for long after its turn.
                with peers.kinesis_mock() as (mock_port, mock_pid):
                    mock = subject(_Server("kinesis-mock, in memory", mock_port, tree(mock_pid)))
                    results += side_by_side([mock], connections=connections, seconds=seconds, rounds=1)
                show(f"Kinesis: {title}, {connections} connection(s)", results)

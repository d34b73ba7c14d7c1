"""Claim: features are looked up and put durably, by a client's signed requests, far faster than Feast's server does it.

GetRecord and PutRecord of 20 features, and BatchGetRecord of 100 records, at 1, 16 and 64 connections, against Feast's
feature server over SQLite and over Redis, and against Redis alone, asked for as many bytes in its own protocol (the
limit). Clary verifies signatures, and has each record on disk before it answers; so has the Redis that Clary uses in
the last tables. The one that Feast uses keeps its records in memory.

    python -m benchmarks.features --records 10000000    # fills an online store, and reads it at random
"""

import argparse
import asyncio
import contextlib
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

import orjson
import psutil
import uvloop

from benchmarks import peers
from benchmarks.clary_server import gateways, port_of, request
from benchmarks.compare import Result, Subject, cpu_of, show, side_by_side, tree
from benchmarks.load import Outcome, ask
from benchmarks.signing import plain
from clary.kernel.core.settings import Settings
from clary.kernel.online import PUT, Write
from clary.kernel.rooms import Platform
from clary.testing import Server, serving

_CONNECTIONS = (1, 16, 64)
_RECORDS = 1000
_BATCH = 100
_PUTS_A_SECOND = 8000  # more than are done: each is sent once, with an event of its own
_NAMES = [f"feature_{number}" for number in range(18)]
_GROUP = "users"
_FIRST_EVENT = 1_700_000_000
_AT_ONCE = 1000
_ASKED_AT_RANDOM = 20_000


class _Each(list[bytes]):
    """Requests of which each is sent once: a round begins where the last one ended."""

    def __init__(self, requests: Iterable[bytes]) -> None:
        super().__init__(requests)
        self._left = super().__iter__()

    def __iter__(self) -> Iterator[bytes]:
        yield from self._left
        raise RuntimeError("fewer requests were prepared than are sent")


def _values(number: int) -> dict[str, float]:
    return {name: (number * 7 + place) * 1.37 for place, name in enumerate(_NAMES)}


class _Clary:
    """A Clary server, its feature group, and the requests it is sent."""

    def __init__(self, name: str, server: Server, records: int = _RECORDS) -> None:
        self.name = name
        self.server = server
        self._events = _FIRST_EVENT
        sagemaker = server.client("sagemaker")
        sagemaker.create_feature_group(
            FeatureGroupName=_GROUP,
            RecordIdentifierFeatureName="id",
            EventTimeFeatureName="at",
            FeatureDefinitions=[
                {"FeatureName": "id", "FeatureType": "String"},
                {"FeatureName": "at", "FeatureType": "Fractional"},
                *({"FeatureName": name, "FeatureType": "Fractional"} for name in _NAMES),
            ],
            OnlineStoreConfig={"EnableOnlineStore": True},
        )
        pause = Event()
        while sagemaker.describe_feature_group(FeatureGroupName=_GROUP)["FeatureGroupStatus"] != "Created":
            pause.wait(0.05)
        for number in range(records):
            status, body = ask(port_of(server), self._put(number))
            if status != 200:
                raise RuntimeError(f"Clary answers {status} to PutRecord: {body[:200]!r}")

    def gets(self) -> Subject:
        return self._subject([self._get(number) for number in range(_RECORDS)])

    def gets_at_random(self, records: int) -> Subject:
        return self._subject([self._get(random.randrange(records)) for _ in range(_ASKED_AT_RANDOM)])

    def puts(self, seconds: float) -> Subject:
        return self._subject(_Each(self._put(number % _RECORDS) for number in range(int(_PUTS_A_SECOND * seconds))))

    def batches(self) -> Subject:
        return self._subject([self._batch(first) for first in range(0, _RECORDS, _BATCH)])

    def _subject(self, requests: Sequence[bytes]) -> Subject:
        return Subject(self.name, port_of(self.server), requests, gateways(self.server))

    def _get(self, number: int) -> bytes:
        path = f"/FeatureGroup/{_GROUP}?RecordIdentifierValueAsString={number}"
        return request(self.server, "GET", path, "sagemaker")

    def _put(self, number: int) -> bytes:
        self._events += 1
        record = [
            {"FeatureName": "id", "ValueAsString": str(number)},
            {"FeatureName": "at", "ValueAsString": str(self._events)},
            *({"FeatureName": name, "ValueAsString": str(value)} for name, value in _values(number).items()),
        ]
        return self._json("PUT", f"/FeatureGroup/{_GROUP}", {"Record": record})

    def _batch(self, first: int) -> bytes:
        names = [str(number) for number in range(first, first + _BATCH)]
        asked = [{"FeatureGroupName": _GROUP, "RecordIdentifiersValueAsString": names}]
        return self._json("POST", "/BatchGetRecord", {"Identifiers": asked})

    def _json(self, method: str, path: str, body: Any) -> bytes:
        headers = {"Content-Type": "application/json"}
        return request(self.server, method, path, "sagemaker", body=orjson.dumps(body), headers=headers)


class _Feast:
    """A server of Feast, and the requests it is sent. It looks up by POST, without a signature."""

    def __init__(self, name: str, port: int, pid: int) -> None:
        self.name = name
        self._port = port
        self._processes = tree(pid)
        for first in range(0, _RECORDS, _BATCH):
            status, body = ask(port, self._write(range(first, first + _BATCH)))
            if status != 200:
                raise RuntimeError(f"{name} answers {status} to a write: {body[:200]!r}")
        status, body = ask(port, self._look([7]))
        found = orjson.loads(body) if status == 200 else {"metadata": {"feature_names": []}, "results": []}
        names = found["metadata"]["feature_names"]
        values = {each: result["values"][0] for each, result in zip(names, found["results"], strict=True)}
        if values != {"id": "7", **_values(7)}:
            raise RuntimeError(f"{name} answers {status} to a lookup: {body[:400]!r}")

    def gets(self) -> Subject:
        return self._subject([self._look([number]) for number in range(_RECORDS)])

    def puts(self) -> Subject:
        return self._subject([self._write([number]) for number in range(_RECORDS)])

    def batches(self) -> Subject:
        return self._subject([self._look(range(first, first + _BATCH)) for first in range(0, _RECORDS, _BATCH)])

    def _subject(self, requests: Sequence[bytes]) -> Subject:
        return Subject(self.name, self._port, requests, self._processes)

    def _look(self, numbers: Sequence[int]) -> bytes:
        body = {"features": [f"users:{name}" for name in _NAMES], "entities": {"id": [str(each) for each in numbers]}}
        return plain("POST", self._port, "/get-online-features", body=orjson.dumps(body))

    def _write(self, numbers: Sequence[int]) -> bytes:
        frame: dict[str, list[Any]] = {"id": [str(each) for each in numbers]}
        frame["at"] = ["2026-01-01T00:00:00"] * len(numbers)
        frame |= {name: [_values(each)[name] for each in numbers] for name in _NAMES}
        body = {"push_source_name": "pushed", "df": frame, "to": "online"}
        return plain("POST", self._port, "/push", body=orjson.dumps(body))


@contextlib.contextmanager
def _feast(name: str, store: str) -> Iterator[_Feast]:
    """Feast's own server with a worker for each CPU, over an online store as its documentation configures it."""
    folder, port = peers.environment("feast", ("feast[redis]",)), peers.free_port()
    with TemporaryDirectory(prefix="bench-feast-", ignore_cleanup_errors=True) as repository:
        (Path(repository) / "data").mkdir()
        (Path(repository) / "feature_store.yaml").write_text(
            f"project: bench\nprovider: local\nregistry: data/registry.db\nonline_store:\n{store}\n"
            "entity_key_serialization_version: 3\n"
        )
        shutil.copy(peers.APPS / "feast_features.py", Path(repository) / "features.py")
        silent = {"FEAST_USAGE": "False"}
        apply = [str(folder / "feast"), "--chdir", repository, "apply"]
        applied = subprocess.run(apply, env=os.environ | silent, capture_output=True, text=True, check=False)
        if applied.returncode:
            raise RuntimeError(f"feast apply failed: {applied.stderr[-500:]}")
        command = [str(folder / "feast"), "--chdir", repository, "serve", "--port", str(port), "--no-access-log"]
        command += ["--workers", "-1", "--max-requests", str(10**9)]
        with peers.started(command, port, **silent) as pid:
            yield _Feast(name, port, pid)


@contextlib.contextmanager
def _redis(*options: str) -> Iterator[tuple[int, int]]:
    """A Redis that keeps what it has in memory, unless options say otherwise; yields its port and process id."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        raise RuntimeError("redis-server is needed: apt-get install redis-server")
    port = peers.free_port()
    with TemporaryDirectory(prefix="bench-redis-") as folder:
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "", *options]
        with peers.started(command, port) as pid:
            yield port, pid


class _RawClient(asyncio.Protocol):
    """Asks a Redis for values of one length, one at a time."""

    def __init__(self, port: int, commands: Sequence[bytes], length: int, until: float, outcome: Outcome) -> None:
        self._commands = commands
        self._length = length
        self._until = until
        self._outcome = outcome
        self._received = self._sent = 0
        self._sent_at = 0.0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if self._received < self._length:
            return
        self._outcome.done += 1
        self._outcome.latencies.append(time.perf_counter() - self._sent_at)
        if time.perf_counter() >= self._until:
            self._transport.close()
            self.done.set_result(None)
        else:
            self._send()

    def _send(self) -> None:
        self._received = 0
        self._sent += 1
        self._sent_at = time.perf_counter()
        self._transport.write(self._commands[self._sent % len(self._commands)])


def _raw(port: int, pid: int, size: int, batch: int, connections: int, seconds: float) -> Result:
    """Redis alone: GET, or MGET of a batch, of values of so many bytes."""
    value = b"x" * size
    names = [b"k%04d" % number for number in range(_RECORDS)]
    fill = b"".join(_resp(b"SET", name, value) for name in names)
    commands = [_resp(b"GET", name) for name in names]
    bulk = len(b"$%d\r\n" % size) + size + 2
    length = bulk
    if batch > 1:
        commands = [_resp(b"MGET", *names[first : first + batch]) for first in range(0, _RECORDS, batch)]
        length = len(b"*%d\r\n" % batch) + batch * bulk

    async def run(outcome: Outcome) -> None:
        loop = asyncio.get_running_loop()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(fill)
        await reader.readexactly(5 * len(names))
        writer.close()
        until = time.perf_counter() + seconds
        clients = []
        for _ in range(connections):
            _, client = await loop.create_connection(
                lambda: _RawClient(port, commands, length, until, outcome), "127.0.0.1", port
            )
            clients.append(client)
        await asyncio.gather(*(client.done for client in clients))

    result = Result("Redis alone, no HTTP")
    for _ in range(3):
        outcome, before, used = Outcome(), cpu_of([pid])[pid], time.process_time()
        started = time.perf_counter()
        uvloop.run(run(outcome))
        outcome.seconds = time.perf_counter() - started
        outcome.own_cpu_seconds = time.process_time() - used
        result.rounds.append(outcome)
        result.cpu_seconds.append(cpu_of([pid])[pid] - before)
    return result


def _resp(*parts: bytes) -> bytes:
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


@contextlib.contextmanager
def _clary(name: str, **settings: object) -> Iterator[_Clary]:
    with (
        TemporaryDirectory(prefix="clary-bench-", ignore_cleanup_errors=True) as folder,
        serving(Path(folder) / "h", **settings) as server,
    ):
        yield _Clary(name, server)


def run(seconds: float) -> None:
    with _redis() as (raw_port, raw_pid), _redis() as (feast_port, _), contextlib.ExitStack() as stack:
        clary = stack.enter_context(_clary("Clary, durable"))
        feasts = []
        for name, store in (
            ("Feast, SQLite", "  type: sqlite\n  path: data/online.db"),
            ("Feast, Redis", f'  type: redis\n  connection_string: "127.0.0.1:{feast_port}"'),
        ):
            try:
                feasts.append(stack.enter_context(_feast(name, store)))
            except RuntimeError as error:
                print(f"{name} is left out: {error}", file=sys.stderr)
        size = len(ask(port_of(clary.server), clary.gets().requests[0])[1])
        for connections in _CONNECTIONS:
            subjects = [clary.gets(), *(feast.gets() for feast in feasts)]
            results = side_by_side(subjects, connections=connections, seconds=seconds)
            results.append(_raw(raw_port, raw_pid, size, 1, connections, seconds))
            show(f"Features: GetRecord, 20 features, {connections} connection(s)", results)
        for connections in _CONNECTIONS:
            subjects = [clary.batches(), *(feast.batches() for feast in feasts)]
            results = side_by_side(subjects, connections=connections, seconds=seconds)
            results.append(_raw(raw_port, raw_pid, size, _BATCH, connections, seconds))
            show(f"Features: BatchGetRecord, {_BATCH} records, {connections} connection(s)", results)
        for connections in _CONNECTIONS:
            subjects = [clary.puts(4 * seconds), *(feast.puts() for feast in feasts)]
            results = side_by_side(subjects, connections=connections, seconds=seconds)
            show(f"Features: PutRecord, 20 features, {connections} connection(s)", results)
    with (
        _redis("--appendonly", "yes", "--appendfsync", "always") as (port, _),
        _clary("Clary over Redis, durable", online_store_url=f"redis://127.0.0.1:{port}") as over_redis,
    ):
        for title, subject in (
            ("GetRecord", over_redis.gets()),
            ("BatchGetRecord", over_redis.batches()),
            ("PutRecord", over_redis.puts(4 * seconds)),
        ):
            show(f"Features: {title}, 16 connections", side_by_side([subject], connections=16, seconds=seconds))
    many(seconds, 100_000)


def many(seconds: float, records: int, folder: Path | None = None) -> None:
    """Fill an online store with so many records, and look them up at random."""
    with (
        TemporaryDirectory(prefix="clary-bench-", dir=folder, ignore_cleanup_errors=True) as home,
        serving(Path(home) / "h") as server,
    ):
        clary = _Clary("Clary", server, records=1)
        took = _fill(server.home, records)
        size = sum(each.stat().st_blocks * 512 for each in (server.home / "kv" / "features").iterdir())
        print(f"\nFeatures: {records:,} records of 20 features in one group")
        print(f"  filled in {took:,.0f} s, {records / took:,.0f} records/s; {size / 2**30:.2f} GiB on disk")
        results = side_by_side([clary.gets_at_random(records)], connections=16, seconds=seconds)
        show("Features: GetRecord at random, 16 connections", results)
        memory = sum(psutil.Process(pid).memory_info().rss for pid in gateways(server)()) / 2**20
        print(f"  the gateway has {memory:,.0f} MiB in memory, with the pages of the store that it has mapped")


def _fill(home: Path, records: int) -> float:
    """Put records into the group's online store, many to a commit, from a process beside the server's."""
    from clary.systems.feature_store.incoming import data_of
    from clary.systems.feature_store.records import FeatureGroup
    from clary.systems.feature_store.stores import store_of

    platform = Platform(Settings.load({}, home=str(home)))
    (group,) = platform.records(FeatureGroup).all()
    started = time.perf_counter()

    async def fill() -> None:
        for first in range(0, records, _AT_ONCE):
            writes = []
            for number in range(first, min(first + _AT_ONCE, records)):
                values = {"id": str(number), "at": str(_FIRST_EVENT + 10)}
                values |= {name: str(value) for name, value in _values(number).items()}
                event = (_FIRST_EVENT + 10) * 10**9
                writes.append(Write(group.value.uid, str(number), PUT, event, data=data_of(dict(values))))
            await store_of(platform).write_many(writes)

    try:
        asyncio.run(fill())
    finally:
        platform.close()
    return time.perf_counter() - started


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.features")
    parser.add_argument("--records", type=int, default=10_000_000, help="how many records to fill a store with")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each round lasts")
    parser.add_argument("--folder", type=Path, help="where the store is to lie while it is measured")
    options = parser.parse_args()
    many(options.seconds, options.records, options.folder)

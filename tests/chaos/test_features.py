"""Kill -9 any process while features are put and deleted: what was acknowledged is online, and offline exactly once.

Clients put and delete records, each under identifiers of its own, with events that only get later. What an error was
answered to may have happened or not; nobody asks for it again. Locally, for longer:

    CLARY_CHAOS_ROUNDS=10 CLARY_CHAOS_SECONDS=120 pytest tests/chaos/test_features.py --log-cli-level=INFO
"""

import io
import logging
import os
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from tests.chaos.killing import PATIENCE_SECONDS, kill_next, nobody_left, wait_until

from clary.testing import Server, reserved_port, start_server, stop_server

ROUNDS = int(os.environ.get("CLARY_CHAOS_ROUNDS", "1"))
SECONDS = float(os.environ.get("CLARY_CHAOS_SECONDS", "15"))
VICTIMS = ("carrier", "gateway", "supervisor", "carrier", "controller", "gateway", "carrier")
CLIENTS, IDENTIFIERS = 4, 5
OPERATIONS_PER_SECOND = 40
DELETES = 0.2
BUCKET, GROUP = "storm", "storm"
ROLE = "arn:aws:iam::000000000000:role/clary-execution-role"
FIRST_EVENT = 1_700_000_000.0
EVENT_SECONDS = 61.0  # so that the events of a run lie in several hours
BUFFER_SECONDS = 1.0

_log = logging.getLogger("storm")


class Change(NamedTuple):
    """A put or a delete: no other has its identifier and event."""

    identifier: str
    event: float
    deleted: bool


@dataclass
class Client:
    """Changes records of its own, each change once."""

    name: str
    runtime: Any
    chance: random.Random
    acknowledged: set[Change] = field(default_factory=set)
    unknown: set[Change] = field(default_factory=set)

    def run(self, stop: threading.Event) -> None:
        number = 0
        while not stop.wait(1 / OPERATIONS_PER_SECOND):
            number += 1
            identifier = f"{self.name}-{self.chance.randrange(IDENTIFIERS)}"
            change = Change(identifier, FIRST_EVENT + EVENT_SECONDS * number, self.chance.random() < DELETES)
            try:
                self.make(change)
            except (BotoCoreError, ClientError):
                self.unknown.add(change)
            else:
                self.acknowledged.add(change)

    def make(self, change: Change) -> None:
        if change.deleted:
            self.runtime.delete_record(
                FeatureGroupName=GROUP, RecordIdentifierValueAsString=change.identifier, EventTime=str(change.event)
            )
            return
        values = {"id": change.identifier, "at": str(change.event), "n": str(int(change.event))}
        record = [{"FeatureName": name, "ValueAsString": value} for name, value in values.items()]
        self.runtime.put_record(FeatureGroupName=GROUP, Record=record)


def client(server: Server, service: str) -> Any:
    """A client that never asks twice: a repeated put would be there twice, and rightly so."""
    once = Config(retries={"max_attempts": 0}, connect_timeout=60, read_timeout=60, s3={"addressing_style": "path"})
    return server.client(service, config=once)


def prepare(server: Server) -> None:
    client(server, "s3").create_bucket(Bucket=BUCKET)
    sagemaker = client(server, "sagemaker")
    types = {"id": "String", "at": "Fractional", "n": "Integral"}
    sagemaker.create_feature_group(
        FeatureGroupName=GROUP,
        RecordIdentifierFeatureName="id",
        EventTimeFeatureName="at",
        FeatureDefinitions=[{"FeatureName": name, "FeatureType": type_} for name, type_ in types.items()],
        OnlineStoreConfig={"EnableOnlineStore": True},
        OfflineStoreConfig={"S3StorageConfig": {"S3Uri": f"s3://{BUCKET}/features"}},
        RoleArn=ROLE,
    )
    wait_until(lambda: describe(server)["FeatureGroupStatus"] == "Created", "the group is created")


def describe(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = client(server, "sagemaker").describe_feature_group(FeatureGroupName=GROUP)
    return found


def offline(server: Server) -> Counter[Change]:
    """How often each change is in the offline store."""
    s3 = client(server, "s3")
    location = describe(server)["OfflineStoreConfig"]["S3StorageConfig"]["ResolvedOutputS3Uri"]
    found: Counter[Change] = Counter()
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=location.removeprefix(f"s3://{BUCKET}/"))
    for item in (item for page in pages for item in page.get("Contents", ())):
        data = s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read()
        table = pq.read_table(io.BytesIO(data))
        columns = (table[name].to_pylist() for name in ("id", "at", "is_deleted"))
        found.update(Change(*row) for row in zip(*columns, strict=True))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("number", range(ROUNDS))
def test_what_is_acknowledged_is_online_and_offline_exactly_once(tmp_path: Path, number: int) -> None:
    chance = random.Random(20261128 + number)
    folder = tmp_path / "home"
    killed: list[str] = []
    with reserved_port() as port:
        storm(folder, f"127.0.0.1:{port}", chance, killed)
    assert killed == list(VICTIMS)
    nobody_left(folder)


def storm(folder: Path, listen: str, chance: random.Random, killed: list[str]) -> None:
    settings = {"warm_interpreters": False, "features_buffer_seconds": BUFFER_SECONDS}
    server = start_server(folder, "--listen", listen, **settings)
    stop = threading.Event()
    try:
        prepare(server)
        clients = [
            Client(f"c{each}", client(server, "sagemaker-featurestore-runtime"), random.Random(chance.random()))
            for each in range(CLIENTS)
        ]
        with ThreadPoolExecutor() as pool:
            runs = [pool.submit(each.run, stop) for each in clients]
            try:
                wait_until(lambda: changed(clients) == {False, True}, "records are put and deleted")
                pause = SECONDS / len(VICTIMS)
                for victim in VICTIMS:
                    stop.wait(chance.uniform(0.5 * pause, 1.5 * pause))
                    killed += kill_next(folder, victim, chance)
                    if victim == "supervisor":
                        server.process.wait(30)
                        server = start_server(folder, "--listen", listen, **settings)
                stop.wait(pause)
            finally:
                stop.set()
            for run in runs:
                run.result(PATIENCE_SECONDS)
        check(server, clients)
    finally:
        stop_server(server)


def changed(clients: list[Client]) -> set[bool]:
    """Whether what was acknowledged are puts, deletes, or both, while the clients go on."""
    return {change.deleted for each in clients for change in each.acknowledged.copy()}


def check(server: Server, clients: list[Client]) -> None:
    wait_until(lambda: describe(server), "the server answers")
    acknowledged = set().union(*(each.acknowledged for each in clients))
    unknown = set().union(*(each.unknown for each in clients))
    for each in clients:
        check_online(each)
    wait_until(lambda: acknowledged <= set(offline(server)), "all that was acknowledged is offline")
    found = offline(server)
    assert set(found) <= acknowledged | unknown, "offline, and never put"
    assert [change for change, times in found.items() if times > 1] == [], "more than once offline"
    assert describe(server)["OfflineStoreStatus"] == {"Status": "Active"}
    _log.info("%d acknowledged, %d unknown, %d offline", len(acknowledged), len(unknown), len(found))


def check_online(each: Client) -> None:
    """Each identifier has its latest acknowledged change, or a later one that may have happened."""
    for identifier in {change.identifier for change in each.acknowledged}:
        last = max((one for one in each.acknowledged if one.identifier == identifier), key=lambda one: one.event)
        later = {one for one in each.unknown if one.identifier == identifier and one.event > last.event}
        answer = each.runtime.get_record(FeatureGroupName=GROUP, RecordIdentifierValueAsString=identifier)
        values = {one["FeatureName"]: one["ValueAsString"] for one in answer.get("Record", ())}
        possible = [{} if one.deleted else shown(one) for one in {last, *later}]
        assert values in possible, f"{identifier}: {values} is online, not one of {possible}"


def shown(change: Change) -> dict[str, str]:
    return {"id": change.identifier, "at": str(change.event), "n": str(int(change.event))}

"""Whatever is killed, nothing that was acknowledged is missing, and S3 has every record once."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from clary.kernel.core.ids import short_id
from clary.systems.firehose.tests.conftest import Client
from clary.systems.firehose.tests.test_kinesis_source import reading
from clary.testing import eventually, start_server, stop_server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a server of these tests alone."""
    folder = tmp_path_factory.mktemp("killed") / "home"
    client = Client(start_server(folder), lambda prefix: f"{prefix}-{short_id(8)}")
    yield client
    stop_server(client.server)


def kill(client: Client, process: str) -> None:
    """Kill a process of the server, and see that another takes its place."""
    (victim,) = client.server.processes(process)
    victim.kill()
    eventually(lambda: [one for one in client.server.processes(process) if one.pid != victim.pid])


class Load:
    """Threads that put numbered records, and remember which were acknowledged."""

    def __init__(self, put: Callable[[list[bytes]], list[bytes]], threads: int = 2) -> None:
        self.acknowledged: set[bytes] = set()
        self._put = put
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(threads)]
        for thread in self._threads:
            thread.start()

    def _run(self, thread: int) -> None:
        number = 0
        while not self._stopping.is_set():
            records = [b"%d-%07d\n" % (thread, number + each) for each in range(50)]
            number += len(records)
            try:
                self.acknowledged.update(self._put(records))
            except (BotoCoreError, ClientError):
                self._stopping.wait(0.05)  # the gateway was killed; the next one answers soon

    def __enter__(self) -> "Load":
        return self

    def __exit__(self, *raised: object) -> None:
        self._stopping.set()

    def stop(self) -> set[bytes]:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        return {record.strip() for record in self.acknowledged}


def taken(records: list[bytes], answers: list[dict[str, Any]]) -> list[bytes]:
    return [data for data, answer in zip(records, answers, strict=True) if "ErrorCode" not in answer]


def test_killed_processes_lose_nothing_that_was_put(own: Client) -> None:
    plain = own.create(own.part(Prefix="plain/", CompressionFormat="UNCOMPRESSED"))
    keys = {
        "Type": "MetadataExtraction",
        "Parameters": [
            {"ParameterName": "MetadataExtractionQuery", "ParameterValue": "{k: (tostring | .[-2:-1])}"},
            {"ParameterName": "JsonParsingEngine", "ParameterValue": "JQ-1.6"},
        ],
    }
    parted = own.create(
        own.part(
            Prefix="parted/!{partitionKeyFromQuery:k}/",
            ErrorOutputPrefix="errors/",
            BufferingHints={"SizeInMBs": 64, "IntervalInSeconds": 1},
            DynamicPartitioningConfiguration={"Enabled": True},
            ProcessingConfiguration={"Enabled": True, "Processors": [keys]},
        )
    )

    def put_plain(records: list[bytes]) -> list[bytes]:
        answer = own.firehose.put_record_batch(DeliveryStreamName=plain, Records=[{"Data": one} for one in records])
        return taken(records, answer["RequestResponses"])

    def put_parted(records: list[bytes]) -> list[bytes]:
        quoted = [{"Data": b'"' + record.strip() + b'"\n'} for record in records]
        answer = own.firehose.put_record_batch(DeliveryStreamName=parted, Records=quoted)
        return taken(records, answer["RequestResponses"])

    with Load(put_plain) as plain_load, Load(put_parted) as parted_load:
        for process in ("carrier", "gateway", "carrier", "controller", "carrier"):
            for load in (plain_load, parted_load):
                before = len(load.acknowledged)
                eventually(lambda load=load, before=before: len(load.acknowledged) > before + 500)
            kill(own, process)
        first, second = plain_load.stop(), parted_load.stop()
    lines = eventually(lambda: (found := own.lines("plain/")) and first <= set(found) and found)
    assert len(lines) == len(set(lines)), "an object that is delivered again overwrites itself"
    quoted = eventually(
        lambda: (found := [line.strip(b'"') for line in own.lines("parted/")]) and second <= set(found) and found
    )
    assert len(quoted) == len(set(quoted))
    assert own.objects("errors/") == {}


def test_killed_processes_lose_nothing_that_was_read_from_kinesis(own: Client) -> None:
    kinesis = own.server.client("kinesis")
    kinesis.create_stream(StreamName="source", ShardCount=2)
    arn = kinesis.describe_stream_summary(StreamName="source")["StreamDescriptionSummary"]["StreamARN"]
    reading(own, arn, own.part(Prefix="read/"))

    def put(records: list[bytes]) -> list[bytes]:
        entries = [{"Data": data, "PartitionKey": data.decode()} for data in records]
        return taken(records, kinesis.put_records(StreamName="source", Records=entries)["Records"])

    with Load(put) as load:
        for process in ("carrier", "gateway", "carrier"):
            before = len(load.acknowledged)
            eventually(lambda before=before: len(load.acknowledged) > before + 1000)
            kill(own, process)
        acknowledged = load.stop()
    lines = eventually(lambda: (found := own.lines("read/")) and acknowledged <= set(found) and found)
    assert len(lines) == len(set(lines))

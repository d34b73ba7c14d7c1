"""Reading Kinesis is begun anew after a crash at every write: the buffer then has each record once, in order."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms.tests.crossings import Crash, fuses
from clary.systems.firehose.delivery import reader
from clary.systems.firehose.delivery.reader import Reader
from clary.systems.firehose.delivery.reports import Reports
from clary.systems.firehose.records import KINESIS_SOURCE, KV_DOMAIN, SHARD
from clary.systems.firehose.tests.conftest import ROLE
from clary.systems.firehose.tests.test_crossings import World

ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/source"
PAGE = 3


class Source:
    """Two shards that became one, as Kinesis answers about them. Every fifth iterator has expired."""

    def __init__(self) -> None:
        self.asked = 0
        self.shards = {
            shard: [f"{number}{each:04d}" for each in range(1, 8)]
            for number, shard in enumerate(("one", "two", "both"), 1)
        }

    def call(self, platform: Any, role: str, arn: Any, operation: str, **params: Any) -> dict[str, Any]:
        answer: dict[str, Any] = getattr(self, operation)(**params)
        return answer

    def ListShards(self, **params: Any) -> dict[str, Any]:
        parents = {"ParentShardId": "one", "AdjacentParentShardId": "two"}
        return {"Shards": [{"ShardId": "both", **parents}, {"ShardId": "one"}, {"ShardId": "two"}]}

    def GetShardIterator(
        self, ShardId: str, ShardIteratorType: str, StartingSequenceNumber: str = "0", **params: Any
    ) -> dict[str, Any]:
        start = sum(number <= StartingSequenceNumber for number in self.shards[ShardId])
        return {"ShardIterator": f"{ShardId}/{start if ShardIteratorType == 'AFTER_SEQUENCE_NUMBER' else 0}"}

    def GetRecords(self, ShardIterator: str, **params: Any) -> dict[str, Any]:
        self.asked += 1
        if self.asked % 5 == 0:
            raise AwsError("ExpiredIteratorException", "it is old")
        shard, start = ShardIterator.split("/")
        page = self.shards[shard][int(start) : int(start) + PAGE]
        records = [
            {"SequenceNumber": number, "PartitionKey": "k", "ApproximateArrivalTimestamp": 1.0, "Data": number.encode()}
            for number in page
        ]
        end = int(start) + len(page)
        more = end < len(self.shards[shard])
        following = {"NextShardIterator": f"{shard}/{end}"} if more else {}
        return {"Records": records, "MillisBehindLatest": 1000 * more, **following}


def read_all(world: World) -> None:
    found = Reader(world.platform, world.stream, Reports(world.platform, world.stream))
    for _ in range(60):
        found.pull()
        world.clock.advance(11.0)


def test_each_record_is_copied_once_whenever_it_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for fuse in fuses(10):
        source = Source()
        monkeypatch.setattr(reader, "call_as", source.call)
        world = World(tmp_path / str(fuse.burns_at), {})
        value = replace(world.stream.value, type=KINESIS_SOURCE, source={"KinesisStreamARN": ARN, "RoleARN": ROLE})
        world.stream = replace(world.stream, value=value)
        kv: Any = world.platform.kv(KV_DOMAIN)
        streams: Any = world.platform.streams
        kv.write, streams.append = fuse.wrap(kv.write), fuse.wrap(streams.append)
        try:
            read_all(world)
        except Crash:
            read_all(world)
        copied = [record.data.decode() for record in world.platform.streams.read("buffer", SHARD, 0).records]
        world.platform.close()
        assert sorted(copied) == sorted(each for shard in source.shards.values() for each in shard)
        assert [each for each in copied if each[0] == "3"] == copied[-7:], "children are read when both parents ended"

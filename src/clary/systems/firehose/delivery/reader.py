"""A stream of Kinesis as the source of a delivery stream: its records are copied into the buffer, each once.

A record is checkpointed after it is in the buffer, with the place behind it. What a crash leaves there without a
checkpoint is found when the reader starts, noted, and passed over when it is read again. Children are read when their
parents have ended. Reading begins at the time at which the delivery stream was created.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from clary.kernel.core.arns import parse_arn
from clary.kernel.core.errors import AwsError
from clary.kernel.kv import KeyValue
from clary.kernel.rooms import Platform
from clary.kernel.store import Entry
from clary.kernel.streams import Entry as BufferEntry
from clary.systems.firehose.delivery.reports import Reports
from clary.systems.firehose.records import KV_DOMAIN, SHARD, DeliveryStream
from clary.systems.firehose.sources import call_as

PREFIX = b"k"
_POLL_SECONDS = 0.5
_LIST_SECONDS = 10.0
_TROUBLE_SECONDS = 5.0
_MOST_PENDING_BYTES = 256 * 1024 * 1024
_SEPARATOR = "\n"


def kinesis_metadata(key: str) -> dict[str, Any]:
    """What is said of a record of Kinesis to a function, from the key that it has in the buffer."""
    shard, sequence, at_ms, partition_key = key.split(_SEPARATOR, 3)
    return {
        "sequenceNumber": sequence,
        "subsequenceNumber": 0,
        "partitionKey": partition_key,
        "shardId": shard,
        "approximateArrivalTimestamp": int(at_ms),
    }


def _key(shard: str, record: Mapping[str, Any]) -> str:
    at_ms = round(float(record["ApproximateArrivalTimestamp"]) * 1000)
    return _SEPARATOR.join((shard, record["SequenceNumber"], str(at_ms), record["PartitionKey"]))


class Reader:
    """For one thread."""

    def __init__(self, platform: Platform, stream: Entry[DeliveryStream], reports: Reports) -> None:
        self._platform = platform
        self._stream = stream
        self._reports = reports
        self._kv = platform.kv(KV_DOMAIN)
        self._state_key = PREFIX + stream.value.buffer.encode()
        self._arn = parse_arn(stream.value.source["KinesisStreamARN"])
        self._role = stream.value.roles[stream.value.source["RoleARN"]]
        stored = self._kv.get(self._state_key)
        state = orjson.loads(stored) if stored else {}
        self._after: dict[str, str] = state.get("after", {})
        self._ended: set[str] = set(state.get("ended", ()))
        self._copied: set[tuple[str, str]] = {(shard, sequence) for shard, sequence in state.get("copied", ())}
        self._find_behind(state.get("end", 0))
        self._iterators: dict[str, str] = {}
        self._shards: list[dict[str, Any]] = []
        self._listed_at = float("-inf")
        self._next_at = 0.0

    def wait_seconds(self) -> float:
        return max(0.0, self._next_at - self._platform.clock.monotonic())

    def pull(self) -> bool:
        """Copy what came since, when it is time to look; say whether there may be more at once."""
        now = self._platform.clock.monotonic()
        if now < self._next_at:
            return False
        self._next_at = now + _POLL_SECONDS
        bounds = self._platform.streams.bounds(self._stream.value.buffer, SHARD)
        if bounds.data_bytes > _MOST_PENDING_BYTES:
            return False
        try:
            more = False
            for shard in self._readable():
                more |= self._pull(shard)
        except AwsError as error:
            self._fail(error)
            return False
        if more:
            self._next_at = 0.0
        return more

    def _readable(self) -> list[str]:
        """The shards to be read now: not at their end, and their parents are or are gone."""
        now = self._platform.clock.monotonic()
        if now - self._listed_at > _LIST_SECONDS:
            self._shards = self._list()
            self._listed_at = now
        there = {shard["ShardId"] for shard in self._shards}
        self._ended &= there
        open_parents = there - self._ended
        return [
            shard["ShardId"]
            for shard in self._shards
            if shard["ShardId"] not in self._ended
            and not {shard.get("ParentShardId"), shard.get("AdjacentParentShardId")} & open_parents
        ]

    def _list(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        asked: dict[str, Any] = {"StreamARN": str(self._arn)}
        while True:
            answer = self._call("ListShards", **asked)
            found += answer["Shards"]
            if not answer.get("NextToken"):
                return found
            asked = {"NextToken": answer["NextToken"]}

    def _pull(self, shard: str) -> bool:
        iterator = self._iterators.pop(shard, None) or self._iterator(shard)
        try:
            answer = self._call("GetRecords", ShardIterator=iterator, StreamARN=str(self._arn))
        except AwsError as error:
            if error.code == "ExpiredIteratorException":
                return True
            raise
        following = answer.get("NextShardIterator")
        records = answer["Records"]
        if records or following is None:
            self._copy(shard, records, ended=following is None)
        if following is not None:
            self._iterators[shard] = following
        else:
            self._listed_at = float("-inf")  # its children may be read now
        behind = answer.get("MillisBehindLatest") or 0
        self._reports.sample("KinesisMillisBehindLatest", behind, unit="Milliseconds")
        return following is None or behind > 0

    def _iterator(self, shard: str) -> str:
        start: dict[str, Any] = {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": self._stream.created_at}
        if shard in self._after:
            start = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": self._after[shard]}
        answer = self._call("GetShardIterator", StreamARN=str(self._arn), ShardId=shard, **start)
        return str(answer["ShardIterator"])

    def _copy(self, shard: str, records: Sequence[Mapping[str, Any]], *, ended: bool) -> None:
        buffer = self._stream.value.buffer
        fresh = [record for record in records if (shard, record["SequenceNumber"]) not in self._copied]
        end = self._end
        if fresh:
            entries = [BufferEntry(SHARD, _key(shard, record), record["Data"]) for record in fresh]
            placed = self._platform.streams.append(buffer, entries)
            end = max(each.offset for each in placed if each is not None) + 1
        if records:
            self._after[shard] = records[-1]["SequenceNumber"]
        if ended:
            self._ended.add(shard)
        self._copied -= {(shard, record["SequenceNumber"]) for record in records}
        self._checkpoint(end)

    def _checkpoint(self, end: int) -> None:
        self._end = end
        state = {"after": self._after, "ended": sorted(self._ended), "end": end, "copied": sorted(self._copied)}
        data = orjson.dumps(state)
        self._kv.write(lambda tx: tx.put(self._state_key, data))

    def _find_behind(self, end: int) -> None:
        """Note the records in the buffer that no checkpoint tells of, before any is delivered and gone from there."""
        self._end = end
        while True:
            page = self._platform.streams.read(self._stream.value.buffer, SHARD, end)
            for record in page.records:
                shard, sequence, _ = record.key.split(_SEPARATOR, 2)
                self._copied.add((shard, sequence))
            end = page.next
            if not page.more:
                break
        if end > self._end:
            self._checkpoint(end)

    def _call(self, operation: str, **params: Any) -> dict[str, Any]:
        return call_as(self._platform, self._role, self._arn, operation, **params)

    def _fail(self, error: AwsError) -> None:
        self._iterators.clear()
        self._next_at = self._platform.clock.monotonic() + _TROUBLE_SECONDS
        configuration = self._stream.value.configuration
        options = configuration["CloudWatchLoggingOptions"]
        self._reports.error(options, str(self._arn), f"Kinesis.{error.code}", error.message)


def forget(kv: KeyValue, buffer: str) -> None:
    kv.write(lambda tx: tx.delete(PREFIX + buffer.encode()))

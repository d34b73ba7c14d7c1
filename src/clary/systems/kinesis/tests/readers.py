"""Read streams as consumers do: parents before children, each shard to its end."""

from collections.abc import Callable
from typing import Any


def shards_of(kinesis: Any, name: str) -> list[dict[str, Any]]:
    return list(kinesis.get_paginator("list_shards").paginate(StreamName=name).build_full_result()["Shards"])


def iterator_of(kinesis: Any, name: str, shard: str, kind: str = "TRIM_HORIZON", **position: Any) -> str:
    asked = kinesis.get_shard_iterator(StreamName=name, ShardId=shard, ShardIteratorType=kind, **position)
    return str(asked["ShardIterator"])


def read_from(kinesis: Any, iterator: str, limit: int = 10_000) -> list[dict[str, Any]]:
    """What lies behind an iterator, to the end or to what is newest."""
    records: list[dict[str, Any]] = []
    while True:
        answer = kinesis.get_records(ShardIterator=iterator, Limit=limit)
        records += answer["Records"]
        iterator = answer.get("NextShardIterator")
        if iterator is None or (not answer["Records"] and not answer["MillisBehindLatest"]):
            return records


def read_shard(
    kinesis: Any, name: str, shard: str, kind: str = "TRIM_HORIZON", **position: Any
) -> list[dict[str, Any]]:
    return read_from(kinesis, iterator_of(kinesis, name, shard, kind, **position))


class Follower:
    """Reads a stream while it is resharded: from its first shards on, to the children at each one's end."""

    def __init__(self, kinesis: Any, name: str) -> None:
        self._kinesis = kinesis
        self._name = name
        first = [shard["ShardId"] for shard in shards_of(kinesis, name) if "ParentShardId" not in shard]
        self._iterators: dict[str, str] = {shard: iterator_of(kinesis, name, shard) for shard in first}
        self._ended: set[str] = set()
        self._waiting: dict[str, set[str]] = {}
        self.records: list[dict[str, Any]] = []

    def read_until(self, done: Callable[[], bool]) -> list[dict[str, Any]]:
        """Read until it is done and nothing is left."""
        while True:
            was_done = done()
            if not self._round() and was_done:
                return self.records

    def _round(self) -> int:
        read = 0
        for shard, iterator in list(self._iterators.items()):
            answer = self._kinesis.get_records(ShardIterator=iterator)
            read += len(answer["Records"])
            self.records += answer["Records"]
            following = answer.get("NextShardIterator")
            if following is not None:
                self._iterators[shard] = following
                continue
            read += 1
            del self._iterators[shard]
            self._ended.add(shard)
            for child in answer["ChildShards"]:
                self._waiting[child["ShardId"]] = set(child["ParentShards"])
            for child, parents in list(self._waiting.items()):
                if parents <= self._ended:
                    del self._waiting[child]
                    self._iterators[child] = iterator_of(self._kinesis, self._name, child)
        return read

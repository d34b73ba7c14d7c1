"""Hash keys and shard maps: who takes which key, and what splits, merges and uniform scaling make of a map. Pure."""

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from hashlib import md5

from clary.systems.kinesis.records import Shard

KEYS = 1 << 128


@lru_cache(maxsize=8192)
def hash_of(partition_key: str) -> int:
    """Where a partition key lies among all hash keys."""
    return int.from_bytes(md5(partition_key.encode(), usedforsecurity=False).digest(), "big")


def evenly(count: int) -> list[tuple[int, int]]:
    """All hash keys in ranges of the same size, ends included."""
    step = KEYS // count
    return [(number * step, KEYS - 1 if number == count - 1 else (number + 1) * step - 1) for number in range(count)]


def first_shards(count: int, now_ms: int) -> list[Shard]:
    return [
        Shard(number, str(start), str(end), now_ms // 1000, now_ms) for number, (start, end) in enumerate(evenly(count))
    ]


class ShardMap:
    """A stream's shards while they are being changed: closed ones stay, with what they became behind them."""

    def __init__(self, shards: Iterable[Shard], now_ms: int) -> None:
        self._shards = {shard.number: shard for shard in shards}
        self._last = max(self._shards)
        self._now_ms = now_ms

    @property
    def shards(self) -> list[Shard]:
        return [self._shards[number] for number in sorted(self._shards)]

    def split(self, shard: Shard, at: int) -> tuple[Shard, Shard]:
        """Close a shard; open one for its hash keys below `at`, and one for the others."""
        self._close(shard)
        return self._open(shard.first, at - 1, shard), self._open(at, shard.last, shard)

    def merge(self, shard: Shard, adjacent: Shard) -> Shard:
        """Close two shards whose ranges touch; open one for both."""
        self._close(shard)
        self._close(adjacent)
        first, last = min(shard.first, adjacent.first), max(shard.last, adjacent.last)
        return self._open(first, last, shard, adjacent)

    def scale(self, count: int) -> None:
        """Make it `count` open shards of the same size by splits and merges, as AWS does: those that are cut at a
        boundary of the new ranges are split there, and what lies in one new range is merged, pair by pair."""
        open_shards = sorted((shard for shard in self._shards.values() if shard.closed_ms is None), key=_first)
        cut: list[Shard] = []
        boundaries = [start for start, _ in evenly(count)][1:]
        place = 0
        for shard in open_shards:
            rest = shard
            while place < len(boundaries) and boundaries[place] <= rest.last:
                if boundaries[place] > rest.first:
                    lower, rest = self.split(rest, boundaries[place])
                    cut.append(lower)
                place += 1
            cut.append(rest)
        waiting = iter(cut)
        for _, end in evenly(count):
            merged = next(waiting)
            while merged.last < end:
                merged = self.merge(merged, next(waiting))

    def _open(self, first: int, last: int, parent: Shard, adjacent: Shard | None = None) -> Shard:
        self._last = number = self._last + 1
        epoch = max(self._now_ms // 1000, parent.epoch + 1, adjacent.epoch + 1 if adjacent else 0)
        other = adjacent.number if adjacent else None
        shard = Shard(number, str(first), str(last), epoch, self._now_ms, parent.number, other)
        self._shards[number] = shard
        return shard

    def _close(self, shard: Shard) -> None:
        self._shards[shard.number] = replace(shard, closed_ms=self._now_ms)


def _first(shard: Shard) -> int:
    return shard.first


def children_of(shards: Iterable[Shard], number: int) -> list[Shard]:
    """The shards that a shard became."""
    return [shard for shard in shards if number in (shard.parent, shard.adjacent_parent)]

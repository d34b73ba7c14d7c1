"""How records lie on disk: those of one shard that were committed together make one block.

A block costs one write to LMDB where its records would cost one each, and each write lets another thread of the
interpreter in between; so the price of a commit hardly depends on how many share it. All records of a block arrived
at the same time.
"""

import struct
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, islice, repeat
from typing import Any, NamedTuple

from clary.kernel.streams.contract import Record

# Epoch milliseconds, bytes of data in the shard before this block, number of records; then the length of each key
# and each data, then all keys and data.
_HEAD = struct.Struct("<QQI")

LARGEST_BLOCK_BYTES = 1 << 20
MOST_IN_BLOCK = 1000
"""A block is not added to beyond these, so that reading from the middle of one costs little."""

NO_ROOM = -1

_record: Any = tuple.__new__


class Head(NamedTuple):
    at_ms: int
    bytes_before: int
    records: int


@lru_cache(maxsize=2048)
def _lengths(count: int) -> struct.Struct:
    return struct.Struct(f"<{2 * count}I")


def pack(at_ms: int, bytes_before: int, pieces: Sequence[bytes]) -> bytes:
    """A block of records whose keys and data are, in turn, `pieces`."""
    count = len(pieces) // 2
    lengths = _lengths(count).pack(*map(len, pieces))
    return b"".join((_HEAD.pack(at_ms, bytes_before, count), lengths, *pieces))


def head(block: Any) -> Head:
    return Head(*_HEAD.unpack_from(block))


def bytes_before(block: Any, index: int) -> int:
    """How many bytes of data its shard has before the record at `index` of the block."""
    _, before, count = _HEAD.unpack_from(block)
    lengths: tuple[int, ...] = _lengths(count).unpack_from(block, _HEAD.size)
    return int(before) + sum(lengths[1 : 2 * index : 2])


def take(block: bytes, first: int, start: int, records: list[Record], most: int, room: int) -> int:
    """Add to `records` those at `start` and after, of a block that begins at the offset `first`, up to `most` in all
    and while there is `room` for their bytes; return the room left, NO_ROOM when one did not fit.

    This is where reading spends its time, so a lone record goes a way of its own, and others go through no loop.
    """
    at_ms, _, count = _HEAD.unpack_from(block)
    begin = _HEAD.size + 8 * count
    if count == 1:
        left: int = room - len(block) + begin
        if left < 0 and records:
            return NO_ROOM
        data_at = begin + int.from_bytes(block[_HEAD.size : _HEAD.size + 4], "little")
        records.append(_record(Record, (first, at_ms, block[begin:data_at].decode(), block[data_at:])))
        return max(left, 0)
    lengths: Sequence[int] = _lengths(count).unpack_from(block, _HEAD.size)
    if start > first:
        begin += sum(lengths[: 2 * (start - first)])
        lengths = lengths[2 * (start - first) :]
        first = start
    lengths = lengths[: 2 * (most - len(records))]
    left = room - sum(lengths)
    if left < 0:
        lengths = _fitting(lengths, room, not records)
    places = list(accumulate(lengths, initial=begin))
    pieces = list(map(block.__getitem__, map(slice, places, islice(places, 1, None))))
    keys = map(bytes.decode, pieces[::2])
    fields = zip(range(first, first + len(lengths) // 2), repeat(at_ms), keys, pieces[1::2], strict=False)
    records += map(_record, repeat(Record), fields)
    return NO_ROOM if left < 0 else left


def _fitting(lengths: Sequence[int], room: int, one_at_least: bool) -> Sequence[int]:
    """The lengths of as many records as there is room for."""
    for index in range(0, len(lengths), 2):
        room -= lengths[index] + lengths[index + 1]
        if room < 0 and not (one_at_least and index == 0):
            return lengths[:index]
    return lengths

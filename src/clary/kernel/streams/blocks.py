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
"""A block is not added to beyond this, so that reading from the middle of one costs little."""

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

    This is where reading spends its time, so whole blocks and lone records go ways of their own.
    """
    at_ms, _, count = _HEAD.unpack_from(block)
    begin = _HEAD.size + 8 * count
    left: int = room - len(block) + begin
    whole = start <= first and (left >= 0 or (count == 1 and not records)) and len(records) + count <= most
    if whole and count == 1:
        data_at = begin + int.from_bytes(block[_HEAD.size : _HEAD.size + 4], "little")
        records.append(_record(Record, (first, at_ms, block[begin:data_at].decode(), block[data_at:])))
        return max(left, 0)
    lengths = _lengths(count).unpack_from(block, _HEAD.size)
    if whole:
        places = list(accumulate(lengths, initial=begin))
        pieces = list(map(block.__getitem__, map(slice, places, islice(places, 1, None))))
        keys = map(bytes.decode, pieces[::2])
        fields = zip(range(first, first + count), repeat(at_ms), keys, pieces[1::2], strict=False)
        records += map(_record, repeat(Record), fields)
        return left
    return _take_some(block, first, start, records, most, room)


def _take_some(block: bytes, first: int, start: int, records: list[Record], most: int, room: int) -> int:
    at_ms, _, count = _HEAD.unpack_from(block)
    lengths = _lengths(count).unpack_from(block, _HEAD.size)
    skip = max(start - first, 0)
    position = _HEAD.size + 8 * count + sum(lengths[: 2 * skip])
    index = 2 * skip
    for offset in range(first + skip, first + min(count, skip + most - len(records))):
        data_at = position + lengths[index]
        end = data_at + lengths[index + 1]
        room -= end - position
        if room < 0 and records:
            return NO_ROOM
        records.append(Record(offset, at_ms, block[position:data_at].decode(), block[data_at:end]))
        position = end
        index += 2
    return max(room, 0)

"""A segment: one LMDB environment with the records that a stream got during some time.

Its tree holds three kinds of keys: the state of the segment, one entry for each shard, and the blocks of records, by
shard and offset. Blocks are only ever added; what is forgotten goes with its segment.
"""

import struct
from typing import Any, NamedTuple

from clary.kernel.streams import blocks
from clary.kernel.streams.contract import Record, is_name

STATE = b"h"
OPEN, SEALED, DELETED = 0, 1, 2
"""States of a segment: it takes appends; the next one does; its stream is no more."""

_STATE = struct.Struct("<BQ")
_SHARD = struct.Struct("<I?QQQQQ")
_BLOCK = struct.Struct(">cIQ")
_LAST = (1 << 64) - 1


class Shard(NamedTuple):
    """A shard as a segment keeps it.

    `base` is the offset that its first record in this segment has or would have, `base_at_ms` when the one before it
    arrived, `base_bytes` how many bytes of data came before. What lies before the offset `first` is forgotten, and was
    `first_bytes` of data; of that the newest segment knows.
    """

    ordinal: int
    closed: bool
    base: int
    base_at_ms: int
    base_bytes: int
    first: int
    first_bytes: int


class Tail(NamedTuple):
    """Where a shard goes on: its next offset, when its last record arrived, how many bytes of data it ever got."""

    end: int
    at_ms: int
    data_bytes: int


NEW_SHARD = Shard(0, False, 1, 0, 0, 1, 0)


class Segment:
    """What a transaction sees of a segment. `txn` must lend buffers."""

    __slots__ = ("_txn",)

    def __init__(self, txn: Any) -> None:
        self._txn = txn

    def state(self) -> tuple[int, int]:
        """Its state, and when it was made in epoch milliseconds."""
        state, made_ms = _STATE.unpack(self._txn.get(STATE))
        return state, made_ms

    def set_state(self, state: int, made_ms: int) -> None:
        self._txn.put(STATE, _STATE.pack(state, made_ms))

    def shard(self, name: str) -> Shard | None:
        if not is_name(name):
            return None  # nor could LMDB look for any
        found = self._txn.get(b"s" + name.encode())
        return None if found is None else Shard(*_SHARD.unpack(found))

    def shards(self) -> dict[str, Shard]:
        cursor = self._txn.cursor()
        found = {}
        if cursor.set_range(b"s"):
            for key, value in cursor.iternext():
                if key[:1] != b"s":
                    break
                found[bytes(key[1:]).decode()] = Shard(*_SHARD.unpack(value))
        return found

    def put_shard(self, name: str, shard: Shard) -> None:
        self._txn.put(b"s" + name.encode(), _SHARD.pack(*shard))

    def put_block(self, shard: Shard, offset: int, block: bytes) -> None:
        self._txn.put(_BLOCK.pack(b"b", shard.ordinal, offset), block)

    def tail(self, shard: Shard) -> Tail:
        found = self._block_at(shard, _LAST)
        if found is None:
            return Tail(shard.base, shard.base_at_ms, shard.base_bytes)
        first, block = found
        at_ms, _, count = blocks.head(block)
        return Tail(first + count, at_ms, blocks.bytes_before(block, count))

    def read(self, shard: Shard, start: int, records: list[Record], most: int, room: int) -> int:
        """Add the records at `start` and after; see `blocks.take`."""
        cursor = self._seek(shard, start)
        if cursor is None:
            return room
        ordinal = shard.ordinal
        for key, block in cursor.iternext():
            kind, owner, first = _BLOCK.unpack(key) if len(key) == _BLOCK.size else (b"", 0, 0)
            if owner != ordinal or kind != b"b":
                break
            room = blocks.take(bytes(block), first, start, records, most, room)
            if room == blocks.NO_ROOM or len(records) >= most:
                break
        return room

    def offset_at(self, shard: Shard, at_ms: int) -> int:
        """The first offset in this segment that arrived then or later; where the shard ends in it when none did."""
        low, high = shard.base, self.tail(shard).end
        while low < high:
            found = self._block_at(shard, (low + high) // 2)
            assert found is not None
            first, block = found
            arrived_ms, _, count = blocks.head(block)
            if arrived_ms < at_ms:
                low = first + count
            else:
                high = first
        return low

    def bytes_before(self, shard: Shard, offset: int) -> int:
        """How many bytes of data the shard has before `offset`, which is in this segment or its end in it."""
        found = self._block_at(shard, offset)
        if found is None:
            return shard.base_bytes
        first, block = found
        return blocks.bytes_before(block, min(offset - first, blocks.head(block).records))

    def _block_at(self, shard: Shard, offset: int) -> tuple[int, Any] | None:
        """The block with `offset`, or the last before it: its first offset and itself."""
        cursor = self._seek(shard, offset, before_too=False)
        return None if cursor is None else (_BLOCK.unpack(cursor.key())[2], cursor.value())

    def _seek(self, shard: Shard, offset: int, *, before_too: bool = True) -> Any:
        """A cursor on the block with `offset` or the last before it; else, with `before_too`, on the first after it."""
        cursor = self._txn.cursor()
        key = _BLOCK.pack(b"b", shard.ordinal, offset)
        if cursor.set_range(key):
            if bytes(cursor.key()) == key:
                return cursor
            found = cursor.prev()
        else:
            found = cursor.last()
        if found and bytes(cursor.key()[:5]) == key[:5]:
            return cursor
        return cursor if before_too and cursor.set_range(key) else None

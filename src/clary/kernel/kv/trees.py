"""Keys of any length, in byte order, over LMDB trees whose keys end at 511 bytes.

A key below that length is stored as it is. A longer one is cut: its first 511 bytes, the *stub*, lead to the number of
a *node*, and the rest stands in a second tree under that number, cut again if need be. Only stubs have exactly 511
bytes, and no short key can begin with one, so all keys that share a stub sort together, just where the stub sorts.
"""

from collections.abc import Iterator
from typing import Any

from clary.kernel.kv.contract import checked_key

STUB = 511
_NODE_BYTES = 8
# Where the number of the newest node is kept; nodes count from 1.
_NEWEST_NODE = bytes(_NODE_BYTES)

_BATCH_PAIRS = 1000
_BATCH_BYTES = 4 * 1024 * 1024


class Trees:
    """The two trees of a domain as one LMDB transaction sees them.

    `undo` collects what restores the state before each write, newest last; it is None in a read-only transaction.
    """

    __slots__ = ("_keys", "_rests", "_txn", "undo")

    def __init__(self, txn: Any, keys: Any, rests: Any, undo: list[tuple[bytes, bytes | None]] | None = None) -> None:
        self._txn = txn
        self._keys = keys
        self._rests = rests
        self.undo = undo

    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key`."""
        if len(key) < STUB:
            return self._txn.get(key, None, self._keys) if key else None  # names would cost half as much again
        place = self._find(key)
        return None if place is None else self._txn.get(place[0], db=place[1])

    def put(self, key: bytes, value: bytes) -> None:
        """Store `value`, remembering what it replaces."""
        checked_key(key)
        place, tree = (key, self._keys) if len(key) < STUB else self._make(key)
        before = self._txn.replace(place, value, db=tree)
        if self.undo is not None:
            self.undo.append((key, before))

    def delete(self, key: bytes) -> bool:
        """Remove `key`, remembering what it was."""
        before = self._remove(checked_key(key))
        if before is not None and self.undo is not None:
            self.undo.append((key, before))
        return before is not None

    def roll_back(self) -> None:
        """Take back every write since `undo` was empty."""
        undo, self.undo = self.undo or [], None
        for key, before in reversed(undo):
            if before is None:
                self._remove(key)
            else:
                self.put(key, before)
        self.undo = []

    def scan(
        self, start: bytes = b"", end: bytes | None = None, *, limit: int | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield pairs in order, reading ahead by one batch so that the caller may write meanwhile."""
        left = limit
        while left is None or left > 0:
            pairs = self.batch(start, end, left, reverse)
            yield from pairs
            if left is not None:
                left -= len(pairs)
            if not pairs:
                return
            if reverse:
                end = pairs[-1][0]
            else:
                start = pairs[-1][0] + b"\0"

    def batch(self, start: bytes, end: bytes | None, limit: int | None, reverse: bool) -> list[tuple[bytes, bytes]]:
        """Return the first pairs of a scan: as many as `limit` and a modest amount of memory allow."""
        most = _BATCH_PAIRS if limit is None else min(limit, _BATCH_PAIRS)
        pairs: list[tuple[bytes, bytes]] = []
        if most <= 0:
            return pairs
        size = 0
        walk = self._walk_down if reverse else self._walk_up
        for pair in walk(self._keys, b"", b"", start, end):
            pairs.append(pair)
            size += len(pair[1])
            if len(pairs) >= most or size >= _BATCH_BYTES:
                break
        return pairs

    def _walk_up(
        self, tree: Any, node: bytes, head: bytes, start: bytes, end: bytes | None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield the pairs under `node`, whose keys all begin with `head`; the bounds are what follows `head`."""
        skip = len(node)
        cursor = self._txn.cursor(db=tree)
        if not cursor.set_range((node + start)[:STUB]):
            return
        for place, value in cursor.iternext():
            if skip and not place.startswith(node):
                return
            key = place[skip:]
            if len(place) == STUB:
                below, above = _within(key, start, end)
                if above == b"" or (end is not None and above is None and key >= end):
                    return
                yield from self._walk_up(self._rests, value, head + key, below, above)
            elif end is not None and key >= end:
                return
            else:
                yield head + key if head else key, value

    def _walk_down(
        self, tree: Any, node: bytes, head: bytes, start: bytes, end: bytes | None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Like `_walk_up`, from the greatest key to the smallest."""
        skip = len(node)
        cursor = self._txn.cursor(db=tree)
        if not self._seek_last(cursor, node, end):
            return
        for place, value in cursor.iterprev():
            if skip and not place.startswith(node):
                return
            key = place[skip:]
            if len(place) == STUB:
                below, above = _within(key, start, end)
                if key < start and not below:
                    return
                if above != b"":
                    yield from self._walk_down(self._rests, value, head + key, below, above)
            elif key < start:
                return
            else:
                yield head + key if head else key, value

    def _seek_last(self, cursor: Any, node: bytes, end: bytes | None) -> bool:
        """Put `cursor` on the last place below `end` under `node`, or on the stub that `end` itself begins with."""
        if end is not None:
            bound = node + end
            if not cursor.set_range(bound[:STUB]):
                return bool(cursor.last())
            at_stub = len(bound) >= STUB and cursor.key() == bound[:STUB]
            return at_stub or bool(cursor.prev())
        if node and cursor.set_range(_next_node(node)):
            return bool(cursor.prev())
        return bool(cursor.last())

    def _find(self, key: bytes) -> tuple[bytes, Any] | None:
        """Return the place of a long key and the tree it is in; None when its stub is unknown."""
        tree = self._keys
        while len(key) >= STUB:
            node = self._txn.get(key[:STUB], db=tree)
            if node is None:
                return None
            key, tree = node + key[STUB:], self._rests
        return key, tree

    def _make(self, key: bytes) -> tuple[bytes, Any]:
        """Return the place of a long key and its tree, with all stubs on the way made."""
        tree = self._keys
        while len(key) >= STUB:
            node = self._txn.get(key[:STUB], db=tree)
            if node is None:
                node = _next_node(self._txn.get(_NEWEST_NODE, _NEWEST_NODE, db=self._rests))
                self._txn.put(_NEWEST_NODE, node, db=self._rests)
                self._txn.put(key[:STUB], node, db=tree)
            key, tree = node + key[STUB:], self._rests
        return key, tree

    def _remove(self, key: bytes) -> bytes | None:
        """Remove `key`, and the stubs that lead to nothing then; return the value it had."""
        stubs = []
        place, tree = key, self._keys
        while len(place) >= STUB:
            stub = place[:STUB]
            node = self._txn.get(stub, db=tree)
            if node is None:
                return None
            stubs.append((stub, tree, node))
            place, tree = node + place[STUB:], self._rests
        before: bytes | None = self._txn.pop(place, db=tree)
        for stub, tree_of_stub, node in reversed(stubs):
            cursor = self._txn.cursor(db=self._rests)
            if cursor.set_range(node) and cursor.key().startswith(node):
                break
            self._txn.delete(stub, db=tree_of_stub)
        return before


def _next_node(node: bytes) -> bytes:
    return (int.from_bytes(node, "big") + 1).to_bytes(_NODE_BYTES, "big")


def _within(stub: bytes, start: bytes, end: bytes | None) -> tuple[bytes, bytes | None]:
    """Return the bounds for what follows `stub`: from `start` and `end` as far as these begin with it."""
    below = start[len(stub) :] if start.startswith(stub) else b""
    above = end[len(stub) :] if end is not None and end.startswith(stub) else None
    return below, above

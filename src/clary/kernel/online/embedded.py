"""The online store in a key-value domain of the home: record, journal and sizes change in one commit.

    o <group> 0 <key>                   a record: a header, then its data
    e <milliseconds> <group> 0 <key>    empty: when a record expires
    s <group>                           how many records and bytes a group holds; there as long as it takes writes

A read is one look into the map, on whatever thread asks: it never waits for a writer or a disk that is warm.
"""

from collections.abc import Sequence
from functools import partial
from struct import Struct

from clary.kernel.core.clock import Clock
from clary.kernel.kv import KeyValue, Snapshot, Transaction, after_prefix
from clary.kernel.online.contract import (
    HARD_DELETE,
    REPLACE,
    SOFT_DELETE,
    Farewell,
    Item,
    Journal,
    Outcome,
    Size,
    Write,
)

_RECORDS, _EXPIRIES, _SIZES = b"o", b"e", b"s"
_RECORDS_TEXT = _RECORDS.decode()
_header = Struct(">?qId")  # deleted softly, seconds and nanoseconds of the event, expiry
_HEADER_BYTES = _header.size
_sizes = Struct(">QQ")
_milliseconds = Struct(">Q")
_AT_ONCE = 500
_NANOSECONDS = 10**9
_item = partial(tuple.__new__, Item)  # a named tuple in a third of the time; a hundred are made for one answer


class EmbeddedStore:
    """Keeps the promises of `OnlineStore`; durable as the domain is."""

    def __init__(self, kv: KeyValue, clock: Clock, journal: Journal) -> None:
        self._kv = kv
        self._clock = clock
        self._journal = journal

    def open(self, group: str) -> None:
        key = _SIZES + group.encode()

        def change(tx: Transaction) -> None:
            if tx.get(key) is None:
                tx.put(key, _sizes.pack(0, 0))

        self._kv.write(change)

    def drop(self, group: str) -> None:
        prefix = _prefix(group)
        end = after_prefix(prefix)

        def change(tx: Transaction) -> bool:
            tx.delete(_SIZES + group.encode())
            found = list(tx.scan(prefix, end, limit=_AT_ONCE))
            for key, value in found:
                _forget_expiry(tx, key, value)
                tx.delete(key)
            return len(found) < _AT_ONCE

        while not self._kv.write(change):
            pass

    async def get(self, group: str, key: str) -> Item | None:
        value = self._kv.get(_key(group, key))
        return None if value is None else _living(value, self._clock.now())

    async def get_many(self, wanted: Sequence[tuple[str, str]]) -> list[Item | None]:
        keys = [_key(group, key) for group, key in wanted]

        def look(snapshot: Snapshot) -> list[bytes | None]:
            get = snapshot.get
            return [get(key) for key in keys]

        now = self._clock.now()
        return [None if value is None else _living(value, now) for value in self._kv.read(look)]

    async def write(self, write: Write) -> Outcome:
        now = self._clock.now()
        return await self._kv.write_async(lambda tx: self._apply(tx, write, now))

    async def write_many(self, writes: Sequence[Write]) -> list[Outcome]:
        now = self._clock.now()
        return await self._kv.write_async(lambda tx: [self._apply(tx, write, now) for write in writes])

    def keys(
        self, group: str, *, after: str | None = None, limit: int, deleted: bool = False
    ) -> tuple[list[str], str | None]:
        prefix, now = _prefix(group), self._clock.now()
        start = prefix if after is None else prefix + after.encode() + b"\0"
        found: list[str] = []
        for key, value in self._kv.scan(start, after_prefix(prefix)):
            item = _living(value, now)
            if item is not None and (deleted or not item.deleted):
                if len(found) == limit:
                    return found, found[-1]
                found.append(key[len(prefix) :].decode())
        return found, None

    def size(self, group: str) -> Size:
        found = self._kv.get(_SIZES + group.encode())
        return Size(0, 0) if found is None else Size(*_sizes.unpack(found))

    def clear_expired(self, limit: int, farewell: Farewell) -> int:
        end = _EXPIRIES + _milliseconds.pack(int(self._clock.now() * 1000))
        cleared = 0
        while cleared < limit:
            most = min(limit - cleared, _AT_ONCE)
            found = self._kv.write(partial(_clear, end=end, limit=most, farewell=farewell, journal=self._journal))
            cleared += found
            if found < most:
                break
        return cleared

    def recover(self) -> None:
        """Nothing is ever interrupted: all that belongs together is one commit."""

    def close(self) -> None:
        """The domain is whose who opened it."""

    def _apply(self, tx: Transaction, write: Write, now: float) -> Outcome:
        size_key = _SIZES + write.group.encode()
        sizes = tx.get(size_key)
        if sizes is None:
            return Outcome.GONE
        outcome = Outcome.APPLIED
        if write.kind is not None:
            key = _key(write.group, write.key)
            before = tx.get(key)
            outcome = _decide(write, None if before is None else _living(before, now))
            if outcome is Outcome.APPLIED:
                after = _stored(write)
                _store(tx, key, before, after)
                tx.put(size_key, _resized(sizes, key, before, after))
        if write.entry is not None and (outcome is Outcome.APPLIED or not write.if_applied):
            self._journal(tx, write.group, write.entry)
        return outcome


def _prefix(group: str) -> bytes:
    return _key(group, "")


def _key(group: str, key: str) -> bytes:
    return f"{_RECORDS_TEXT}{group}\0{key}".encode()


def _living(value: bytes, now: float) -> Item | None:
    deleted, seconds, nanoseconds, expires = _header.unpack_from(value)
    if expires and expires <= now:
        return None
    return _item((seconds * _NANOSECONDS + nanoseconds, expires, deleted, value[_HEADER_BYTES:]))


def _decide(write: Write, there: Item | None) -> Outcome:
    if write.kind == REPLACE:
        return Outcome.APPLIED if there == write.expected else Outcome.CHANGED
    return Outcome.APPLIED if there is None or write.event > there.event else Outcome.OLDER


def _stored(write: Write) -> bytes | None:
    """What a write leaves of its key: the value of a record, or nothing."""
    if write.kind == HARD_DELETE:
        return None
    seconds, nanoseconds = divmod(write.event, _NANOSECONDS)
    if write.kind == SOFT_DELETE:
        return _header.pack(True, seconds, nanoseconds, 0.0)
    return _header.pack(False, seconds, nanoseconds, write.expires) + write.data


def _expires(value: bytes) -> float:
    expires: float = _header.unpack_from(value)[3]
    return expires


def _store(tx: Transaction, key: bytes, before: bytes | None, after: bytes | None) -> None:
    if before is not None:
        _forget_expiry(tx, key, before)
    if after is None:
        tx.delete(key)
        return
    tx.put(key, after)
    expires = _expires(after)
    if expires:
        tx.put(_expiry_key(key, expires), b"")


def _expiry_key(key: bytes, expires: float) -> bytes:
    return _EXPIRIES + _milliseconds.pack(int(expires * 1000)) + key[len(_RECORDS) :]


def _forget_expiry(tx: Transaction, key: bytes, value: bytes) -> None:
    expires = _expires(value)
    if expires:
        tx.delete(_expiry_key(key, expires))


def _resized(sizes: bytes, key: bytes, before: bytes | None, after: bytes | None) -> bytes:
    """Sizes after a change of a key. A record counts with its key and its header."""
    records, size = _sizes.unpack(sizes)
    key_bytes = len(key) - key.index(b"\0") - 1
    if before is not None:
        records, size = records - 1, size - key_bytes - len(before)
    if after is not None:
        records, size = records + 1, size + key_bytes + len(after)
    return _sizes.pack(records, size)


def _clear(tx: Transaction, end: bytes, limit: int, farewell: Farewell, journal: Journal) -> int:
    """Clear records away whose time of expiry is before that of `end`; return how many were looked at."""
    found = list(tx.scan(_EXPIRIES, end, limit=limit))
    for expiry_key, _ in found:
        tx.delete(expiry_key)
        key = _RECORDS + expiry_key[len(_EXPIRIES) + _milliseconds.size :]
        value = tx.get(key)
        if value is None or _expiry_key(key, _expires(value)) != expiry_key:
            continue
        tx.delete(key)
        group, _, name = key[len(_RECORDS) :].partition(b"\0")
        sizes = tx.get(_SIZES + group)
        if sizes is None:
            continue
        tx.put(_SIZES + group, _resized(sizes, key, value, None))
        item = _living(value, 0.0)
        assert item is not None
        entry = farewell(group.decode(), name.decode(), item)
        if entry is not None:
            journal(tx, group.decode(), entry)
    return len(found)

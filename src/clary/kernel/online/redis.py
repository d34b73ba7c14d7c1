"""The online store in Redis or Valkey, its journal in the home.

Redis decides each write by itself, in a script. What is to be journaled is first written to the home as a *pending*
write, in the commit that journals it, then sent to Redis under the number it got, then answered. A write whose entry
depends on its outcome is journaled in the commit that ends it. Whatever is killed in between, `recover` sends pending
writes again: Redis carries each number out once, so nothing is lost, done twice, or done after what came later.

    p <number>    a pending write (CBOR); `q` is the last number given
    s <group>     there as long as a group takes writes

Records are as durable as that Redis is configured to be (`appendonly yes`, `appendfsync always`); the journal is on the
home's disk before anything is answered.
"""

import asyncio
import hashlib
import threading
from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any, cast

import cbor2

from clary.kernel.core.clock import Clock
from clary.kernel.kv import KeyValue, Transaction, after_prefix
from clary.kernel.kv.group_commit import GroupCommit
from clary.kernel.kv.group_commit import Outcome as Done
from clary.kernel.online.contract import (
    FIRST_EVENT,
    HARD_DELETE,
    PUT,
    REPLACE,
    SOFT_DELETE,
    Farewell,
    Item,
    Journal,
    OnlineStoreError,
    Outcome,
    Size,
    Write,
)
from clary.kernel.online.redis_script import APPLY, EVENT_DIGITS, EXPIRY_DIGITS

_PENDING, _NUMBERS, _OPEN = b"p", b"q", b"s"
_CLEAR = 4  # removes what has expired, if it is still what was found
_KINDS = {PUT: b"put", SOFT_DELETE: b"soft", HARD_DELETE: b"hard", REPLACE: b"replace", _CLEAR: b"clear"}
_HEADER_BYTES = 1 + EVENT_DIGITS + EXPIRY_DIGITS
_PATIENCE_SECONDS = 10.0  # how old a pending write is before somebody else repeats it
_AT_ONCE = 500
_TIMEOUT_SECONDS = 10.0
_GROUPS = b"clary:groups"
_SHA = hashlib.sha1(APPLY).hexdigest()  # what Redis names a script by
_packed = Struct(">Q").pack

Command = tuple[bytes | str, ...]


class RedisStore:
    """Keeps the promises of `OnlineStore` over a server at a URL."""

    def __init__(self, url: str, kv: KeyValue, clock: Clock, journal: Journal) -> None:
        self._kv = kv
        self._clock = clock
        self._journal = journal
        self._client = _connect(url)
        # One thread and one connection to read, one to write: who asks meanwhile shares the next round trip.
        self._reads: GroupCommit[Command] = GroupCommit("online-reads", self._round_trip)
        self._writes: GroupCommit[Command] = GroupCommit("online-writes", self._round_trip)
        self._ended: list[int] = []  # pending writes that are done, to be forgotten by a later commit
        self._ended_lock = threading.Lock()

    def open(self, group: str) -> None:
        self._kv.write(lambda tx: tx.put(_OPEN + group.encode(), b""))
        self._begin(group)

    def drop(self, group: str) -> None:
        self._kv.write(lambda tx: tx.delete(_OPEN + group.encode()))
        names = [_key(group, name) for name in (b"sizes", b"records", b"expiries", b"done")]
        self._writes.run((b"UNLINK", *names))
        self._writes.run((b"SREM", _GROUPS, group))

    async def get(self, group: str, key: str) -> Item | None:
        value = await self._reads.run_async((b"HGET", _key(group, b"records"), key))
        return None if value is None else _living(value, self._clock.now())

    async def get_many(self, wanted: Sequence[tuple[str, str]]) -> list[Item | None]:
        asked = [self._reads.run_async((b"HGET", _key(group, b"records"), key)) for group, key in wanted]
        now, values = self._clock.now(), await asyncio.gather(*asked)
        return [None if value is None else _living(value, now) for value in values]

    async def write(self, write: Write) -> Outcome:
        return (await self.write_many([write]))[0]

    async def write_many(self, writes: Sequence[Write]) -> list[Outcome]:
        numbers: Sequence[int | None] = [0] * len(writes)
        low = 0
        if any(write.entry is not None or write.kind is None for write in writes):
            numbers, low = await self._kv.write_async(self._beginning(writes))
        outcomes = [Outcome.GONE if number is None else Outcome.APPLIED for number in numbers]
        sent = {
            place: self._writes.run_async(self._command(write, number, low))
            for place, (write, number) in enumerate(zip(writes, numbers, strict=True))
            if number is not None and write.kind is not None
        }
        for place, answer in zip(sent, await asyncio.gather(*sent.values()), strict=True):
            outcomes[place] = _outcome(answer)
        for place, write in enumerate(writes):
            if outcomes[place] is Outcome.GONE and self._forgotten(write.group):
                number = numbers[place] or 0
                outcomes[place] = _outcome(await self._writes.run_async(self._command(write, number, low)))
        waiting = self._ending(writes, numbers, outcomes)
        if waiting is not None:
            await self._kv.write_async(waiting)
        return outcomes

    def keys(
        self, group: str, *, after: str | None = None, limit: int, deleted: bool = False
    ) -> tuple[list[str], str | None]:
        """Where Redis rearranges its table meanwhile, a key may be listed twice; none that stays is left out."""
        cursor, _, skipped = (after or "0:0").partition(":")
        now, found, skip = self._clock.now(), list[str](), int(skipped or 0)
        while True:
            scan = (b"HSCAN", _key(group, b"records"), cursor, b"COUNT", b"%d" % _AT_ONCE)
            following, flat = self._reads.run(scan)
            pairs = list(flat.items()) if isinstance(flat, dict) else list(zip(flat[::2], flat[1::2], strict=True))
            for position, (key, value) in enumerate(pairs):
                item = _living(value, now)
                if position < skip or item is None or (item.deleted and not deleted):
                    continue
                if len(found) == limit:
                    return found, f"{cursor}:{position}"
                found.append(key.decode())
            cursor, skip = str(int(following)), 0
            if cursor == "0":
                return found, None

    def size(self, group: str) -> Size:
        records, size = self._reads.run((b"HMGET", _key(group, b"sizes"), b"records", b"bytes"))
        return Size(int(records or 0), int(size or 0))

    def clear_expired(self, limit: int, farewell: Farewell) -> int:
        cleared = 0
        for name in self._reads.run((b"SMEMBERS", _GROUPS)):
            group = name.decode()
            if self._kv.get(_OPEN + name) is None:
                continue  # of another home, or dropped
            while cleared < limit:
                most = min(limit - cleared, _AT_ONCE)
                found = self._clear(group, most, farewell)
                cleared += found
                if found < most:
                    break
        return cleared

    def recover(self) -> None:
        """Repeat pending writes whose time is over: those who began them were killed or could not reach Redis."""
        late = self._clock.now() - _PATIENCE_SECONDS
        for key, value in self._kv.scan(_PENDING, after_prefix(_PENDING)):
            begun, *fields = cbor2.loads(value)
            if begun > late:
                continue
            write, number = _read_write(fields), int.from_bytes(key[1:], "big")
            outcome = self._repeat(write, number)
            ending = self._ending([write], [number], [outcome])
            if ending is not None:
                self._kv.write(ending)
        if self._ended:
            self._kv.write(self._forget_ended)

    def close(self) -> None:
        self._reads.close()
        self._writes.close()
        if self._ended:
            self._kv.write(self._forget_ended)
        self._client.close()

    def _forgotten(self, group: str) -> bool:
        """Whether Redis has lost a group that takes writes; it is then begun anew."""
        if self._kv.get(_OPEN + group.encode()) is None:
            return False
        self._begin(group)
        return True

    def _begin(self, group: str) -> None:
        self._writes.run((b"SADD", _GROUPS, group))
        self._writes.run((b"HSETNX", _key(group, b"sizes"), b"records", b"0"))

    def _beginning(self, writes: Sequence[Write]) -> Callable[[Transaction], tuple[list[int | None], int]]:
        """The change that journals writes and makes them pending. It returns the number of each, 0 for what is not to
        be repeated and None for a group that is gone, and the lowest that is pending."""
        now = self._clock.now()

        def change(tx: Transaction) -> tuple[list[int | None], int]:
            self._forget_ended(tx)
            numbers: list[int | None] = []
            last = int.from_bytes(tx.get(_NUMBERS) or b"", "big")
            for write in writes:
                if tx.get(_OPEN + write.group.encode()) is None:
                    numbers.append(None)
                    continue
                if write.entry is not None and not write.if_applied:
                    self._journal(tx, write.group, write.entry)
                if write.entry is None or write.kind is None:
                    numbers.append(0)
                    continue
                last += 1
                tx.put(_PENDING + _packed(last), cbor2.dumps([now, *write]))
                numbers.append(last)
            tx.put(_NUMBERS, _packed(last))
            first = next(tx.scan(_PENDING, after_prefix(_PENDING), limit=1), None)
            return numbers, last if first is None else int.from_bytes(first[0][1:], "big")

        return change

    def _ending(
        self, writes: Sequence[Write], numbers: Sequence[int | None], outcomes: Sequence[Outcome]
    ) -> Callable[[Transaction], None] | None:
        """The change that journals what depended on an outcome; None where nothing did. The others are forgotten when
        there is something to commit anyway."""
        conditional = []
        for write, number, outcome in zip(writes, numbers, outcomes, strict=True):
            if number and write.if_applied:
                conditional.append((write, _PENDING + _packed(number), outcome))
            elif number:
                with self._ended_lock:
                    self._ended.append(number)
        if not conditional:
            return None

        def change(tx: Transaction) -> None:
            for write, key, outcome in conditional:
                # Who finds it gone has been repeated by somebody who journaled it.
                if tx.delete(key) and outcome is Outcome.APPLIED and write.entry is not None:
                    self._journal(tx, write.group, write.entry)

        return change

    def _forget_ended(self, tx: Transaction) -> None:
        """Forget pending writes that are done. What a failed commit leaves of them, `recover` repeats in vain."""
        with self._ended_lock:
            ended, self._ended = self._ended, []
        for number in ended:
            tx.delete(_PENDING + _packed(number))

    def _repeat(self, write: Write, number: int) -> Outcome:
        first = next(self._kv.scan(_PENDING, after_prefix(_PENDING), limit=1), None)
        low = number if first is None else int.from_bytes(first[0][1:], "big")
        outcome = _outcome(self._writes.run(self._command(write, number, low)))
        if outcome is Outcome.GONE and self._forgotten(write.group):
            outcome = _outcome(self._writes.run(self._command(write, number, low)))
        return outcome

    def _clear(self, group: str, most: int, farewell: Farewell) -> int:
        """Clear some expired records of a group away; return how many were looked at."""
        now = b"%d" % int(self._clock.now() * 1000)
        names = self._reads.run(
            (b"ZRANGEBYSCORE", _key(group, b"expiries"), b"-inf", now, b"LIMIT", b"0", b"%d" % most)
        )
        if not names:
            return 0
        values = self._reads.run((b"HMGET", _key(group, b"records"), *names))
        writes = []
        for name, value in zip(names, values, strict=True):
            if value is not None:
                item = _read(value)
                entry = farewell(group, name.decode(), item)
                writes.append(Write(group, name.decode(), _CLEAR, entry=entry, if_applied=True, expected=item))
        numbers, low = self._kv.write(self._beginning(writes))
        kept = [(write, number) for write, number in zip(writes, numbers, strict=True) if number is not None]
        answers = self._round_trip([self._command(write, number, low) for write, number in kept])
        failed = next((answer.error for answer in answers if answer.error is not None), None)
        if failed is not None:
            raise failed
        outcomes = [_outcome(answer.result) for answer in answers]
        ending = self._ending([write for write, _ in kept], [number for _, number in kept], outcomes)
        if ending is not None:
            self._kv.write(ending)
        return len(names)

    def _command(self, write: Write, number: int, low: int) -> Command:
        assert write.kind is not None
        after = b""
        if write.kind in (PUT, REPLACE):
            after = _stored(Item(write.event, write.expires, False, write.data))
        elif write.kind == SOFT_DELETE:
            after = _stored(Item(write.event, 0.0, True, b""))
        return (
            b"EVALSHA",
            _SHA,
            b"4",
            _key(write.group, b"records"),
            _key(write.group, b"sizes"),
            _key(write.group, b"expiries"),
            _key(write.group, b"done"),
            _KINDS[write.kind],
            write.key,
            _event_digits(write.event),
            _expiry_digits(self._clock.now()),
            after,
            b"" if write.expected is None else _stored(write.expected),
            b"%d" % number,
            b"%d" % low,
        )

    def _round_trip(self, commands: Sequence[Command]) -> list[Done]:
        """Send commands together; what became of each."""
        answers = self._send(commands)
        unknown = [place for place, answer in enumerate(answers) if _is_unknown_script(answer)]
        if unknown:
            self._send([(b"SCRIPT LOAD", APPLY)])
            for place, answer in zip(unknown, self._send([commands[place] for place in unknown]), strict=True):
                answers[place] = answer
        return [_done(answer) for answer in answers]

    def _send(self, commands: Sequence[Command]) -> list[Any]:
        import redis

        try:
            with self._client.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                return cast("list[Any]", pipeline.execute(raise_on_error=False))
        except redis.RedisError as error:
            raise OnlineStoreError(f"the online store cannot be reached: {error}") from error


def ping(url: str) -> None:
    """Raise OnlineStoreError unless a server answers at a URL."""
    client = _connect(url)
    import redis  # which is there, or we were told

    try:
        client.ping()
    except redis.RedisError as error:
        raise OnlineStoreError(f"the online store cannot be reached: {error}") from error
    finally:
        client.close()


def _connect(url: str) -> Any:
    try:
        import redis
    except ImportError:
        raise OnlineStoreError("an online store in Redis needs its library: pip install 'clary[redis]'") from None
    try:
        return redis.Redis.from_url(
            url, socket_timeout=_TIMEOUT_SECONDS, socket_connect_timeout=_TIMEOUT_SECONDS, protocol=2
        )
    except ValueError as error:
        raise OnlineStoreError(f"{url!r} is no place for the online store: {error}") from None


def _outcome(answer: bytes) -> Outcome:
    return Outcome(answer.decode())


def _is_unknown_script(answer: Any) -> bool:
    """Whether Redis has forgotten our script, as it does when it starts anew."""
    return isinstance(answer, Exception) and type(answer).__name__ == "NoScriptError"


def _done(answer: Any) -> Done:
    if isinstance(answer, Exception):
        return Done(None, OnlineStoreError(f"the online store refused a command: {answer}"))
    return Done(answer, None)


def _key(group: str, name: bytes) -> bytes:
    return b"clary:{%s}:%s" % (group.encode(), name)


def _event_digits(event: int) -> bytes:
    return b"%0*d" % (EVENT_DIGITS, event - FIRST_EVENT)


def _expiry_digits(expires: float) -> bytes:
    return b"%0*d" % (EXPIRY_DIGITS, round(expires * 1000))


def _stored(item: Item) -> bytes:
    flag = b"1" if item.deleted else b"0"
    return flag + _event_digits(item.event) + _expiry_digits(item.expires) + item.data


def _read(value: bytes) -> Item:
    event = int(value[1 : 1 + EVENT_DIGITS]) + FIRST_EVENT
    expires = int(value[1 + EVENT_DIGITS : _HEADER_BYTES]) / 1000
    return Item(event, expires, value[:1] == b"1", value[_HEADER_BYTES:])


def _living(value: bytes, now: float) -> Item | None:
    item = _read(value)
    return None if item.expires and item.expires <= now else item


def _read_write(fields: Sequence[Any]) -> Write:
    expected = fields[-1]
    return Write._make([*fields[:-1], None if expected is None else Item(*expected)])

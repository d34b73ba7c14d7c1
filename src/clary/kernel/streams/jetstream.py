"""Streams in NATS JetStream, for homes on several machines: the server keeps the records, this the promises.

A stream is a JetStream stream `clary-NAME`; a shard is the subject `clary.NAME.SHARD` in it, so its offsets are the
sequence numbers of that stream. An open shard's subject is in the stream's configuration and a closed one's is not:
the server itself refuses what comes late. Closed shards are listed in the stream's metadata, once everything that
reached the server before is stored.

How durable an acknowledged record is, the server's configuration says: with `sync_interval: always` it is on disk;
without, it survives the end of the server but not a power cut of its machine. A record with its key must fit into the
server's `max_payload`, which is 1 MiB unless it is configured.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from clary.kernel.core.clock import Clock
from clary.kernel.core.ears import Ear
from clary.kernel.streams.contract import (
    MOST_RECORDS,
    Bounds,
    Entry,
    NoSuchStream,
    Page,
    Placed,
    Record,
    StreamError,
    checked_name,
    is_name,
)
from clary.kernel.streams.nats_connection import (
    NatsConnection,
    NoResponders,
    Refused,
    answered,
    in_time,
    status,
)

_PREFIX = "clary-"
_KEY = "Clary-Key"
_DEFAULT_BYTES = 10 * 1024**2
# What a message has besides data and key, about: the server counts it when it limits an answer.
_HEADERS_BYTES = 300
_LARGEST_ANSWER_BYTES = 32 << 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LATEST_MS = 253_402_300_799_999
_SAFE = "".join(chr(code) for code in range(33, 127) if chr(code) != "%")

# Closed shards, and those about to be, in the metadata of a stream.
_CLOSED = "clary.closed"
_CLOSING = "clary.closing"
# So many are remembered to be closed; beyond that the oldest are taken for unknown, which reads alike.
_MOST_CLOSED = 2000
# A subject that no shard can have: a stream needs one, and a message sent to it comes after all before it.
_MARK = "="

_LOCKS = "clary_locks"
_LOCK_SECONDS = 60
# Codes of JetStream's errors.
_IN_USE, _NOT_FOUND, _TOO_MANY, _TOO_MANY_OF_SUBJECT = 10058, 10037, 10077, 10164


class JetStreams:
    """The streams of a NATS server or cluster. `url` may name several servers, and end in `?replicas=3`."""

    def __init__(self, url: str, clock: Clock) -> None:
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        replicas = query.pop("replicas", ["1"])[-1]
        if query or not replicas.isdecimal():
            raise StreamError(f"{url!r}: only 'replicas=NUMBER' may follow the address")
        self._replicas = int(replicas)
        self._clock = clock
        self._nats = NatsConnection(url.partition("?")[0])

    # The contract: each goes to the connection's loop.

    def create(self, stream: str, shards: Sequence[str]) -> None:
        self._nats.run(self._create(checked_name(stream), [checked_name(shard) for shard in shards]))

    def reshard(self, stream: str, close: Sequence[str], opening: Sequence[str]) -> None:
        self._nats.run(self._reshard(stream, close, [checked_name(shard) for shard in opening]))

    def append(self, stream: str, entries: Sequence[Entry]) -> list[Placed | None]:
        return self._nats.run(self._append(stream, entries))

    async def append_async(self, stream: str, entries: Sequence[Entry]) -> list[Placed | None]:
        return await self._nats.run_async(self._append(stream, entries))

    def read(
        self, stream: str, shard: str, start: int, *, most: int = MOST_RECORDS, most_bytes: int = _DEFAULT_BYTES
    ) -> Page:
        return self._nats.run(self._read(stream, shard, start, most, most_bytes))

    async def read_async(
        self, stream: str, shard: str, start: int, *, most: int = MOST_RECORDS, most_bytes: int = _DEFAULT_BYTES
    ) -> Page:
        return await self._nats.run_async(self._read(stream, shard, start, most, most_bytes))

    def offset_at(self, stream: str, shard: str, at_ms: int) -> int:
        return self._nats.run(self._offset_at(stream, shard, at_ms))

    def bounds(self, stream: str, shard: str) -> Bounds:
        return self._nats.run(self._bounds(stream, shard))

    def expire(self, stream: str, before_ms: int) -> None:
        self._nats.run(self._expire(stream, before_ms))

    def trim(self, stream: str, shard: str, before: int) -> None:
        self._nats.run(self._trim(stream, shard, before))

    def delete(self, stream: str) -> None:
        if is_name(stream):
            self._nats.run(self._delete(stream))

    def clear(self) -> None:
        self._nats.run(self._clear())

    def close(self) -> None:
        self._nats.close()

    def listen(self, stream: str) -> AbstractAsyncContextManager[Ear]:
        return self._listen(stream)

    @contextlib.asynccontextmanager
    async def _listen(self, stream: str) -> AsyncIterator[Ear]:
        loop = asyncio.get_running_loop()
        ear = Ear()

        def hear() -> None:
            with contextlib.suppress(RuntimeError):  # the loop was closed, and nobody is left to hear
                loop.call_soon_threadsafe(ear.hear)

        subscription = self._nats.subscribed(_bell(stream), hear)
        await self._nats.run_async(subscription.__aenter__())
        try:
            yield ear
        finally:
            with contextlib.suppress(StreamError):  # closed meanwhile
                await self._nats.run_async(subscription.__aexit__(None, None, None))

    # What follows runs on the connection's loop.

    async def _create(self, stream: str, shards: Sequence[str]) -> None:
        with contextlib.suppress(NoSuchStream):
            await self._info(stream)
            return
        subjects = [_subject(stream, shard) for shard in dict.fromkeys([_MARK, *shards])]
        await self._make(_name(stream), subjects)

    async def _make(self, name: str, subjects: Sequence[str], **more: Any) -> None:
        configuration = {
            "name": name,
            "subjects": subjects,
            "storage": "file",
            "retention": "limits",
            "discard": "new",
            "num_replicas": self._replicas,
            "allow_direct": True,
            **more,
        }
        try:
            await self._nats.ask(f"STREAM.CREATE.{name}", configuration)
        except Refused as refusal:
            if refusal.code != _IN_USE:  # then another was faster
                raise

    async def _reshard(self, stream: str, close: Sequence[str], opening: Sequence[str]) -> None:
        async with self._locked(stream):
            configuration = (await self._info(stream))["config"]
            shards, closed, closing = _shards(configuration)
            fresh = [name for name in dict.fromkeys(opening) if name not in {*shards, *closed, *closing}]
            ending = list(dict.fromkeys([*closing, *(name for name in close if name in shards)]))
            # From here on the server refuses records for what closes.
            going_on = [name for name in [*shards, *fresh] if name not in ending]
            await self._update(stream, configuration, going_on, closed, ending)
            if ending:
                # It stores what it took in the order it came: with this message, all from before are there.
                mark = await self._nats.send(_subject(stream, _MARK), b"", {})
                answered(await in_time(mark, "storing a mark"))
                await self._update(stream, configuration, going_on, [*closed, *ending], [])
                await self._nats.ask(f"STREAM.PURGE.{_name(stream)}", {"filter": _subject(stream, _MARK)})
        await self._nats.tell(_bell(stream))

    async def _update(
        self, stream: str, configuration: dict[str, Any], shards: Sequence[str], closed: list[str], closing: list[str]
    ) -> None:
        configuration["subjects"] = [_subject(stream, shard) for shard in [_MARK, *shards]]
        configuration["metadata"] = {
            **(configuration.get("metadata") or {}),
            _CLOSED: ",".join(closed[-_MOST_CLOSED:]),
            _CLOSING: ",".join(closing),
        }
        await self._nats.ask(f"STREAM.UPDATE.{_name(stream)}", configuration)

    @contextlib.asynccontextmanager
    async def _locked(self, stream: str) -> AsyncIterator[None]:
        """Keep others from changing the shards of a stream: the server has no update that is refused when another
        came before. Whoever dies while it holds the lock loses it before long."""
        if not is_name(stream):
            raise NoSuchStream(f"there is no stream {stream}")
        one_each = {"max_msgs_per_subject": 1, "discard_new_per_subject": True}
        await self._make(_LOCKS, ["clary-lock.*"], max_age=_LOCK_SECONDS * 10**9, **one_each)
        while True:
            try:
                taken = await self._nats.send(f"clary-lock.{stream}", b"", {})
                answered(await in_time(taken, "locking a stream"))
                break
            except Refused as refusal:
                if refusal.code not in {_TOO_MANY, _TOO_MANY_OF_SUBJECT}:
                    raise
                await asyncio.sleep(0.05)
        try:
            yield
        finally:
            await self._nats.ask(f"STREAM.PURGE.{_LOCKS}", {"filter": f"clary-lock.{stream}"})

    async def _append(self, stream: str, entries: Sequence[Entry]) -> list[Placed | None]:
        expected = {"Nats-Expected-Stream": _name(stream)}
        answers: list[asyncio.Future[Any] | None] = []
        for shard, key, data in entries:
            if not (is_name(stream) and is_name(shard)):
                answers.append(None)
                continue
            headers = {_KEY: quote(key, safe=_SAFE), **expected} if key else expected
            answers.append(await self._nats.send(_subject(stream, shard), data, headers))
        try:
            placed = await self._acknowledged(stream, entries, answers)
        finally:
            for answer in answers:
                if answer is not None:
                    answer.cancel()
        await self._nats.tell(_bell(stream))
        return placed

    async def _acknowledged(
        self, stream: str, entries: Sequence[Entry], answers: Sequence["asyncio.Future[Any] | None"]
    ) -> list[Placed | None]:
        """What became of entries that were sent; None among the answers stands for one that nobody would take."""
        placed: list[Placed | None] = []
        open_shards: list[str] | None = None
        if not answers or None in answers:
            await self._info(stream)  # nothing that the server answers would say whether there is one
        for entry, answer in zip(entries, answers, strict=True):
            try:
                if answer is None:
                    placed.append(None)
                    continue
                acknowledged = answered(await in_time(answer, "storing a record"))
                placed.append(Placed(acknowledged["seq"], int(self._clock.now() * 1000)))
            except NoResponders:
                if open_shards is None:
                    open_shards = _shards((await self._info(stream))["config"])[0]
                if entry.shard in open_shards:
                    raise
                placed.append(None)
        return placed

    async def _read(self, stream: str, shard: str, start: int, most: int, most_bytes: int) -> Page:
        records: list[Record] = []
        start = max(start, 1)
        more = is_name(stream) and is_name(shard)
        while more and len(records) < most:
            following = records[-1].offset + 1 if records else start
            question = {
                "seq": following,
                "next_by_subj": _subject(stream, shard),
                "batch": most - len(records),
                "max_bytes": min(most_bytes + _HEADERS_BYTES * min(most, 1000), _LARGEST_ANSWER_BYTES),
            }
            before = len(records)
            more, full = await self._take(stream, question, records, most_bytes)
            if full or len(records) == before:
                break
        following = records[-1].offset + 1 if records else start
        return Page(records, following, more, not more and await self._is_ended(stream, shard, following))

    async def _take(
        self, stream: str, question: dict[str, Any], records: list[Record], most_bytes: int
    ) -> tuple[bool, bool]:
        """Add the records that answer a question while there is room for them; say whether there are more, and
        whether one did not fit. Raises NoSuchStream."""
        room = most_bytes - sum(len(record.data) + len(record.key.encode()) for record in records)
        before = pending = 0
        full = False

        def take(message: Any) -> bool:
            nonlocal room, before, pending, full
            said = status(message)
            if said in {"204", "404"}:
                pending = int(message.headers.get("Nats-Num-Pending", 0))
                return True
            if said:
                raise NoResponders(f"NATS answered with the status {said}")
            if int(message.headers["Nats-Last-Sequence"]) != before:
                raise StreamError("a part of what NATS answered was lost on the way")
            record = _record(message)
            before = record.offset
            room -= len(record.data) + len(record.key.encode())
            full = full or (room < 0 and len(records) > 0)
            if not full:
                records.append(record)
            return False

        try:
            await self._nats.collect(f"DIRECT.GET.{_name(stream)}", question, take)
        except NoResponders:
            await self._info(stream)  # raises NoSuchStream when that is why
            raise
        return full or pending > 0, full

    async def _is_ended(self, stream: str, shard: str, following: int) -> bool:
        open_shards, _, closing = _shards((await self._info(stream))["config"])
        if shard in open_shards or shard in closing:
            return False
        # The leader knows the last record for certain; what was read may have come from a replica.
        last = await self._get(stream, {"last_by_subj": _subject(stream, shard)}) if is_name(shard) else None
        return last is None or last < following

    async def _offset_at(self, stream: str, shard: str, at_ms: int) -> int:
        if is_name(stream) and is_name(shard):
            question = {"start_time": _time(at_ms), "next_by_subj": _subject(stream, shard), "batch": 1}
            found: list[Record] = []
            await self._take(stream, question, found, 0)
            if found:
                return found[0].offset
        return (await self._bounds(stream, shard)).end

    async def _bounds(self, stream: str, shard: str) -> Bounds:
        subject = _subject(stream, shard) if is_name(shard) else _subject(stream, _MARK)
        info = await self._info(stream, subjects_filter=subject)
        open_shards, closed, closing = _shards(info["config"])
        state = info["state"]
        is_closed = shard not in {*open_shards, *closing}
        records = (state.get("subjects") or {}).get(subject, 0) if is_name(shard) else 0
        first = await self._get(stream, {"seq": 1, "next_by_subj": subject}) if records else None
        last = await self._get(stream, {"last_by_subj": subject}) if records else None
        if first is None or last is None:
            known = not is_closed or shard in closed
            end = state["last_seq"] + 1 if known else 1
            return Bounds(end, end, is_closed, 0, 0)
        return Bounds(first, last + 1, is_closed, records, state["bytes"] * records // max(state["messages"], 1))

    async def _expire(self, stream: str, before_ms: int) -> None:
        last = (await self._info(stream))["state"]["last_seq"]
        fresh: list[Record] = []
        question = {"start_time": _time(before_ms), "next_by_subj": _subject(stream, "*"), "batch": 1}
        await self._take(stream, question, fresh, 0)
        await self._nats.ask(f"STREAM.PURGE.{_name(stream)}", {"seq": fresh[0].offset if fresh else last + 1})

    async def _trim(self, stream: str, shard: str, before: int) -> None:
        await self._info(stream)
        if before > 1 and is_name(shard):
            question = {"filter": _subject(stream, shard), "seq": before}
            await self._nats.ask(f"STREAM.PURGE.{_name(stream)}", question)

    async def _delete(self, stream: str) -> None:
        with contextlib.suppress(NoSuchStream):
            await self._nats.ask(f"STREAM.DELETE.{_name(stream)}", {})
        await self._nats.tell(_bell(stream))

    async def _clear(self) -> None:
        while True:
            names = (await self._nats.ask("STREAM.NAMES", {"subject": "clary.>"})).get("streams") or []
            ours = [name.removeprefix(_PREFIX) for name in names if name.startswith(_PREFIX)]
            if not ours:
                return
            for stream in ours:
                await self._delete(stream)

    async def _info(self, stream: str, **question: Any) -> dict[str, Any]:
        """Raises NoSuchStream."""
        if not is_name(stream):
            raise NoSuchStream(f"there is no stream {stream}")
        try:
            return await self._nats.ask(f"STREAM.INFO.{_name(stream)}", question)
        except NoSuchStream:
            raise NoSuchStream(f"there is no stream {stream}") from None

    async def _get(self, stream: str, question: dict[str, Any]) -> int | None:
        """The offset of the record that the stream's leader finds; None when there is none."""
        try:
            answer = await self._nats.ask(f"STREAM.MSG.GET.{_name(stream)}", question)
        except Refused as refusal:
            if refusal.code == _NOT_FOUND:
                return None
            raise
        return int(answer["message"]["seq"])


def _name(stream: str) -> str:
    return _PREFIX + stream


def _subject(stream: str, shard: str) -> str:
    return f"clary.{stream}.{shard}"


def _bell(stream: str) -> str:
    """What is sent to whoever listens. No shard's subject: whoever heard that would seem to take records."""
    return f"clary-heard.{stream}"


def _shards(configuration: dict[str, Any]) -> tuple[list[str], list[str], list[str]]:
    """Which shards are open, closed, and about to be closed."""
    subjects = (subject.rpartition(".")[2] for subject in configuration["subjects"])
    metadata = configuration.get("metadata") or {}
    closed, closing = ([name for name in metadata.get(key, "").split(",") if name] for key in (_CLOSED, _CLOSING))
    return [name for name in subjects if name != _MARK], closed, closing


def _record(message: Any) -> Record:
    headers = message.headers
    arrived = datetime.fromisoformat(headers["Nats-Time-Stamp"])
    key = unquote(headers.get(_KEY, ""))
    return Record(int(headers["Nats-Sequence"]), (arrived - _EPOCH) // _MILLISECOND, key, message.data)


def _time(at_ms: int) -> str:
    return (_EPOCH + min(max(at_ms, 0), _LATEST_MS) * _MILLISECOND).isoformat(timespec="milliseconds")


def open_jetstream(url: str, clock: Clock) -> JetStreams:
    """The streams at `nats://HOST:PORT`. Raises StreamError when the library is missing; connects when first used."""
    return JetStreams(url, clock)

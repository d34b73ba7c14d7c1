"""Log groups, streams and events, on the ordered key-value store.

Promises:

- **Durable**: events survive `kill -9` and power loss once `append` returns.
- **Ordered**: a stream reads by timestamp; events of the same timestamp in the order they were appended.
- **Shared**: any process appends and reads (gateway, controller, job shims); readers never block writers.
- **Positions are gaps** between events, named by a number that stays right while events are added before or
  behind: reading on from where the last read ended returns every event that sorts after it, once.
- **Arrivals**: what was appended to a group can also be read in the order it came in, for a day, whatever its
  timestamps say. Live tails and metric filters follow it.
- **Deletes are prompt**: a deleted stream or group is gone for readers when the call returns; `sweep` takes
  its events from the disk later.

Timestamps are milliseconds since the epoch, as on the wire of CloudWatch Logs.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import orjson

from clary.kernel.core.clock import Clock
from clary.kernel.kv.contract import KeyValue, Transaction, after_prefix
from clary.kernel.telemetry import log_keys as keys
from clary.kernel.telemetry.log_records import (
    EVENT_OVERHEAD_BYTES,
    Arrival,
    Event,
    GroupNotFound,
    LogGroup,
    LogStream,
    NameTaken,
    Slice,
    StreamNotFound,
)

_ARRIVALS_KEPT_MS = 24 * 3600 * 1000
_SWEEP_KEYS = 5_000
_DAY_MS = 24 * 3600 * 1000


class Logs:
    """The log groups of every account and region. The module's docstring holds its promises."""

    def __init__(self, kv: KeyValue, clock: Clock) -> None:
        self._kv = kv
        self._clock = clock

    # Groups

    def create_group(
        self,
        account: str,
        region: str,
        name: str,
        *,
        retention_days: int | None = None,
        attributes: dict[str, Any] | None = None,
    ) -> LogGroup:
        """Add a group. Raises NameTaken."""
        now = self._now()

        def create(transaction: Transaction) -> LogGroup:
            key = keys.group_key(account, region, name)
            if transaction.get(key) is not None:
                raise NameTaken(name)
            group = LogGroup(_next_id(transaction), name, now, retention_days, attributes or {})
            transaction.put(key, orjson.dumps(group))
            return group

        return self._kv.write(create)

    def get_group(self, account: str, region: str, name: str) -> LogGroup | None:
        return keys.read_group(self._kv.get(keys.group_key(account, region, name)))

    def groups(self, account: str, region: str, *, prefix: str = "", after: str = "") -> Iterator[LogGroup]:
        """Groups by name, of those whose names begin with `prefix` and sort behind `after`."""
        start = keys.group_key(account, region, prefix)
        end = after_prefix(start)
        if after:
            start = max(start, keys.group_key(account, region, after) + b"\0")
        for _, value in self._kv.scan(start, end):
            yield LogGroup(**orjson.loads(value))

    def every_group(self) -> Iterator[tuple[str, str, LogGroup]]:
        """Every group with its account and region, for reconcilers."""
        for key, value in self._kv.scan(b"g", b"h"):
            account, region, _ = key[1:].split(b"\0", 2)
            yield account.decode(), region.decode(), LogGroup(**orjson.loads(value))

    def change_group(
        self, account: str, region: str, name: str, change: Callable[[LogGroup], LogGroup | None]
    ) -> LogGroup:
        """Replace a group's retention or attributes by what `change` makes of it (None: leave it).

        Raises GroupNotFound, and whatever `change` raises; then nothing has changed.
        """

        def rewrite(transaction: Transaction) -> LogGroup:
            key = keys.group_key(account, region, name)
            group = keys.read_group(transaction.get(key))
            if group is None:
                raise GroupNotFound(name)
            changed = change(group)
            if changed is None:
                return group
            transaction.put(key, orjson.dumps(changed))
            return changed

        return self._kv.write(rewrite)

    def delete_group(self, account: str, region: str, name: str) -> None:
        """Remove a group with all it holds. Raises GroupNotFound."""

        def delete(transaction: Transaction) -> None:
            key = keys.group_key(account, region, name)
            group = keys.read_group(transaction.get(key))
            if group is None:
                raise GroupNotFound(name)
            base = keys.streams_key(group.id)
            for entry, value in list(transaction.scan(base, after_prefix(base))):
                transaction.delete(entry)
                transaction.put(keys.DELETED + keys.events_key(LogStream(**orjson.loads(value)).id), b"")
            transaction.put(keys.DELETED + keys.arrivals_key(group.id), b"")
            transaction.delete(keys.counter_key(group.id))
            transaction.delete(key)

        self._kv.write(delete)

    def stored_bytes(self, group: LogGroup) -> int:
        """Bytes of the events the group holds, counted as AWS counts them when they come in."""
        return keys.read_counters(self._kv.get(keys.counter_key(group.id)))[1]

    # Streams

    def create_stream(self, account: str, region: str, group_name: str, name: str) -> LogStream:
        """Add a stream. Raises GroupNotFound or NameTaken."""
        now = self._now()

        def create(transaction: Transaction) -> LogStream:
            group = keys.read_group(transaction.get(keys.group_key(account, region, group_name)))
            if group is None:
                raise GroupNotFound(group_name)
            key = keys.stream_key(group.id, name)
            if transaction.get(key) is not None:
                raise NameTaken(name)
            stream = LogStream(_next_id(transaction), group.id, name, now)
            transaction.put(key, orjson.dumps(stream))
            return stream

        return self._kv.write(create)

    def get_stream(self, group: LogGroup, name: str) -> LogStream | None:
        return keys.read_stream(self._kv.get(keys.stream_key(group.id, name)))

    def streams(self, group: LogGroup, *, prefix: str = "", after: str = "") -> Iterator[LogStream]:
        """Streams by name, of those whose names begin with `prefix` and sort behind `after`."""
        start = keys.stream_key(group.id, prefix)
        end = after_prefix(start)
        if after:
            start = max(start, keys.stream_key(group.id, after) + b"\0")
        for _, value in self._kv.scan(start, end):
            yield LogStream(**orjson.loads(value))

    def delete_stream(self, account: str, region: str, group_name: str, name: str) -> None:
        """Remove a stream with its events. Raises GroupNotFound or StreamNotFound."""

        def delete(transaction: Transaction) -> None:
            group = keys.read_group(transaction.get(keys.group_key(account, region, group_name)))
            if group is None:
                raise GroupNotFound(group_name)
            key = keys.stream_key(group.id, name)
            stream = keys.read_stream(transaction.get(key))
            if stream is None:
                raise StreamNotFound(name)
            transaction.delete(key)
            transaction.put(keys.DELETED + keys.events_key(stream.id), keys.U64.pack(group.id))

        self._kv.write(delete)

    # Events

    def append(
        self,
        account: str,
        region: str,
        group_name: str,
        stream_name: str,
        events: Iterable[tuple[int, str]],
        *,
        create: bool = True,
    ) -> None:
        """Add (timestamp, message) events to a stream, all in one durable write.

        A missing group or stream is made, as AWS's own services do; without `create` it raises GroupNotFound or
        StreamNotFound.
        """
        now = self._now()
        lines = [(max(timestamp, 0), message.encode("utf-8", "replace")) for timestamp, message in events]

        def write(transaction: Transaction) -> None:
            group = keys.read_group(transaction.get(keys.group_key(account, region, group_name)))
            if group is None:
                if not create:
                    raise GroupNotFound(group_name)
                group = LogGroup(_next_id(transaction), group_name, now)
                transaction.put(keys.group_key(account, region, group_name), orjson.dumps(group))
            stream = keys.read_stream(transaction.get(keys.stream_key(group.id, stream_name)))
            if stream is None:
                if not create:
                    raise StreamNotFound(stream_name)
                stream = LogStream(_next_id(transaction), group.id, stream_name, now)
                transaction.put(keys.stream_key(group.id, stream_name), orjson.dumps(stream))
            if lines:
                _append(transaction, stream, lines, now)

        self._kv.write(write)

    def read(
        self,
        stream: LogStream,
        *,
        start: int = 0,
        end: int | None = None,
        at: int | None = None,
        backward: bool = False,
        limit: int = 10_000,
        max_bytes: int = 2**20,
    ) -> Slice:
        """Up to `limit` events and about `max_bytes` of those with start <= timestamp < end.

        Forward takes the first events behind the gap `at`, backward the last ones before it; without `at`, the
        range's own. When there is nothing, both gaps of the answer are the one that was asked for.
        """
        low = start << 64
        high = keys.LAST << 64 if end is None else end << 64
        if at is not None:
            low, high = (low, min(high, at)) if backward else (max(low, at), high)
        found: list[Event] = []
        size = 0
        if low < high:
            span = keys.position_key(stream.id, low), keys.position_key(stream.id, high)
            for key, value in self._kv.scan(*span, limit=limit, reverse=backward):
                size += len(value) - 8 + EVENT_OVERHEAD_BYTES
                if found and size > max_bytes:
                    break
                found.append(keys.read_event(key, value))
        if not found:
            gap = at if at is not None else low
            return Slice([], gap, gap)
        if backward:
            found.reverse()
        return Slice(found, found[0].position, found[-1].position + 1)

    def merged(
        self,
        streams: Sequence[LogStream],
        *,
        start: int = 0,
        end: int | None = None,
        beyond: int | None = None,
        backward: bool = False,
    ) -> Iterator[tuple[LogStream, Event]]:
        """Events of several streams with start <= timestamp < end, oldest first, or newest first with `backward`.

        `beyond` goes on behind the event of that id, in whichever direction. Streams are opened as their time comes
        and read by the page: the cost is that of the events taken.
        """
        low, high = start << 128, (keys.LAST if end is None else end) << 128
        if beyond is not None:
            low, high = (low, min(high, beyond)) if backward else (max(low, beyond + 1), high)
        sign = -1 if backward else 1
        heap: list[tuple[int, int, LogStream, Event | None, Iterator[Event]]] = []
        for stream in streams:
            if stream.first_event is None or stream.last_event is None:
                continue
            first, last = max(low, stream.first_event << 128), min(high, stream.last_event + 1 << 128)
            if first < last:
                gaps = _gap(first, stream.id), _gap(last, stream.id)
                place = sign * (last if backward else first)
                heap.append((place, stream.id, stream, None, self._pages(stream, *gaps, backward)))
        heapq.heapify(heap)
        while heap:
            _, _, stream, event, rest = heapq.heappop(heap)
            if event is not None:
                yield stream, event
            event = next(rest, None)
            if event is not None:
                heapq.heappush(heap, (sign * event.id, stream.id, stream, event, rest))

    def _pages(self, stream: LogStream, low: int, high: int, backward: bool) -> Iterator[Event]:
        """Events of a stream between two gaps, read in pages that grow from small to large."""
        limit = 32
        start, end = keys.position_key(stream.id, low), keys.position_key(stream.id, high)
        while True:
            page = list(self._kv.scan(start, end, limit=limit, reverse=backward))
            for key, value in page:
                yield keys.read_event(key, value)
            if len(page) < limit:
                return
            if backward:
                end = page[-1][0]
            else:
                start = page[-1][0] + b"\0"
            limit = min(limit * 4, 2_048)

    # Arrivals

    def last_arrival(self, group: LogGroup) -> int:
        """The number of the group's latest arrival; 0 before the first. One point read: cheap to ask often."""
        return keys.read_counters(self._kv.get(keys.counter_key(group.id)))[0]

    def arrivals(self, group: LogGroup, after: int, limit: int = 100) -> list[Arrival]:
        """What came in behind the arrival `after`, in the order it came."""
        base = keys.arrivals_key(group.id)
        start, end = base + keys.U64.pack(after + 1), after_prefix(base)
        return [keys.read_arrival(key, value) for key, value in self._kv.scan(start, end, limit=limit)]

    def arrived_events(self, arrival: Arrival) -> list[Event]:
        """The events that one arrival brought, by timestamp; fewer when some were deleted since."""
        start = keys.position_key(arrival.stream_id, arrival.earliest << 64)
        end = keys.position_key(arrival.stream_id, (arrival.latest + 1) << 64)
        events = (keys.read_event(key, value) for key, value in self._kv.scan(start, end))
        past = arrival.first_sequence + arrival.count
        return [event for event in events if arrival.first_sequence <= event.sequence < past]

    # Retention

    def horizon(self, group: LogGroup) -> int:
        """The timestamp before which the group's retention hides and deletes events; 0 when it keeps all."""
        if group.retention_days is None:
            return 0
        return max(self._now() - group.retention_days * _DAY_MS, 0)

    def sweep(self) -> int:
        """Delete what is deleted or past its retention, a few thousand keys a write; return how many keys went.

        Safe to run at any time, in any process, and to be cut short.
        """
        removed = 0
        for marker, value in list(self._kv.scan(keys.DELETED, after_prefix(keys.DELETED))):
            prefix = marker.removeprefix(keys.DELETED)
            group_id = keys.U64.unpack(value)[0] if value else None
            removed += self._delete_range(prefix, after_prefix(prefix), group_id)
            removed += self._delete_range(marker, marker + b"\0", None)
        oldest_arrival = self._now() - _ARRIVALS_KEPT_MS
        for _, _, group in list(self.every_group()):
            removed += self._forget_arrivals(group, oldest_arrival)
            horizon = self.horizon(group)
            for stream in list(self.streams(group)) if horizon else ():
                if stream.first_event is not None and stream.first_event < horizon:
                    removed += self._expire(group, stream, horizon)
        return removed

    def _expire(self, group: LogGroup, stream: LogStream, horizon: int) -> int:
        start, end = keys.position_key(stream.id, 0), keys.position_key(stream.id, horizon << 64)
        removed = self._delete_range(start, end, group.id)

        def restate(transaction: Transaction) -> None:
            key = keys.stream_key(group.id, stream.name)
            current = keys.read_stream(transaction.get(key))
            if current is None or current.id != stream.id:
                return
            events = keys.events_key(stream.id)
            first = next(iter(transaction.scan(events, after_prefix(events), limit=1)), None)
            if first is None:
                emptied = replace(current, first_event=None, last_event=None)
                transaction.put(key, orjson.dumps(emptied))
            else:
                transaction.put(key, orjson.dumps(replace(current, first_event=keys.read_event(*first).timestamp)))

        self._kv.write(restate)
        return removed

    def _forget_arrivals(self, group: LogGroup, oldest: int) -> int:
        base = keys.arrivals_key(group.id)
        past = None
        for key, value in self._kv.scan(base, after_prefix(base)):
            if keys.read_arrival(key, value).ingested_at >= oldest:
                break
            past = key
        return 0 if past is None else self._delete_range(base, past + b"\0", None)

    def _delete_range(self, start: bytes, end: bytes | None, group_id: int | None) -> int:
        """Delete keys in bounded writes; events deleted are taken off the counter of `group_id`."""

        def delete(transaction: Transaction) -> int:
            entries = list(transaction.scan(start, end, limit=_SWEEP_KEYS))
            for key, _ in entries:
                transaction.delete(key)
            counter = None if group_id is None else transaction.get(keys.counter_key(group_id))
            if group_id is not None and counter is not None:
                arrivals, stored = keys.PAIR.unpack(counter)
                freed = sum(len(value) - 8 + EVENT_OVERHEAD_BYTES for _, value in entries)
                transaction.put(keys.counter_key(group_id), keys.PAIR.pack(arrivals, max(stored - freed, 0)))
            return len(entries)

        removed = 0
        while True:
            gone = self._kv.write(delete)
            removed += gone
            if gone < _SWEEP_KEYS:
                return removed

    def _now(self) -> int:
        return int(self._clock.now() * 1000)


def _append(transaction: Transaction, stream: LogStream, lines: list[tuple[int, bytes]], now: int) -> None:
    ingested = keys.U64.pack(now)
    sequence = stream.next_sequence
    for number, (timestamp, message) in enumerate(lines, sequence):
        transaction.put(keys.EVENT_KEY.pack(b"e", stream.id, timestamp, number), ingested + message)
    earliest = min(timestamp for timestamp, _ in lines)
    latest = max(timestamp for timestamp, _ in lines)
    grown = replace(
        stream,
        first_event=earliest if stream.first_event is None else min(stream.first_event, earliest),
        last_event=latest if stream.last_event is None else max(stream.last_event, latest),
        last_ingestion=now,
        next_sequence=sequence + len(lines),
    )
    transaction.put(keys.stream_key(stream.group_id, stream.name), orjson.dumps(grown))
    counter = keys.counter_key(stream.group_id)
    arrivals, stored = keys.read_counters(transaction.get(counter))
    size = sum(len(message) + EVENT_OVERHEAD_BYTES for _, message in lines)
    transaction.put(counter, keys.PAIR.pack(arrivals + 1, stored + size))
    came = keys.ARRIVAL.pack(stream.id, sequence, len(lines), earliest, latest, now)
    name = stream.name.encode()
    transaction.put(keys.arrivals_key(stream.group_id) + keys.U64.pack(arrivals + 1), came + name)


def _next_id(transaction: Transaction) -> int:
    found = transaction.get(keys.NEXT_ID)
    number: int = 1 if found is None else keys.U64.unpack(found)[0]
    transaction.put(keys.NEXT_ID, keys.U64.pack(number + 1))
    return number


def _gap(event_id: int, stream_id: int) -> int:
    """The gap in one stream before the first of its events whose id is at least `event_id`."""
    timestamp, other, sequence = event_id >> 128, event_id >> 64 & keys.LAST, event_id & keys.LAST
    if other > stream_id:
        return timestamp + 1 << 64
    return timestamp << 64 | (sequence if other == stream_id else 0)

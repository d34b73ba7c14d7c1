"""One configuration of a delivery stream at work: what is read goes through processors into lanes, lanes where they go.

Nothing here is kept: after a restart the buffer is read again from where the ledger says, and the same records make
the same objects. A function need not answer twice alike; so what went through one counts as delivered only when
all that was read with it is.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

import orjson

from clary.kernel.rooms import Platform
from clary.kernel.store import Entry
from clary.kernel.streams import Record as Buffered
from clary.systems.firehose import configurations
from clary.systems.firehose.delivery import failures
from clary.systems.firehose.delivery.dispatch import Dispatch
from clary.systems.firehose.delivery.lanes import BACKUP, ERRORS, MAIN, BatchLane, Lane, ObjectLane, StoredLane
from clary.systems.firehose.delivery.ledger import Ledger
from clary.systems.firehose.delivery.measures import Measures
from clary.systems.firehose.delivery.objects import Target, Trouble
from clary.systems.firehose.delivery.pauses import Pause
from clary.systems.firehose.delivery.reader import kinesis_metadata
from clary.systems.firehose.delivery.reports import Reports
from clary.systems.firehose.destinations.contract import Record
from clary.systems.firehose.destinations.kinds import kind_of, module_of
from clary.systems.firehose.prefixes import FUNCTION, QUERY
from clary.systems.firehose.processors.chain import Chain, Failed
from clary.systems.firehose.records import SHARD, DeliveryStream

MOST_PARTITIONS = 500

LaneType = TypeVar("LaneType", bound=Lane)

_PAGE_BYTES = 4 * 1024 * 1024
_MOST_READY_BYTES = 32 * 1024 * 1024


class Outbound:
    """For one thread. `folder` is where large objects are made; `pause` is how it waits."""

    def __init__(
        self,
        platform: Platform,
        stream: Entry[DeliveryStream],
        ledger: Ledger,
        reports: Reports,
        folder: Path,
        pause: Pause,
    ) -> None:
        configuration = stream.value.configuration
        self.stream = stream
        self._platform = platform
        self._ledger = ledger
        self._folder = folder
        self._keys: dict[int, str] = {}
        self._chain = Chain(platform, stream, configuration, pause=pause, metadata=self._metadata)
        self._hints = configurations.hints(configuration)
        self._partitioned = configurations.is_partitioned(configuration)
        part = configurations.object_part(configuration)
        names = configurations.names_of(
            part, zone=configuration.get("CustomTimeZone", ""), partitioned=self._partitioned
        )
        self._object_hints = configurations.hints(part)
        self._target = Target(platform, stream, part, names)
        self._partition_keys = sorted(names.prefix.keys(QUERY) | names.prefix.keys(FUNCTION))
        backup = configurations.backup_part(configuration)
        self._backup: Target | None = None
        if backup is not None:
            self._backup = Target(platform, stream, backup, configurations.names_of(backup))
            self._backup_hints = configurations.hints(backup)
        kind = kind_of(stream.value)
        self._destination = module_of(kind).open(platform, stream, configuration) if kind.module else None
        self._measures = Measures(stream, reports, platform.clock)
        self._dispatch = Dispatch(stream, self._destination, self._target, self._measures, platform.clock, pause)
        changed = self._partitioned or configurations.is_converted(configuration) or self._destination is not None
        self._is_plain = self._chain.changes_nothing and not changed
        self._open: dict[str, Lane] = {}
        self._waiting: list[Buffered] = []
        self._waiting_bytes = 0
        self._waiting_since = 0.0
        self._read_to = ledger.position
        self._through: dict[str, int] = {}
        self._full: set[str] = set()

    # What the worker asks for

    def step(self) -> bool:
        """Read on, process and deliver what is due; say whether there is more to read at once."""
        more = False
        if self._may_read:
            page = self._platform.streams.read(self.stream.value.buffer, SHARD, self._read_to, most_bytes=_PAGE_BYTES)
            more = page.more
            self._take(page.records)
        more = more and self._may_read
        self._close_due(more=more)
        if self._deliver_ready() or (self.is_idle and self._read_to > self._ledger.position):
            self._note()
        if self._partitioned:
            self._measures.partitions(self._partitions())
        return more

    def wait_seconds(self) -> float:
        """How long nothing is due."""
        held_up = self._held_up()
        times = [*self._dispatch.next_tries(), *(lane.due_at for key, lane in self._open.items() if key not in held_up)]
        if self._waiting and self._chain.function is not None:
            times.append(self._waiting_since + self._chain.function.interval_seconds)
        return max(0.0, min(times, default=float("inf")) - self._platform.clock.now())

    def finish(self) -> None:
        """Deliver what it holds, once, before another configuration takes over; what cannot be is read again."""
        self._process_waiting()
        for key in list(self._open):
            self._close(key)
        if self._deliver_ready() or self.is_idle:
            self._note()
        self.close()

    def close(self) -> None:
        self._dispatch.discard()
        for lane in self._open.values():
            lane.discard()
        if self._destination is not None:
            self._destination.close()

    @property
    def is_idle(self) -> bool:
        """Whether it holds nothing that is still to be delivered."""
        return not (self._open or self._dispatch.ready or self._waiting)

    # Records into lanes

    @property
    def _may_read(self) -> bool:
        return sum(lane.size for lane in self._dispatch.ready) < _MOST_READY_BYTES

    def _take(self, records: Sequence[Buffered]) -> None:
        if not records:
            return
        if self.stream.value.source:
            records = [self._as_in_kinesis(each) for each in records]
        self._measures.incoming(records, self._ledger)
        if self._backup is not None:
            for each in records:
                self._add_backup(each)
        self._read_to = records[-1].offset + 1
        if self._is_plain and not self._ledger.has(MAIN, records[0].offset):
            self._process_plain(records)
            return
        if self._chain.function is None:
            self._process(records)
            return
        if not self._waiting:
            self._waiting_since = self._platform.clock.now()
        self._waiting += records
        self._waiting_bytes += sum(len(each.data) for each in records)
        if self._waiting_bytes >= self._chain.function.batch_bytes:
            self._process_waiting()

    def _as_in_kinesis(self, each: Buffered) -> Buffered:
        """A record that came from Kinesis, with the time at which it arrived there."""
        metadata = kinesis_metadata(each.key)
        if self._chain.function is not None:
            self._keys[each.offset] = each.key
        return each._replace(at_ms=metadata["approximateArrivalTimestamp"])

    def _metadata(self, record: Record) -> Mapping[str, Any] | None:
        key = self._keys.get(record.place[0])
        return None if key is None else kinesis_metadata(key)

    def _process_waiting(self) -> None:
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if waiting:
            self._process(waiting)
            self._keys.clear()

    def _process(self, records: Sequence[Buffered]) -> None:
        clock, function = self._platform.clock, self._chain.function
        begun = clock.monotonic()
        outcome = self._chain.process(records)
        if function is not None:
            seconds = clock.monotonic() - begun
            self._measures.transformed(function.arn, outcome.records, outcome.failed, seconds)
        failed = list(outcome.failed)
        for _, parts in groupby(outcome.records, key=lambda record: record.place[0]):
            failed += [refused for record in parts if (refused := self._add(record)) is not None]
            self._close_full()
        for each in sorted(failed, key=lambda one: one.record.place):
            self._add_error(each)
        self._close_full()

    def _process_plain(self, records: Sequence[Buffered]) -> None:
        """What `_process` does where records go to S3 as they came: many at a time."""
        delimiter, start = self._chain.delimiter, 0
        while start < len(records):
            lane = self._open.get(MAIN)
            if lane is None:
                try:
                    lane = self._begin(self._new_lane(MAIN, self._chain.source_record(records[start])))
                except Trouble:
                    self._process(records[start:])  # which knows where records go that cannot be delivered
                    return
            assert isinstance(lane, ObjectLane)
            room, end = lane.room, start
            while room > 0 and end < len(records):
                room -= len(records[end].data) + len(delimiter)
                end += 1
            run = records[start:end]
            lane.add_run([each.data for each in run], run[-1].offset + 1, delimiter)
            if lane.is_full:
                self._close(MAIN)
            start = end

    def _add(self, record: Record) -> Failed | None:
        """Put a record into its lane; answer why it has none."""
        key = self._lane_key(record) if self._partitioned else MAIN
        if key is None:
            return Failed(
                record,
                "DynamicPartitioning.MetadataExtractionFailed",
                "partitionKeys values must not be null or empty",
            )
        if self._ledger.has(key, record.place[0]):
            return None
        lane = self._open.get(key)
        if lane is None:
            try:
                lane = self._begin(self._new_lane(key, record))
            except Trouble as trouble:
                return Failed(record, trouble.code, trouble.message)
        if isinstance(lane, BatchLane):
            lane.add(record)
        elif isinstance(lane, StoredLane):
            lane.add(record, record.data + self._chain.delimiter if self._chain.delimiter else record.data)
        if lane.is_full:
            self._full.add(key)
        return None

    def _begin(self, lane: LaneType) -> LaneType:
        lane.latest_at = max(lane.due_at, self._platform.clock.now() + lane.seconds)
        self._open[lane.key] = lane
        return lane

    def _lane_key(self, record: Record) -> str | None:
        try:
            return "p" + orjson.dumps([record.partition[name] for name in self._partition_keys]).decode()
        except KeyError:
            return None

    def _new_lane(self, key: str, record: Record) -> Lane:
        """A lane that begins with a record. Raises Trouble when there can be none for it."""
        due_at = self._due_at(record, self._hints.seconds)
        if self._destination is not None:
            return BatchLane(key, self._hints, record, due_at)
        if self._partitioned and self._partitions() >= MOST_PARTITIONS:
            self._measures.too_many_partitions()
            raise Trouble(
                "DynamicPartitioning.ActivePartitionsLimitExceeded",
                f"There are {MOST_PARTITIONS} active partitions, which is as many as there can be.",
            )
        naming = self._target.naming(record.place[0], record.at_ms, key, record.partition, "")
        self._target.check(naming)
        if configurations.is_converted(self.stream.value.configuration):
            from clary.systems.firehose.delivery.converting import ConvertedLane

            return ConvertedLane(
                key,
                self._hints,
                record,
                due_at,
                platform=self._platform,
                stream=self.stream,
                target=self._target,
                folder=self._folder,
                partition=record.partition,
            )
        return ObjectLane(
            key, self._hints, record, due_at, target=self._target, folder=self._folder, partition=record.partition
        )

    def _due_at(self, record: Record, seconds: float) -> float:
        """When a lane that begins with a record is due. A function's time is not the buffer's."""
        begins_at = record.at_ms / 1000 if self._chain.function is None else self._platform.clock.now()
        return begins_at + seconds

    def _add_error(self, failed: Failed) -> None:
        lane = self._open.get(ERRORS)
        if lane is None:
            due_at = self._due_at(failed.record, self._object_hints.seconds)
            lane = self._begin(
                ObjectLane(
                    ERRORS,
                    self._object_hints,
                    failed.record,
                    due_at,
                    target=self._target,
                    folder=self._folder,
                    partition={},
                    error_type=failures.PROCESSING,
                )
            )
        assert isinstance(lane, ObjectLane)
        lane.add(failed.record, failures.processing_line(failed, self._platform.clock.now()))
        if lane.is_full:
            self._full.add(ERRORS)

    def _add_backup(self, each: Buffered) -> None:
        assert self._backup is not None
        if self._ledger.has(BACKUP, each.offset):
            return
        record = self._chain.source_record(each)
        lane = self._open.get(BACKUP)
        if lane is None:
            due_at = record.at_ms / 1000 + self._backup_hints.seconds
            lane = self._begin(
                ObjectLane(
                    BACKUP,
                    self._backup_hints,
                    record,
                    due_at,
                    target=self._backup,
                    folder=self._folder,
                    partition={},
                )
            )
        assert isinstance(lane, ObjectLane)
        lane.add(record, record.data)
        if lane.is_full:
            self._close(BACKUP)

    # Lanes to where they go

    def _close(self, key: str) -> None:
        self._dispatch.ready.append(self._open.pop(key))

    def _close_full(self) -> None:
        if self._full:
            self._close_some(self._full)
            self._full.clear()

    def _close_due(self, *, more: bool) -> None:
        """Close lanes whose time has come; while there is more to be read at once, those that waited here for it."""
        now, function = self._platform.clock.now(), self._chain.function
        if function is not None and self._waiting and now >= self._waiting_since + function.interval_seconds:
            self._process_waiting()
            now = self._platform.clock.now()
        held_up = self._held_up()
        due = [key for key, lane in self._open.items() if (lane.latest_at if more else lane.due_at) <= now]
        self._close_some([key for key in due if key not in held_up])

    def _held_up(self) -> set[str]:
        """The lanes that must wait for one before them, and so may as well take more."""
        ready = {lane.key for lane in self._dispatch.ready}
        if self._chain.function is not None and ready - {BACKUP}:
            ready |= self._open.keys() - {BACKUP}
        return ready

    def _close_some(self, keys: Iterable[str]) -> None:
        """Close lanes, and with one that holds what a function made all that do."""
        chosen = set(keys)
        if self._chain.function is not None and chosen - {BACKUP}:
            chosen |= self._open.keys() - {BACKUP}
        for key in chosen:
            self._close(key)

    def _deliver_ready(self) -> bool:
        """Deliver what can be; say whether anything was."""
        done = self._dispatch.deliver()
        for lane in done:
            if lane.key == BACKUP or (self._chain.function is None and lane.key != ERRORS):
                self._through[lane.key] = lane.through
        return bool(done)

    def _note(self) -> None:
        """Write down what was delivered, and let go of it."""
        lanes = [*self._open.values(), *self._dispatch.ready]
        pending = [lane.first for lane in lanes] + [each.offset for each in self._waiting[:1]]
        position = min(pending, default=self._read_to)
        former = self._ledger.position
        self._ledger.note(position, self._through, max(self._ledger.counted, self._read_to))
        self._through.clear()
        if position > former:
            self._platform.streams.trim(self.stream.value.buffer, SHARD, position)

    def _partitions(self) -> int:
        return sum(lane.key.startswith("p") for lane in [*self._open.values(), *self._dispatch.ready])

"""What is ready goes to where it belongs: objects to S3, batches to the destination, what it will not have to the
error output. What cannot be delivered now is tried again later, without anybody waiting for it here."""

import logging

from clary.kernel.core.clock import Clock
from clary.kernel.store import Entry
from clary.systems.firehose.configurations import retry_seconds
from clary.systems.firehose.delivery import failures
from clary.systems.firehose.delivery.lanes import BACKUP, ERRORS, BatchLane, Lane, StoredLane
from clary.systems.firehose.delivery.measures import Measures
from clary.systems.firehose.delivery.objects import Target, Trouble
from clary.systems.firehose.delivery.pauses import Pause, Stopped
from clary.systems.firehose.destinations.contract import Destination, Detailed, Failure, GivesUp, Unavailable
from clary.systems.firehose.destinations.kinds import kind_of
from clary.systems.firehose.records import DeliveryStream

_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.5, 30.0

_log = logging.getLogger("clary.firehose")


class Dispatch:
    """The lanes that are ready. For one thread. `errors` is where the error output goes."""

    def __init__(
        self,
        stream: Entry[DeliveryStream],
        destination: Destination | None,
        errors: Target,
        measures: Measures,
        clock: Clock,
        pause: Pause,
    ) -> None:
        self.ready: list[Lane] = []
        self._stream = stream
        self._kind = kind_of(stream.value)
        self._destination = destination
        self._errors = errors
        self._measures = measures
        self._clock = clock
        self._pause = pause
        self._retry_seconds = retry_seconds(stream.value.configuration)

    def deliver(self) -> list[Lane]:
        """Try to deliver each lane that is ready; return those that were. Raises Stopped."""
        now, blocked, done, left = self._clock.now(), set(), [], []
        for lane in sorted(self.ready, key=lambda one: isinstance(one, BatchLane)):
            if lane.key in blocked or lane.next_try_at > now or not self._deliver(lane):
                blocked.add(lane.key)
                left.append(lane)
                continue
            lane.discard()
            done.append(lane)
        self.ready = left
        return done

    def next_tries(self) -> list[float]:
        """When lanes are to be tried again; those behind another of their kind wait for that one."""
        tries: dict[str, float] = {}
        for lane in self.ready:
            tries.setdefault(lane.key, lane.next_try_at)
        return list(tries.values())

    def discard(self) -> None:
        for lane in self.ready:
            lane.discard()

    def _deliver(self, lane: Lane) -> bool:
        if isinstance(lane, StoredLane):
            return self._store(lane)
        assert isinstance(lane, BatchLane)
        return self._send(lane)

    def _store(self, lane: StoredLane) -> bool:
        metric = "BackupToS3" if lane.key == BACKUP else "DeliveryToS3"
        try:
            stored = lane.store()
        except Trouble as trouble:
            self._put_off(lane)
            self._measures.object_error(lane, trouble.code, trouble.message)
            if lane.key != ERRORS:
                self._measures.not_delivered(metric)
            return False
        if lane.key != ERRORS and (stored.size or not lane.failed):
            self._measures.delivered(metric, lane, stored.size)
        if lane.is_converted:
            self._measures.converted(lane)
        return True

    def _send(self, lane: BatchLane) -> bool:
        """Have the destination take a lane, or write to the error output what it will not have."""
        if lane.refused is None:
            lane.refused = self._ask(lane)
            if lane.refused is None:
                return False
            if len(lane.refused) < lane.records and not lane.is_given_up:
                self._measures.delivered(self._kind.metric, lane, lane.size)
        return not lane.refused or self._write_refused(lane)

    def _ask(self, lane: BatchLane) -> list[Failure] | None:
        """What the destination refuses of a lane; None when it is to be asked again."""
        assert self._destination is not None
        lane.attempts += 1
        try:
            return self._destination.deliver(lane.batch)
        except Unavailable as trouble:
            code, message = trouble.code, trouble.message
        except Exception as error:  # noqa: BLE001 - a fault in a destination is one more way to be unavailable
            _log.exception("a destination of %s failed", self._stream.name)
            code, message = f"{self._kind.name}.InternalError", repr(error)
        if self._pause(0.0):
            raise Stopped
        now = self._clock.now()
        self._measures.destination_error(code, message)
        self._measures.not_delivered(self._kind.metric)
        if lane.failing_since is None:
            lane.failing_since = now
        given_up_at = lane.failing_since + self._retry_seconds
        if now >= given_up_at:
            return self._give_up(lane, code, message)
        wait = min(_FIRST_WAIT_SECONDS * 2 ** (lane.attempts - 1), _LONGEST_WAIT_SECONDS)
        lane.next_try_at = min(now + wait, given_up_at)
        return None

    def _give_up(self, lane: BatchLane, code: str, message: str) -> list[Failure] | None:
        """What is to be written of a lane that was tried for long enough; None when that cannot be known yet."""
        refused = [Failure(index, code, message) for index in range(lane.records)]
        if isinstance(self._destination, GivesUp):
            try:
                refused = self._destination.give_up(lane.batch, code, message)
            except Unavailable as trouble:
                self._not_written(lane, trouble)
                return None
        lane.is_given_up = True
        return refused

    def _write_refused(self, lane: BatchLane) -> bool:
        assert lane.refused is not None
        now = self._clock.now()
        first = lane.batch[0]
        naming = self._errors.naming(first.place[0], first.at_ms, lane.key, {}, self._kind.failed)
        compressor = self._errors.compressor(naming)
        lines = []
        for refusal in lane.refused:
            record = lane.batch[refusal.index]
            details = self._destination.details(record) if isinstance(self._destination, Detailed) else None
            lines.append(compressor.add(failures.delivery_line(record, refusal, lane.attempts, now, details)))
        try:
            self._errors.put(naming, b"".join([*lines, compressor.finish()]))
        except Trouble as trouble:
            return self._not_written(lane, trouble)
        return True

    def _not_written(self, lane: BatchLane, trouble: Trouble | Unavailable) -> bool:
        self._put_off(lane)
        self._measures.error_output_error(trouble.code, trouble.message)
        return False

    def _put_off(self, lane: Lane) -> None:
        """Try a lane again later. S3 is tried for ever: nothing that was acknowledged is lost."""
        lane.attempts += 1
        wait = min(_FIRST_WAIT_SECONDS * 2 ** min(lane.attempts - 1, 10), _LONGEST_WAIT_SECONDS)
        lane.next_try_at = self._clock.now() + wait

"""What PutLogEvents takes: the limits on a batch, and which of its events are too old or too new. Pure."""

from collections.abc import Sequence

from clary.kernel.telemetry.log_records import EVENT_OVERHEAD_BYTES
from clary.support.logs.lookup import invalid

MOST_BATCH_BYTES = 1_048_576

_HOUR_MS = 3600 * 1000
_LONGEST_SPAN_MS = 24 * _HOUR_MS
_OLDEST_MS = 14 * 24 * _HOUR_MS
_NEWEST_MS = 2 * _HOUR_MS

Events = Sequence[tuple[int, str]]


def check_batch(events: Events) -> None:
    """Raise InvalidParameterException unless the batch is in order, spans at most a day and is not too large."""
    previous = 0
    size = 0
    for timestamp, message in events:
        if timestamp < previous:
            raise invalid("Log events in a single PutLogEvents request must be in chronological order.")
        previous = timestamp
        size += len(message.encode("utf-8", "replace")) + EVENT_OVERHEAD_BYTES
    if events[-1][0] - events[0][0] > _LONGEST_SPAN_MS:
        raise invalid("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
    if size > MOST_BATCH_BYTES:
        raise invalid(f"Upload too large: {size} bytes exceeds limit of {MOST_BATCH_BYTES}")


def split_by_age(events: Events, now: int, horizon: int) -> tuple[Events, dict[str, int]]:
    """The events to take of a batch in order, and rejectedLogEventsInfo for the others.

    `horizon` is the timestamp from which the group's retention keeps events.
    """
    times = [timestamp for timestamp, _ in events]
    too_old = sum(timestamp < now - _OLDEST_MS for timestamp in times)
    expired = sum(timestamp < horizon for timestamp in times)
    too_new = sum(timestamp <= now + _NEWEST_MS for timestamp in times)
    rejected: dict[str, int] = {}
    if too_old:
        rejected["tooOldLogEventEndIndex"] = too_old
    if expired:
        rejected["expiredLogEventEndIndex"] = expired
    if too_new < len(events):
        rejected["tooNewLogEventStartIndex"] = too_new
    return events[max(too_old, expired) : too_new], rejected

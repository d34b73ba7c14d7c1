"""Log events: put, get from one stream, filter over the streams of a group."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clary.kernel.rooms import Context, operation
from clary.kernel.telemetry.log_records import (
    EVENT_OVERHEAD_BYTES,
    Event,
    GroupNotFound,
    LogGroup,
    LogStream,
    StreamNotFound,
)
from clary.support.logs.batches import check_batch, split_by_age
from clary.support.logs.lookup import find_group, find_stream, invalid, no_group, no_stream, one_group_name
from clary.support.logs.patterns import Pattern, PatternError, compile_pattern
from clary.support.logs.tokens import (
    backward_token,
    event_id,
    forward_token,
    invalid_token,
    page_token,
    read_page_token,
    read_stream_token,
)

_MOST_EVENTS = 10_000
_ANSWER_BYTES = 2**20
_MOST_LOOKED_AT = 100_000


@operation("logs", "PutLogEvents", resource="log-group:{logGroupName}:log-stream:{logStreamName}")
def put_log_events(
    ctx: Context,
    logGroupName: str,
    logStreamName: str,
    logEvents: Sequence[Mapping[str, Any]],
    sequenceToken: str | None = None,
    entity: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Add events to a stream. Like AWS, take any sequence token, and name the events too old or too new to take.

    Entities are rejected in the answer, as AWS does when it cannot use one; the events are taken all the same.
    """
    events = [(int(event["timestamp"]), str(event["message"])) for event in logEvents]
    check_batch(events)
    group = find_group(ctx, logGroupName)
    now = int(ctx.platform.clock.now() * 1000)
    accepted, rejected = split_by_age(events, now, ctx.platform.logs.horizon(group))
    try:
        ctx.platform.logs.append(ctx.account, ctx.region, logGroupName, logStreamName, accepted, create=False)
    except GroupNotFound:
        raise no_group() from None
    except StreamNotFound:
        raise no_stream() from None
    answer: dict[str, Any] = {"nextSequenceToken": event_id(now << 64), "rejectedLogEventsInfo": rejected or None}
    if entity is not None:
        answer["rejectedEntityInfo"] = {"errorType": "UnsupportedLogGroupType"}
    return answer


@operation("logs", "GetLogEvents", resource="log-group:{logGroupName}:log-stream:{logStreamName}")
def get_log_events(
    ctx: Context,
    logStreamName: str,
    logGroupName: str | None = None,
    logGroupIdentifier: str | None = None,
    startTime: int | None = None,
    endTime: int | None = None,
    nextToken: str | None = None,
    limit: int | None = None,
    startFromHead: bool | None = None,
    unmask: bool | None = None,
) -> dict[str, Any]:
    """Events of one stream, oldest first: the latest ones, or the first ones with startFromHead.

    Where there is nothing further, the answer's token is the one that was sent; that is how clients know. Nothing
    is ever masked, so `unmask` asks for what is done anyway.
    """
    if startTime is not None and endTime is not None and startTime > endTime:
        raise invalid("startTime must not be after endTime.")
    group = find_group(ctx, one_group_name(ctx, logGroupName, logGroupIdentifier))
    stream = find_stream(ctx, group, logStreamName)
    position, backward = (None, not startFromHead) if nextToken is None else read_stream_token(nextToken)
    found = ctx.platform.logs.read(
        stream,
        start=max(startTime or 0, ctx.platform.logs.horizon(group)),
        end=endTime,
        at=position,
        backward=backward,
        limit=limit or _MOST_EVENTS,
        max_bytes=_ANSWER_BYTES,
    )
    return {
        "events": [
            {"timestamp": event.timestamp, "message": event.message, "ingestionTime": event.ingested_at}
            for event in found.events
        ],
        "nextForwardToken": forward_token(found.after),
        "nextBackwardToken": backward_token(found.before),
    }


@operation("logs", "FilterLogEvents", resource="log-group:{logGroupName}")
def filter_log_events(
    ctx: Context,
    logGroupName: str | None = None,
    logGroupIdentifier: str | None = None,
    logStreamNames: list[str] | None = None,
    logStreamNamePrefix: str | None = None,
    startTime: int | None = None,
    endTime: int | None = None,
    filterPattern: str | None = None,
    nextToken: str | None = None,
    limit: int | None = None,
    startFromHead: bool | None = None,
    interleaved: bool | None = None,
    unmask: bool | None = None,
) -> dict[str, Any]:
    """Events of a group's streams that match a pattern, in time order; `interleaved` is always so, as on AWS.

    A page may be short or empty and still have a token: one call looks at no more than 100,000 events.
    """
    if startTime is not None and endTime is not None and startTime > endTime:
        raise invalid("startTime must not be after endTime.")
    group = find_group(ctx, one_group_name(ctx, logGroupName, logGroupIdentifier))
    pattern = compiled(filterPattern or "")
    place = read_page_token(nextToken, str, str)
    backward = startFromHead is False if place is None else place[0] == "b"
    events = ctx.platform.logs.merged(
        _chosen(ctx, group, logStreamNames, logStreamNamePrefix),
        start=max(startTime or 0, ctx.platform.logs.horizon(group)),
        end=None if endTime is None else endTime + 1,
        beyond=None if place is None else _event_number(place[1]),
        backward=backward,
    )
    found, last = _matching(events, pattern, limit or _MOST_EVENTS)
    return {
        "events": [_filtered(stream, event) for stream, event in found],
        "searchedLogStreams": [],
        "nextToken": None if last is None else page_token("b" if backward else "f", str(last)),
    }


def compiled(pattern: str) -> Pattern:
    """A request's filter pattern. Raises InvalidParameterException."""
    try:
        return compile_pattern(pattern)
    except PatternError as error:
        raise invalid(str(error)) from None


def _chosen(ctx: Context, group: LogGroup, names: list[str] | None, prefix: str | None) -> list[LogStream]:
    if names and prefix is not None:
        raise invalid("Specify either logStreamNames or logStreamNamePrefix, and not both.")
    if names:
        return [find_stream(ctx, group, name) for name in dict.fromkeys(names)]
    return list(ctx.platform.logs.streams(group, prefix=prefix or ""))


def _matching(
    events: Iterator[tuple[LogStream, Event]], pattern: Pattern, limit: int
) -> tuple[list[tuple[LogStream, Event]], int | None]:
    """What matches, and the id of the last event looked at when there may be more behind it."""
    found: list[tuple[LogStream, Event]] = []
    size = 0
    for looked_at, (stream, event) in enumerate(events, 1):
        if pattern.match(event.message) is not None:
            found.append((stream, event))
            size += len(event.message) + EVENT_OVERHEAD_BYTES
        if len(found) == limit or size >= _ANSWER_BYTES or looked_at == _MOST_LOOKED_AT:
            return found, event.id if next(events, None) is not None else None
    return found, None


def _filtered(stream: LogStream, event: Event) -> dict[str, Any]:
    return {
        "logStreamName": stream.name,
        "timestamp": event.timestamp,
        "message": event.message,
        "ingestionTime": event.ingested_at,
        "eventId": event_id(event.id),
    }


def _event_number(text: str) -> int:
    if len(text) > 60 or not (text.isascii() and text.isdigit()):
        raise invalid_token()
    return int(text)

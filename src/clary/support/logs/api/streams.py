"""Log streams: create, delete, list."""

from itertools import islice
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation
from clary.kernel.telemetry.log_records import GroupNotFound, LogGroup, LogStream, NameTaken, StreamNotFound
from clary.support.logs.lookup import find_group, group_arn, invalid, no_group, no_stream, one_group_name
from clary.support.logs.tokens import event_id, page_token, read_page_token

_DEFAULT_LIMIT = 50


@operation("logs", "CreateLogStream", resource="log-group:{logGroupName}:log-stream:{logStreamName}")
def create_log_stream(ctx: Context, logGroupName: str, logStreamName: str) -> None:
    """Add an empty stream to a group."""
    try:
        ctx.platform.logs.create_stream(ctx.account, ctx.region, logGroupName, logStreamName)
    except GroupNotFound:
        raise no_group() from None
    except NameTaken:
        raise AwsError("ResourceAlreadyExistsException", "The specified log stream already exists") from None


@operation("logs", "DeleteLogStream", resource="log-group:{logGroupName}:log-stream:{logStreamName}")
def delete_log_stream(ctx: Context, logGroupName: str, logStreamName: str) -> None:
    """Remove a stream with its events."""
    try:
        ctx.platform.logs.delete_stream(ctx.account, ctx.region, logGroupName, logStreamName)
    except GroupNotFound:
        raise no_group() from None
    except StreamNotFound:
        raise no_stream() from None
    ctx.platform.wake("logs")


@operation("logs", "DescribeLogStreams", resource="log-group:{logGroupName}")
def describe_log_streams(
    ctx: Context,
    logGroupName: str | None = None,
    logGroupIdentifier: str | None = None,
    logStreamNamePrefix: str | None = None,
    orderBy: str | None = None,
    descending: bool | None = None,
    nextToken: str | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """Streams by name, or by the time of their last event; streams without events come first then."""
    group = find_group(ctx, one_group_name(ctx, logGroupName, logGroupIdentifier))
    by_time = orderBy == "LastEventTime"
    if by_time and logStreamNamePrefix is not None:
        raise invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
    count = limit or _DEFAULT_LIMIT
    if by_time or descending:
        streams, token = _sorted_page(ctx, group, logStreamNamePrefix, by_time, bool(descending), nextToken, count)
    else:
        place = read_page_token(nextToken, str)
        after = place[0] if place else ""
        listed = ctx.platform.logs.streams(group, prefix=logStreamNamePrefix or "", after=after)
        streams = list(islice(listed, count + 1))
        token = page_token(streams[count - 1].name) if len(streams) > count else None
    return {"logStreams": [_describe(ctx, group, stream) for stream in streams[:count]], "nextToken": token}


def _sorted_page(
    ctx: Context,
    group: LogGroup,
    prefix: str | None,
    by_time: bool,
    descending: bool,
    token: str | None,
    count: int,
) -> tuple[list[LogStream], str | None]:
    """A page in an order that the store does not have; it looks at every stream of the group."""

    def rank(stream: LogStream) -> tuple[int, str]:
        return (stream.last_event or 0) if by_time else 0, stream.name

    place = read_page_token(token, int, str)
    streams = sorted(ctx.platform.logs.streams(group, prefix=prefix or ""), key=rank, reverse=descending)
    if place is not None:
        past = place[0], place[1]
        streams = [stream for stream in streams if (rank(stream) < past if descending else rank(stream) > past)]
    return streams, page_token(*rank(streams[count - 1])) if len(streams) > count else None


def _describe(ctx: Context, group: LogGroup, stream: LogStream) -> dict[str, Any]:
    return {
        "logStreamName": stream.name,
        "creationTime": stream.created_at,
        "firstEventTimestamp": stream.first_event,
        "lastEventTimestamp": stream.last_event,
        "lastIngestionTime": stream.last_ingestion,
        "uploadSequenceToken": event_id(stream.next_sequence),
        "arn": f"{group_arn(ctx, group.name)}:log-stream:{stream.name}",
        "storedBytes": 0,
    }

"""Shards: list, split, merge, and scale a stream uniformly."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation
from clary.kernel.wire import bad_token, decode_token, page_asked, page_output
from clary.systems.kinesis.accounts import MOST_SHARDS_OF_A_STREAM, check_room
from clary.systems.kinesis.api.shapes import HOUR_MS, given, listed_shards, shard_shown
from clary.systems.kinesis.lifecycle import change
from clary.systems.kinesis.lookup import find, find_shard, invalid, no_stream, stream_resource
from clary.systems.kinesis.ranges import KEYS, ShardMap
from clary.systems.kinesis.records import PROVISIONED, UPDATING, Place, Shard, Stream
from clary.systems.kinesis.scaling import check_provisioned, check_target
from clary.systems.kinesis.views import views_of

_MOST_LISTED = 1000
_TOKEN_SECONDS = 300.0
_FILTER: Mapping[str, tuple[type, ...]] = {"Type": (str,), "ShardId": (str,), "Timestamp": (int, float)}


@operation("kinesis", "SplitShard", resource=stream_resource)
def split_shard(
    ctx: Context,
    ShardToSplit: str,
    NewStartingHashKey: str,
    StreamName: str | None = None,
    StreamARN: str | None = None,
) -> None:
    """Close a shard and open two for its hash keys. It is done when this answers."""
    place, entry = find(ctx, StreamName, StreamARN)
    check_provisioned(place, entry.value, "SplitShard")
    at = _hash_key(NewStartingHashKey)
    check_room(ctx, PROVISIONED, len(entry.value.open_shards) + 1, len(entry.value.open_shards))

    def split(stream: Stream, shards: ShardMap) -> None:
        shard = find_shard(place, stream, ShardToSplit)
        if not shard.first + 1 < at < shard.last:
            raise invalid(
                f"NewStartingHashKey {at} used in SplitShard() on shard {shard.id} in stream {place.name} under "
                f"account {place.account} is not both greater than one plus the shard's StartingHashKey {shard.start} "
                f"and less than the shard's EndingHashKey {shard.last - 1}."
            )
        shards.split(shard, at)

    _reshard(ctx, place, split)


@operation("kinesis", "MergeShards", resource=stream_resource)
def merge_shards(
    ctx: Context,
    ShardToMerge: str,
    AdjacentShardToMerge: str,
    StreamName: str | None = None,
    StreamARN: str | None = None,
) -> None:
    """Close two shards whose hash keys are next to each other, and open one for both. It is done when this answers."""
    place, entry = find(ctx, StreamName, StreamARN)
    check_provisioned(place, entry.value, "MergeShards")

    def merge(stream: Stream, shards: ShardMap) -> None:
        first, second = (find_shard(place, stream, shard) for shard in (ShardToMerge, AdjacentShardToMerge))
        if first.last + 1 != second.first and second.last + 1 != first.first:
            raise invalid(
                f"Shards {first.id} and {second.id} in stream {place.name} under account {place.account} are not an "
                "adjacent pair of shards eligible for merging"
            )
        shards.merge(first, second)

    _reshard(ctx, place, merge)


@operation("kinesis", "UpdateShardCount", resource=stream_resource)
def update_shard_count(
    ctx: Context,
    TargetShardCount: int,
    ScalingType: str,
    StreamName: str | None = None,
    StreamARN: str | None = None,
) -> dict[str, Any]:
    """Split and merge until a stream has so many shards of the same size, at most double and at least half as many as
    now. It is done when this answers."""
    place, entry = find(ctx, StreamName, StreamARN)
    check_provisioned(place, entry.value, "UpdateShardCount")
    current = len(entry.value.open_shards)
    wrong = check_target(place, current, TargetShardCount, MOST_SHARDS_OF_A_STREAM)
    if wrong:
        raise AwsError("LimitExceededException", wrong)
    check_room(ctx, PROVISIONED, TargetShardCount, current)
    _reshard(ctx, place, lambda _, shards: shards.scale(TargetShardCount))
    return {
        "StreamName": place.name,
        "StreamARN": place.arn,
        "CurrentShardCount": current,
        "TargetShardCount": TargetShardCount,
    }


def list_resource(ctx: Context, params: Mapping[str, Any]) -> str:
    """The stream that ListShards is about: its token names it where the request does not."""
    if params.get("NextToken") and not params.get("StreamARN"):
        try:
            account, name, *_ = _read_token(ctx, params["NextToken"])
        except AwsError:
            return "*"  # it is refused later
        return Place(account, ctx.region, name).arn
    return stream_resource(ctx, params)


@operation("kinesis", "ListShards", resource=list_resource)
def list_shards(
    ctx: Context,
    StreamName: str | None = None,
    NextToken: str | None = None,
    ExclusiveStartShardId: str | None = None,
    MaxResults: int | None = None,
    StreamCreationTimestamp: float | None = None,
    ShardFilter: Mapping[str, Any] | None = None,
    StreamARN: str | None = None,
) -> dict[str, Any]:
    """The shards of a stream in the order they were made, up to 1,000: all that are retained, or those of a filter."""
    after, shard_filter = ExclusiveStartShardId or "", dict(ShardFilter or {})
    storage = None
    if NextToken is not None:
        if ExclusiveStartShardId or StreamCreationTimestamp or ShardFilter:
            raise invalid(
                "NextToken cannot be given with ExclusiveStartShardId, StreamCreationTimestamp or ShardFilter."
            )
        account, name, storage, after, shard_filter, expires_at = _read_token(ctx, NextToken)
        if expires_at < ctx.platform.clock.now():
            raise AwsError("ExpiredNextTokenException", "The NextToken has expired: it is valid for 300 seconds.")
        in_token = Place(account, ctx.region, name).arn
        if (StreamName or name) != name or (StreamARN or in_token) != in_token:
            raise invalid("The NextToken is of another stream.")
        StreamName, StreamARN = None, in_token
    place, entry = find(ctx, StreamName, StreamARN)
    stream = entry.value
    created = StreamCreationTimestamp
    if storage not in (None, stream.id) or (created is not None and int(created) != int(stream.created_at)):
        raise no_stream(place)
    keep = _kept(ctx, stream, shard_filter)
    shards = [shard for shard in listed_shards(ctx, stream) if shard.id > after and keep(shard)]
    limit = min(page_asked(ctx.operation, given(MaxResults=MaxResults), _MOST_LISTED)[0], _MOST_LISTED)
    page, position = shards[:limit], None
    if len(shards) > limit:
        expires_at = ctx.platform.clock.now() + _TOKEN_SECONDS
        position = [place.account, place.name, stream.id, page[-1].id, shard_filter, expires_at]
    return page_output(ctx.operation, [shard_shown(shard) for shard in page], position)


def _kept(ctx: Context, stream: Stream, shard_filter: Mapping[str, Any]) -> Callable[[Shard], bool]:
    """Whether a filter keeps a shard. Raises InvalidArgumentException for one that lacks what its type needs."""
    kind = shard_filter.get("Type", "FROM_TRIM_HORIZON")
    needs = {"AFTER_SHARD_ID": "ShardId", "AT_TIMESTAMP": "Timestamp", "FROM_TIMESTAMP": "Timestamp"}.get(kind)
    for member in ("ShardId", "Timestamp"):
        if (shard_filter.get(member) is not None) != (member == needs):
            raise invalid(f"A ShardFilter of type {kind} {'needs' if member == needs else 'takes no'} {member}.")
    now_ms = int(ctx.platform.clock.now() * 1000)
    horizon_ms = max(now_ms - stream.retention_hours * HOUR_MS, int(stream.created_at * 1000))
    at_ms = round(shard_filter.get("Timestamp", 0) * 1000)
    if kind == "AFTER_SHARD_ID":
        after = shard_filter["ShardId"]
        return lambda shard: shard.id > after
    if kind == "AT_LATEST":
        return lambda shard: shard.closed_ms is None
    if kind in ("AT_TRIM_HORIZON", "AT_TIMESTAMP"):
        moment = max(at_ms, horizon_ms)
        return lambda shard: shard.opened_ms <= moment and (shard.closed_ms is None or shard.closed_ms >= moment)
    start = max(at_ms, horizon_ms)
    return lambda shard: shard.closed_ms is None or shard.closed_ms >= start


def _read_token(ctx: Context, token: str) -> Any:
    value = decode_token(ctx.operation, token)
    kinds = (str, str, str, str, dict, float)
    if not isinstance(value, list) or [type(each) for each in value] != list(kinds):
        raise bad_token(ctx.operation)
    shard_filter = value[4]
    if any(type(each) not in _FILTER.get(member, ()) for member, each in shard_filter.items()):
        raise bad_token(ctx.operation)
    return value


def _reshard(ctx: Context, place: Place, alter: Callable[[Stream, ShardMap], None]) -> None:
    now_ms = int(ctx.platform.clock.now() * 1000)

    def altered(stream: Stream) -> Stream | None:
        shards = ShardMap(stream.shards, now_ms)
        alter(stream, shards)
        return None if shards.shards == stream.shards else replace(stream, shards=shards.shards)

    change(ctx.platform, place, altered, status=UPDATING)
    views_of(ctx.platform).forget(place)


def _hash_key(text: str) -> int:
    number = int(text)
    if number >= KEYS:
        raise invalid(f"Invalid NewStartingHashKey {text}: it must be in the range [0, 2^128-1].")
    return number

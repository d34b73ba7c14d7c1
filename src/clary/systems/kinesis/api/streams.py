"""Streams: create, describe, list and delete; and what an account may have."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.core.ids import new_id
from clary.kernel.rooms import Context, Resource, operation
from clary.kernel.rooms.tags import refuse_tags
from clary.kernel.wire import bad_token, page_asked, page_output
from clary.systems.kinesis.accounts import check_commitment, check_room, open_counts
from clary.systems.kinesis.api.shapes import given, listed_shards, shard_shown, stream_shown, summary_shown
from clary.systems.kinesis.lifecycle import delete, settle
from clary.systems.kinesis.lookup import find, in_use, invalid, stream_resource
from clary.systems.kinesis.ranges import first_shards
from clary.systems.kinesis.records import (
    AUTO,
    BY_KEY,
    CREATING,
    DEFAULT_RECORD_KIB,
    ON_DEMAND,
    PROVISIONED,
    Consumer,
    Stream,
)
from clary.systems.kinesis.scaling import FIRST_ON_DEMAND, on_demand_shards
from clary.systems.kinesis.views import views_of

_MOST_LISTED = 100

STREAMS = Resource(
    "kinesis",
    "stream",
    Stream,
    missing=("ResourceNotFoundException", "Stream {name} not found."),
    taken=("ResourceInUseException", "Stream {name} already exists: {arn}."),
)


@operation("kinesis", "CreateStream", resource="stream/{StreamName}")
def create_stream(
    ctx: Context,
    StreamName: str,
    ShardCount: int | None = None,
    StreamModeDetails: Mapping[str, Any] | None = None,
    Tags: Mapping[str, str] | None = None,
    WarmThroughputMiBps: int | None = None,
    MaxRecordSizeInKiB: int | None = None,
    RecordDistributionStrategy: str | None = None,
) -> None:
    """Make a stream. It is ACTIVE when this answers."""
    mode = StreamModeDetails["StreamMode"] if StreamModeDetails else PROVISIONED
    on_demand = mode == ON_DEMAND
    if on_demand == (ShardCount is not None):
        raise invalid("ShardCount must be given for a stream in provisioned mode, and for no other.")
    if not on_demand and RecordDistributionStrategy == AUTO:
        raise invalid("The record distribution strategy AUTO needs the capacity mode ON_DEMAND.")
    if WarmThroughputMiBps is not None:
        check_commitment(ctx, mode, WarmThroughputMiBps)
    _check_tags(Tags or {})
    count = ShardCount or FIRST_ON_DEMAND
    if WarmThroughputMiBps is not None:
        count = on_demand_shards(WarmThroughputMiBps)
    if STREAMS.find(ctx, StreamName) is None:
        check_room(ctx, mode, count)
    now = ctx.platform.clock.now()
    stream = Stream(
        id=new_id(),
        created_at=now,
        mode=mode,
        shards=first_shards(count, int(now * 1000)),
        most_kib=MaxRecordSizeInKiB or DEFAULT_RECORD_KIB,
        warm_mibps=WarmThroughputMiBps,
        distribution=RecordDistributionStrategy or BY_KEY,
    )
    settle(ctx.platform, STREAMS.create(ctx, StreamName, stream, tags=Tags, status=CREATING, parent=stream.id))


@operation("kinesis", "DescribeStream", resource=stream_resource)
def describe_stream(
    ctx: Context,
    StreamName: str | None = None,
    Limit: int | None = None,
    ExclusiveStartShardId: str | None = None,
    StreamARN: str | None = None,
) -> dict[str, Any]:
    """A stream and up to 100 of its shards."""
    place, entry = find(ctx, StreamName, StreamARN)
    shards = listed_shards(ctx, entry.value)
    if ExclusiveStartShardId is not None:
        shards = [shard for shard in shards if shard.id > ExclusiveStartShardId]
    limit = min(Limit or _MOST_LISTED, _MOST_LISTED)
    described = {
        **stream_shown(place, entry),
        "Shards": [shard_shown(shard) for shard in shards[:limit]],
        "HasMoreShards": len(shards) > limit,
    }
    return {"StreamDescription": described}


@operation("kinesis", "DescribeStreamSummary", resource=stream_resource)
def describe_stream_summary(
    ctx: Context, StreamName: str | None = None, StreamARN: str | None = None
) -> dict[str, Any]:
    """A stream and how many open shards and consumers it has."""
    place, entry = find(ctx, StreamName, StreamARN)
    consumers = ctx.platform.records(Consumer).within(place.account, place.region).count(parent=entry.value.id)
    return {"StreamDescriptionSummary": summary_shown(place, entry, consumers)}


@operation("kinesis", "ListStreams")
def list_streams(
    ctx: Context, Limit: int | None = None, ExclusiveStartStreamName: str | None = None, NextToken: str | None = None
) -> dict[str, Any]:
    """The caller's streams by name, up to 100."""
    limit, position = page_asked(ctx.operation, given(Limit=Limit, NextToken=NextToken), _MOST_LISTED)
    if position is not None and not isinstance(position, str):
        raise bad_token(ctx.operation)
    limit, after = min(limit, _MOST_LISTED), position or ExclusiveStartStreamName or ""
    entries = [entry for entry in ctx.records(Stream).all() if entry.name > after]
    page = entries[:limit]
    output = page_output(ctx.operation, [entry.name for entry in page], page[-1].name if len(entries) > limit else None)
    output["StreamSummaries"] = [
        {
            "StreamName": entry.name,
            "StreamARN": STREAMS.arn(ctx, entry.name),
            "StreamStatus": entry.status,
            "StreamModeDetails": {"StreamMode": entry.value.mode},
            "StreamCreationTimestamp": entry.value.created_at,
        }
        for entry in page
    ]
    return output


@operation("kinesis", "DeleteStream", resource=stream_resource)
def delete_stream(
    ctx: Context,
    StreamName: str | None = None,
    EnforceConsumerDeletion: bool | None = None,
    StreamARN: str | None = None,
) -> None:
    """Delete a stream, with its consumers if that is said. It takes no record any more when this answers."""
    place, entry = find(ctx, StreamName, StreamARN)
    consumers = ctx.platform.records(Consumer).within(place.account, place.region).count(parent=entry.value.id)
    if consumers and not EnforceConsumerDeletion:
        raise in_use(
            f"Stream {place.name} under account {place.account} has {consumers} registered consumers: deregister them, "
            "or set EnforceConsumerDeletion."
        )
    delete(ctx.platform, place)
    views_of(ctx.platform).forget(place)


@operation("kinesis", "DescribeLimits")
def describe_limits(ctx: Context) -> dict[str, Any]:
    """How many shards and on-demand streams the account has, and may have."""
    counts = open_counts(ctx)
    return {
        "ShardLimit": counts.most_shards,
        "OpenShardCount": counts.shards,
        "OnDemandStreamCount": counts.on_demand,
        "OnDemandStreamCountLimit": counts.most_on_demand,
    }


def _check_tags(tags: Mapping[str, str]) -> None:
    try:
        refuse_tags(tags)
    except AwsError as error:
        raise invalid(error.message) from None

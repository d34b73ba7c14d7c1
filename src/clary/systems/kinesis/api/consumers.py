"""Consumers with enhanced fan-out: register, describe, list, deregister, and subscribe to shards."""

import asyncio
from collections.abc import Mapping
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.tags import refuse_tags, tags_with, tags_without
from clary.kernel.store import AlreadyExists, Conflict
from clary.kernel.wire import bad_token, page_asked, page_output
from clary.systems.kinesis import subscriptions
from clary.systems.kinesis.accounts import is_committed
from clary.systems.kinesis.api.shapes import consumer_shown, given
from clary.systems.kinesis.lookup import (
    consumer_resource,
    find,
    find_consumer,
    in_use,
    invalid,
    no_stream,
    over_limit,
    stream_resource,
)
from clary.systems.kinesis.reading import shard_of, start_at
from clary.systems.kinesis.records import ON_DEMAND, Consumer, consumer_arn, consumer_key
from clary.systems.kinesis.views import views_of

_MOST_CONSUMERS = 20
_MOST_ADVANTAGE_CONSUMERS = 50
_MOST_LISTED = 100


@operation("kinesis", "RegisterStreamConsumer", resource=stream_resource)
def register_stream_consumer(
    ctx: Context, StreamARN: str, ConsumerName: str, Tags: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Add a consumer to a stream; it may subscribe at once."""
    place, entry = find(ctx, None, StreamARN)
    stream = entry.value
    table = ctx.platform.records(Consumer).within(place.account, place.region)
    advantage = stream.mode == ON_DEMAND and is_committed(ctx)
    most = _MOST_ADVANTAGE_CONSUMERS if advantage else _MOST_CONSUMERS
    try:
        refuse_tags(Tags or {})
    except AwsError as error:
        raise invalid(error.message) from None
    key, consumer = consumer_key(place.name, ConsumerName), Consumer(place.name, ConsumerName, ctx.platform.clock.now())
    if table.get(key) is None and table.count(parent=stream.id) >= most:
        raise over_limit(f"Stream {place.name} under account {place.account} has {most} consumers, which is the most.")
    try:
        also = tags_with(ctx, consumer_arn(place, consumer), Tags or {})
        table.create(key, consumer, parent=stream.id, also=also)
    except AlreadyExists:
        raise in_use(f"Consumer {ConsumerName} of stream {StreamARN} already exists.") from None
    return {"Consumer": consumer_shown(place, consumer)}


@operation("kinesis", "DescribeStreamConsumer", resource=consumer_resource)
def describe_stream_consumer(
    ctx: Context, StreamARN: str | None = None, ConsumerName: str | None = None, ConsumerARN: str | None = None
) -> dict[str, Any]:
    """A consumer by its ARN, or by its stream's and its name."""
    place, entry = find_consumer(ctx, ConsumerARN, StreamARN, ConsumerName)
    return {"ConsumerDescription": {**consumer_shown(place, entry.value), "StreamARN": place.arn}}


@operation("kinesis", "ListStreamConsumers", resource=stream_resource)
def list_stream_consumers(
    ctx: Context,
    StreamARN: str,
    NextToken: str | None = None,
    MaxResults: int | None = None,
    StreamCreationTimestamp: float | None = None,
) -> dict[str, Any]:
    """The consumers of a stream by name, up to 100."""
    place, entry = find(ctx, None, StreamARN)
    created = StreamCreationTimestamp
    if created is not None and int(created) != int(entry.value.created_at):
        raise no_stream(place)
    limit, position = page_asked(ctx.operation, given(NextToken=NextToken, MaxResults=MaxResults), _MOST_LISTED)
    if position is not None and not isinstance(position, str):
        raise bad_token(ctx.operation)
    table = ctx.platform.records(Consumer).within(place.account, place.region)
    found = [each.value for each in table.all(parent=entry.value.id) if each.value.name > (position or "")]
    page = found[: min(limit, _MOST_LISTED)]
    shown = [consumer_shown(place, consumer) for consumer in page]
    return page_output(ctx.operation, shown, page[-1].name if len(found) > len(page) else None)


@operation("kinesis", "DeregisterStreamConsumer", resource=consumer_resource)
def deregister_stream_consumer(
    ctx: Context, StreamARN: str | None = None, ConsumerName: str | None = None, ConsumerARN: str | None = None
) -> None:
    """Take a consumer off its stream; its subscriptions end."""
    place, entry = find_consumer(ctx, ConsumerARN, StreamARN, ConsumerName)
    table = ctx.platform.records(Consumer).within(place.account, place.region)
    arn = consumer_arn(place, entry.value)
    try:
        table.delete(entry.name, also=tags_without(ctx.platform, arn))
    except Conflict:
        raise in_use(f"Consumer {arn} is being changed by another request. Please try again.") from None
    subscriptions.forget(ctx.platform, arn)


@operation("kinesis", "SubscribeToShard", resource="{ConsumerARN}")
async def subscribe_to_shard(
    ctx: Context,
    ConsumerARN: str,
    ShardId: str,
    StartingPosition: Mapping[str, Any],
    DryRun: bool | None = None,
) -> dict[str, Any]:
    """Push a shard's records to a consumer as they come, for five minutes."""
    platform = ctx.platform
    place, entry = await asyncio.to_thread(find_consumer, ctx, ConsumerARN, None, None)
    view, shard = await shard_of(platform, await views_of(platform).find(place), ShardId)
    position = StartingPosition
    offset = await asyncio.to_thread(
        start_at,
        platform,
        view,
        shard,
        position["Type"],
        position.get("SequenceNumber"),
        position.get("Timestamp"),
    )
    if DryRun:
        raise dry_run()
    try:
        subscription = await subscriptions.subscribe(platform, entry.value.name, ConsumerARN, ShardId)
    except AwsError:
        view.meter.subscribed(entry.value.name, accepted=False)
        raise
    view.meter.subscribed(entry.value.name, accepted=True)
    return {"EventStream": subscriptions.events(platform, view, shard, subscription, offset)}


def dry_run() -> AwsError:
    """What is answered in place of an output when a request was only to be checked."""
    return AwsError("DryRunOperationException", "The request would have succeeded, but DryRun is set.")

"""Streams and consumers by the names and ARNs that requests give, who may use another account's, and the errors."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from clary.kernel.auth import policies
from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context
from clary.kernel.store import Entry
from clary.systems.kinesis.iterators import read_iterator
from clary.systems.kinesis.records import ACTIVE, Consumer, Place, Shard, Stream, consumer_arn, consumer_key

_STREAM_ARN = re.compile(r"arn:aws[^:]*:kinesis:([^:]*):(\d{12}):stream/([A-Za-z0-9_.-]{1,128})")
_CONSUMER_ARN = re.compile(r"(arn:aws[^:]*:kinesis:[^:]*:\d{12}:stream/[A-Za-z0-9_.-]{1,128})/consumer/([^:/]+):(\d+)")


def invalid(message: str) -> AwsError:
    return AwsError("InvalidArgumentException", message)


def in_use(message: str) -> AwsError:
    return AwsError("ResourceInUseException", message)


def not_found(message: str) -> AwsError:
    return AwsError("ResourceNotFoundException", message)


def over_limit(message: str) -> AwsError:
    return AwsError("LimitExceededException", message)


def no_stream(place: Place) -> AwsError:
    return not_found(f"Stream {place.name} under account {place.account} not found.")


def no_shard(place: Place, shard: str) -> AwsError:
    return not_found(f"Could not find shard {shard} in stream {place.name} under account {place.account}.")


def place_of(ctx: Context, name: str | None, arn: str | None) -> Place:
    """Which stream a request is about. Raises InvalidArgumentException where it names none, or two."""
    if arn is None:
        if name is None:
            raise invalid("Either StreamName or StreamARN must be given.")
        return Place(ctx.account, ctx.region, name)
    place = _place_of_arn(arn, ctx.region)
    if name is not None and name != place.name:
        raise invalid(f"StreamName {name} does not match the stream in StreamARN {arn}.")
    return place


@lru_cache(maxsize=4096)
def _place_of_arn(arn: str, region: str) -> Place:
    parts = _STREAM_ARN.fullmatch(arn)
    if parts is None:
        raise invalid(f"{arn} is not the ARN of a stream.")
    if parts[1] != region:
        raise invalid(f"StreamARN {arn} is of another region: this is {region}.")
    return Place(parts[2], region, parts[3])


def find(ctx: Context, name: str | None, arn: str | None) -> tuple[Place, Entry[Stream]]:
    """The stream a request is about. Raises ResourceNotFoundException, and AccessDeniedException where it is another
    account's that does not let the caller use it."""
    place = place_of(ctx, name, arn)
    entry = ctx.platform.records(Stream).within(place.account, place.region).get(place.name)
    if entry is None:
        raise no_stream(place)
    admit(ctx, place, entry.value.policy, place.arn)
    return place, entry


def find_active(ctx: Context, name: str | None, arn: str | None) -> tuple[Place, Entry[Stream]]:
    """The stream to be changed. Raises ResourceInUseException while it is being changed otherwise."""
    place, entry = find(ctx, name, arn)
    if entry.status != ACTIVE:
        raise in_use(f"Stream {place.name} under account {place.account} not ACTIVE, instead in state {entry.status}")
    return place, entry


def find_shard(place: Place, stream: Stream, shard: str, *, open_only: bool = True) -> Shard:
    """A shard of a stream by its id. Raises ResourceNotFoundException, or InvalidArgumentException for a closed one."""
    found = next((each for each in stream.shards if each.id == shard), None)
    if found is None:
        raise no_shard(place, shard)
    if open_only and found.closed_ms is not None:
        raise invalid(
            f"Shard {shard} in stream {place.name} under account {place.account} is closed: it has been split or "
            "merged before."
        )
    return found


def split_consumer_arn(ctx: Context, arn: str) -> tuple[str, str]:
    """The stream's ARN and the consumer's name in a consumer's ARN."""
    parts = _CONSUMER_ARN.fullmatch(arn)
    if parts is None:
        raise invalid(f"{arn} is not the ARN of a consumer.")
    return parts[1], parts[2]


def find_consumer(
    ctx: Context, arn: str | None, stream_arn: str | None, name: str | None
) -> tuple[Place, Entry[Consumer]]:
    """A consumer by its ARN, or by its stream's ARN and its name; or by all of them, if they agree.

    Raises InvalidArgumentException, ResourceNotFoundException, or AccessDeniedException.
    """
    if arn is None and (stream_arn is None or name is None):
        raise invalid("Either ConsumerARN, or StreamARN and ConsumerName must be given.")
    if arn is not None:
        in_arn = split_consumer_arn(ctx, arn)
        if stream_arn not in (None, in_arn[0]) or name not in (None, in_arn[1]):
            raise invalid(f"ConsumerARN {arn} does not agree with the StreamARN or ConsumerName given with it.")
        stream_arn, name = in_arn
    place = place_of(ctx, None, stream_arn)
    assert name is not None
    entry = ctx.platform.records(Consumer).within(place.account, place.region).get(consumer_key(place.name, name))
    if entry is None or arn not in (None, consumer_arn(place, entry.value)):
        raise not_found(f"Consumer {arn or name} under account {place.account} not found.")
    admit(ctx, place, entry.value.policy, consumer_arn(place, entry.value))
    return place, entry


_SHARED = frozenset(
    (
        "DescribeStreamConsumer",
        "DescribeStreamSummary",
        "GetRecords",
        "GetShardIterator",
        "ListShards",
        "PutRecord",
        "PutRecords",
        "SubscribeToShard",
    )
)


def admit(ctx: Context, place: Place, policy: str, arn: str) -> None:
    """Raise AccessDeniedException unless the resource's policy lets the caller do what it asks.

    In the owner's account only an explicit deny matters here: what IAM allows was decided before.
    """
    foreign = place.account != ctx.account
    if not foreign and (not policy or ctx.principal.kind == "root"):
        return
    operation = ctx.operation.name
    outcome = "implicitDeny"
    if policy and not (foreign and operation not in _SHARED):
        outcome = policies.trusts(policy, ctx.principal, f"kinesis:{operation}", resource=arn).outcome
    if outcome == "explicitDeny" or (foreign and outcome != "allowed"):
        reason = "with an explicit deny in a" if outcome == "explicitDeny" else "because no"
        raise AwsError(
            "AccessDeniedException",
            f"User: {ctx.principal.arn} is not authorized to perform: kinesis:{operation} on resource: {arn} {reason} "
            "resource-based policy" + ("" if outcome == "explicitDeny" else " allows the action"),
        )


# What authorisation asks about: each gives the resource that an operation's params name.


def stream_resource(ctx: Context, params: Mapping[str, Any]) -> str:
    return params.get("StreamARN") or f"stream/{params.get('StreamName', '*')}"


def iterator_resource(ctx: Context, params: Mapping[str, Any]) -> str:
    """The stream that a shard iterator is of; any stream for one that is refused later."""
    try:
        iterator = read_iterator(params["ShardIterator"])
    except AwsError:
        return "*"
    return Place(iterator.account, ctx.region, iterator.name).arn


def consumer_resource(ctx: Context, params: Mapping[str, Any]) -> str:
    """A consumer's ARN, looked up where a request names it otherwise."""
    if params.get("ConsumerARN"):
        return str(params["ConsumerARN"])
    stream_arn, name = params.get("StreamARN"), params.get("ConsumerName")
    try:
        place = place_of(ctx, None, stream_arn)
    except AwsError:
        return "*"
    entry = ctx.platform.records(Consumer).within(place.account, place.region).get(consumer_key(place.name, str(name)))
    return f"{stream_arn}/consumer/{name}:0" if entry is None else consumer_arn(place, entry.value)

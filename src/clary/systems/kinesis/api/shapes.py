"""Streams and shards as answers show them."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.rooms import Context
from clary.kernel.store import Entry
from clary.systems.kinesis.records import ON_DEMAND, Consumer, Place, Shard, Stream, consumer_arn, shard_id
from clary.systems.kinesis.sequences import first_sequence, last_sequence

HOUR_MS = 3_600_000


def shard_shown(shard: Shard) -> dict[str, Any]:
    sequences = {"StartingSequenceNumber": first_sequence(shard), "EndingSequenceNumber": last_sequence(shard)}
    return {
        "ShardId": shard.id,
        "ParentShardId": None if shard.parent is None else shard_id(shard.parent),
        "AdjacentParentShardId": None if shard.adjacent_parent is None else shard_id(shard.adjacent_parent),
        "HashKeyRange": {"StartingHashKey": shard.start, "EndingHashKey": shard.end},
        "SequenceNumberRange": sequences,
    }


def listed_shards(ctx: Context, stream: Stream) -> list[Shard]:
    """A stream's shards but for those that were closed before all that is retained."""
    horizon_ms = int(ctx.platform.clock.now() * 1000) - stream.retention_hours * HOUR_MS
    return [shard for shard in stream.shards if shard.closed_ms is None or shard.closed_ms >= horizon_ms]


def stream_shown(place: Place, entry: Entry[Stream]) -> dict[str, Any]:
    """What DescribeStream and DescribeStreamSummary have in common."""
    stream = entry.value
    return {
        "StreamName": place.name,
        "StreamARN": place.arn,
        "StreamStatus": entry.status,
        "StreamModeDetails": {"StreamMode": stream.mode},
        "RetentionPeriodHours": stream.retention_hours,
        "StreamCreationTimestamp": stream.created_at,
        "EnhancedMonitoring": [{"ShardLevelMetrics": stream.monitored}],
        "EncryptionType": "KMS" if stream.key_id else "NONE",
        "KeyId": stream.key_id or None,
    }


def summary_shown(place: Place, entry: Entry[Stream], consumers: int) -> dict[str, Any]:
    stream = entry.value
    on_demand = stream.mode == ON_DEMAND
    return {
        **stream_shown(place, entry),
        "OpenShardCount": len(stream.open_shards),
        "ConsumerCount": consumers,
        "MaxRecordSizeInKiB": stream.most_kib,
        "WarmThroughput": warm_shown(stream),
        "RecordDistributionStrategy": stream.distribution if on_demand else None,
    }


def warm_shown(stream: Stream) -> dict[str, Any] | None:
    if stream.warm_mibps is None:
        return None
    return {"TargetMiBps": stream.warm_mibps, "CurrentMiBps": stream.warm_mibps}


def consumer_shown(place: Place, consumer: Consumer) -> dict[str, Any]:
    return {
        "ConsumerName": consumer.name,
        "ConsumerARN": consumer_arn(place, consumer),
        "ConsumerStatus": "ACTIVE",
        "ConsumerCreationTimestamp": consumer.created_at,
    }


def given(**members: Any) -> Mapping[str, Any]:
    """The members that a request has."""
    return {name: value for name, value in members.items() if value is not None}

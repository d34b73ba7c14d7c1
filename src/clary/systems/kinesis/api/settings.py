"""A stream's settings: retention, capacity mode, encryption, monitoring, sizes; and those of an account."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from clary.kernel.rooms import Context, operation
from clary.kernel.streams import NoSuchStream
from clary.systems.kinesis.accounts import account_of, check_commitment, check_room, keep_account
from clary.systems.kinesis.api.shapes import HOUR_MS, warm_shown
from clary.systems.kinesis.lifecycle import change
from clary.systems.kinesis.lookup import find_active, invalid, no_stream, stream_resource
from clary.systems.kinesis.meters import SHARD_METRICS
from clary.systems.kinesis.ranges import ShardMap
from clary.systems.kinesis.records import AUTO, BY_KEY, ON_DEMAND, PROVISIONED, UPDATING, Account, Place, Stream
from clary.systems.kinesis.scaling import on_demand_shards
from clary.systems.kinesis.views import views_of

_LEAST_HOURS, _MOST_HOURS = 24, 8760
_COMMITTED_SECONDS = 24 * 3600.0


@operation("kinesis", "IncreaseStreamRetentionPeriod", resource=stream_resource)
def increase_stream_retention_period(
    ctx: Context, RetentionPeriodHours: int, StreamName: str | None = None, StreamARN: str | None = None
) -> None:
    """Keep records longer. What is past the former period stays out of reach."""
    place, entry = find_active(ctx, StreamName, StreamARN)
    stream = entry.value
    _check_hours(RetentionPeriodHours)
    if RetentionPeriodHours < stream.retention_hours:
        raise invalid(
            f"Requested retention period ({RetentionPeriodHours} hours) for stream {place.name} can not be shorter "
            f"than existing retention period ({stream.retention_hours} hours). Use DecreaseRetentionPeriod API."
        )
    try:
        horizon_ms = int(ctx.platform.clock.now() * 1000) - stream.retention_hours * HOUR_MS
        ctx.platform.streams.expire(stream.id, horizon_ms)
    except NoSuchStream:
        raise no_stream(place) from None
    _change(ctx, place, retention_hours=RetentionPeriodHours)


@operation("kinesis", "DecreaseStreamRetentionPeriod", resource=stream_resource)
def decrease_stream_retention_period(
    ctx: Context, RetentionPeriodHours: int, StreamName: str | None = None, StreamARN: str | None = None
) -> None:
    """Keep records for a shorter time. Older ones are out of reach at once, and soon off the disk."""
    place, entry = find_active(ctx, StreamName, StreamARN)
    _check_hours(RetentionPeriodHours)
    if RetentionPeriodHours > entry.value.retention_hours:
        raise invalid(
            f"Requested retention period ({RetentionPeriodHours} hours) for stream {place.name} can not be longer than "
            f"existing retention period ({entry.value.retention_hours} hours). Use IncreaseRetentionPeriod API."
        )
    _change(ctx, place, retention_hours=RetentionPeriodHours)


@operation("kinesis", "UpdateStreamMode", resource=stream_resource)
def update_stream_mode(
    ctx: Context, StreamARN: str, StreamModeDetails: Mapping[str, Any], WarmThroughputMiBps: int | None = None
) -> None:
    """Change the capacity mode of a stream. Its shards stay, but for a warm throughput that wants more."""
    place, _ = find_active(ctx, None, StreamARN)
    mode = StreamModeDetails["StreamMode"]
    if WarmThroughputMiBps is not None:
        check_commitment(ctx, mode, WarmThroughputMiBps)
    if mode == ON_DEMAND:
        _change(ctx, place, mode=mode)
        if WarmThroughputMiBps is not None:
            _warm(ctx, place, WarmThroughputMiBps)
    else:
        _change(ctx, place, mode=PROVISIONED, warm_mibps=None, distribution=BY_KEY)


@operation("kinesis", "UpdateStreamWarmThroughput", resource=stream_resource)
def update_stream_warm_throughput(
    ctx: Context, WarmThroughputMiBps: int, StreamARN: str | None = None, StreamName: str | None = None
) -> dict[str, Any]:
    """Give an on-demand stream the shards that a throughput needs."""
    place, entry = find_active(ctx, StreamName, StreamARN)
    check_commitment(ctx, entry.value.mode, WarmThroughputMiBps)
    _warm(ctx, place, WarmThroughputMiBps)
    shown = warm_shown(replace(entry.value, warm_mibps=WarmThroughputMiBps))
    return {"StreamARN": place.arn, "StreamName": place.name, "WarmThroughput": shown}


@operation("kinesis", "UpdateStreamRecordDistributionStrategy", resource=stream_resource)
def update_stream_record_distribution_strategy(ctx: Context, StreamARN: str, RecordDistributionStrategy: str) -> None:
    """Have an on-demand stream spread records over its shards evenly, or by their partition keys."""
    place, entry = find_active(ctx, None, StreamARN)
    if RecordDistributionStrategy == AUTO and entry.value.mode != ON_DEMAND:
        raise invalid(f"The record distribution strategy AUTO needs the capacity mode ON_DEMAND; {place.name} has not.")
    _change(ctx, place, distribution=RecordDistributionStrategy)


@operation("kinesis", "UpdateMaxRecordSize", resource=stream_resource)
def update_max_record_size(ctx: Context, MaxRecordSizeInKiB: int, StreamARN: str | None = None) -> None:
    """Change how large a record of a stream may be, its partition key included."""
    place, _ = find_active(ctx, None, StreamARN)
    _change(ctx, place, most_kib=MaxRecordSizeInKiB)


@operation("kinesis", "StartStreamEncryption", resource=stream_resource)
def start_stream_encryption(
    ctx: Context, EncryptionType: str, KeyId: str, StreamName: str | None = None, StreamARN: str | None = None
) -> None:
    """Note that a stream is to be encrypted with a key, and say so wherever AWS does; see the README."""
    if EncryptionType != "KMS":
        raise invalid("EncryptionType must be KMS: StopStreamEncryption ends encryption.")
    place, _ = find_active(ctx, StreamName, StreamARN)
    _change(ctx, place, key_id=KeyId)


@operation("kinesis", "StopStreamEncryption", resource=stream_resource)
def stop_stream_encryption(
    ctx: Context, EncryptionType: str, KeyId: str, StreamName: str | None = None, StreamARN: str | None = None
) -> None:
    """Note that a stream is not to be encrypted any more."""
    if EncryptionType != "KMS":
        raise invalid("EncryptionType must be KMS, which is what ends.")
    place, _ = find_active(ctx, StreamName, StreamARN)
    _change(ctx, place, key_id="")


@operation("kinesis", "EnableEnhancedMonitoring", resource=stream_resource)
def enable_enhanced_monitoring(
    ctx: Context, ShardLevelMetrics: Sequence[str], StreamName: str | None = None, StreamARN: str | None = None
) -> dict[str, Any]:
    """Report metrics of each shard."""
    return _monitor(ctx, StreamName, StreamARN, lambda now: now | _metrics(ShardLevelMetrics))


@operation("kinesis", "DisableEnhancedMonitoring", resource=stream_resource)
def disable_enhanced_monitoring(
    ctx: Context, ShardLevelMetrics: Sequence[str], StreamName: str | None = None, StreamARN: str | None = None
) -> dict[str, Any]:
    """Report metrics of each shard no longer."""
    return _monitor(ctx, StreamName, StreamARN, lambda now: now - _metrics(ShardLevelMetrics))


@operation("kinesis", "DescribeAccountSettings")
def describe_account_settings(ctx: Context) -> dict[str, Any]:
    """The account's commitment to a minimum of throughput."""
    return _commitment(ctx)


@operation("kinesis", "UpdateAccountSettings")
def update_account_settings(ctx: Context, MinimumThroughputBillingCommitment: Mapping[str, Any]) -> dict[str, Any]:
    """Begin the commitment that warm throughput needs, or end it: after 24 hours at the earliest, as on AWS.

    Nothing is billed here.
    """
    account, now = account_of(ctx), ctx.platform.clock.now()
    running = account.started_at is not None and (account.ends_at is None or account.ends_at > now)
    if MinimumThroughputBillingCommitment["Status"] == "ENABLED":
        keep_account(ctx, replace(account, ends_at=None) if running else Account(started_at=now))
    elif running and account.started_at is not None:
        keep_account(ctx, replace(account, ends_at=max(account.started_at + _COMMITTED_SECONDS, now)))
    return _commitment(ctx)


def _commitment(ctx: Context) -> dict[str, Any]:
    account, now = account_of(ctx), ctx.platform.clock.now()
    shown: dict[str, Any] = {"Status": "DISABLED", "StartedAt": account.started_at}
    if account.started_at is not None and account.ends_at is not None and account.ends_at <= now:
        shown["EndedAt"] = account.ends_at
    elif account.started_at is not None:
        shown["Status"] = "ENABLED" if account.ends_at is None else "ENABLED_UNTIL_EARLIEST_ALLOWED_END"
        shown["EarliestAllowedEndAt"] = account.started_at + _COMMITTED_SECONDS
    return {"MinimumThroughputBillingCommitment": shown}


def _warm(ctx: Context, place: Place, mibps: int) -> None:
    """Scale a stream to the shards that a throughput needs."""
    count, now_ms = on_demand_shards(mibps), int(ctx.platform.clock.now() * 1000)

    def scaled(stream: Stream) -> Stream:
        check_room(ctx, ON_DEMAND, count, len(stream.open_shards))
        shards = ShardMap(stream.shards, now_ms)
        shards.scale(count)
        return replace(stream, shards=shards.shards, warm_mibps=mibps)

    change(ctx.platform, place, scaled, status=UPDATING)
    views_of(ctx.platform).forget(place)


def _monitor(ctx: Context, name: str | None, arn: str | None, alter: Any) -> dict[str, Any]:
    place, entry = find_active(ctx, name, arn)
    wanted = alter(set(entry.value.monitored))
    desired = [metric for metric in SHARD_METRICS if metric in wanted]
    _change(ctx, place, monitored=desired)
    return {
        "StreamName": place.name,
        "StreamARN": place.arn,
        "CurrentShardLevelMetrics": entry.value.monitored,
        "DesiredShardLevelMetrics": desired,
    }


def _metrics(names: Sequence[str]) -> set[str]:
    return set(SHARD_METRICS) if "ALL" in names else set(names)


def _check_hours(hours: int) -> None:
    if hours < _LEAST_HOURS:
        raise invalid(
            f"Minimum allowed retention period is {_LEAST_HOURS} hours. Requested retention period ({hours} hours) is "
            "too short."
        )
    if hours > _MOST_HOURS:
        raise invalid(
            f"Maximum allowed retention period is {_MOST_HOURS} hours. Requested retention period ({hours} hours) is "
            "too long."
        )


def _change(ctx: Context, place: Place, **fields: Any) -> None:
    change(ctx.platform, place, lambda stream: replace(stream, **fields))
    views_of(ctx.platform).forget(place)

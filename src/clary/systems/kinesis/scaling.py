"""How many shards a stream has in which mode."""

from clary.kernel.core.errors import validation
from clary.systems.kinesis.records import ON_DEMAND, Place, Stream

FIRST_ON_DEMAND = 4


def on_demand_shards(warm_mibps: int | None) -> int:
    """The shards of an on-demand stream: as many as take its warm throughput at 1 MiB/s each, as AWS counts."""
    return max(FIRST_ON_DEMAND, warm_mibps or 0)


def check_provisioned(place: Place, stream: Stream, operation: str) -> None:
    """Raise ValidationException for an operation that leaves on-demand streams alone."""
    if stream.mode == ON_DEMAND:
        raise validation(
            f"Request is invalid. Stream {place.name} under account {place.account} is in On-Demand mode. {operation} "
            "is not supported for On-Demand streams."
        )


def check_target(place: Place, current: int, target: int, most: int) -> str:
    """What is wrong with a target of UpdateShardCount; empty for nothing."""
    about = f"UpdateShardCount cannot scale stream {place.name} under account {place.account}"
    counts = f"Current open shard count: {current}. Target shard count: {target}."
    if target > 2 * current:
        return f"{about} up over double your current open shard count. {counts}"
    if 2 * target < current:
        return f"{about} down below half your current open shard count. {counts}"
    if target > most:
        return f"{about} to more than {most} shards."
    return ""

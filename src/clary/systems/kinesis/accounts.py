"""What an account may have in a region: shards, on-demand streams, and a commitment to a minimum of throughput."""

from typing import NamedTuple

from clary.kernel.core.errors import validation
from clary.kernel.rooms import Context
from clary.systems.kinesis.lookup import invalid, over_limit
from clary.systems.kinesis.records import ON_DEMAND, Account, Stream

MOST_SHARDS = 20_000
MOST_SHARDS_OF_A_STREAM = 10_000
MOST_ON_DEMAND = 50
MOST_WARM_MIBPS = 10 * 1024

_NAME = "settings"


class Counts(NamedTuple):
    """How many open shards and on-demand streams there are, and may be."""

    shards: int
    on_demand: int
    most_shards: int = MOST_SHARDS
    most_on_demand: int = MOST_ON_DEMAND


def open_counts(ctx: Context) -> Counts:
    streams = [entry.value for entry in ctx.records(Stream).all()]
    shards = sum(len(stream.open_shards) for stream in streams)
    return Counts(shards, sum(stream.mode == ON_DEMAND for stream in streams))


def check_room(ctx: Context, mode: str, shards: int, instead_of: int = 0) -> None:
    """Raise LimitExceededException unless the account may have a stream of so many shards, or so many more."""
    counts = open_counts(ctx)
    total = counts.shards + shards - instead_of
    if shards > MOST_SHARDS_OF_A_STREAM or total > counts.most_shards:
        raise over_limit(
            f"This request would exceed the shard limit for the account {ctx.account} in {ctx.region}. Current shard "
            f"count for the account: {counts.shards}. Limit: {counts.most_shards}. Number of additional shards that "
            f"would have resulted from this request: {shards - instead_of}."
        )
    if mode == ON_DEMAND and not instead_of and counts.on_demand >= counts.most_on_demand:
        raise over_limit(
            f"This request would exceed the on-demand stream limit for the account {ctx.account} in {ctx.region}: "
            f"{counts.most_on_demand}."
        )


def account_of(ctx: Context) -> Account:
    """The account's settings, as they are by now: a commitment whose end has come has ended."""
    entry = ctx.records(Account).get(_NAME)
    return Account() if entry is None else entry.value


def is_committed(ctx: Context) -> bool:
    account = account_of(ctx)
    return account.started_at is not None and (account.ends_at is None or account.ends_at > ctx.platform.clock.now())


def keep_account(ctx: Context, account: Account) -> None:
    ctx.records(Account).put(_NAME, account)


def check_commitment(ctx: Context, mode: str, warm_mibps: int) -> None:
    """Raise the error AWS answers unless a stream of this mode may be given a warm throughput."""
    if mode != ON_DEMAND:
        raise invalid("WarmThroughputMiBps needs the capacity mode ON_DEMAND.")
    if not is_committed(ctx):
        raise validation(
            "WarmThroughputMiBps needs an account whose MinimumThroughputBillingCommitment is ENABLED: call "
            "UpdateAccountSettings first."
        )
    if warm_mibps > MOST_WARM_MIBPS:
        raise over_limit(f"The warm throughput of a stream is at most {MOST_WARM_MIBPS} MiB/s, not {warm_mibps}.")

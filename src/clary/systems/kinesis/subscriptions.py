"""Subscriptions of consumers to shards: one each, whichever process of the server pushes; the newer replaces the older.

The key-value domain `kinesis` has an entry for each: `<consumer's ARN> 0 <shard>`, with a token and the time it began.
A subscription ends when the entry is no longer its own.
"""

import struct
from collections.abc import AsyncGenerator
from secrets import token_bytes
from typing import Any, NamedTuple

from clary.kernel.kv import KeyValue, Transaction, after_prefix
from clary.kernel.rooms import Platform
from clary.kernel.streams import NoSuchStream, StreamError
from clary.systems.kinesis.lookup import in_use, no_stream, not_found
from clary.systems.kinesis.placing import internal_failure
from clary.systems.kinesis.reading import Batch, read_shard, shown_children, shown_records
from clary.systems.kinesis.records import Shard
from clary.systems.kinesis.sequences import base_of, sequence
from clary.systems.kinesis.views import View

LASTS_SECONDS = 300.0

_RENEWABLE_MS = 5_000
_SWEPT_MS = 2 * int(LASTS_SECONDS * 1000)
_SILENCE_SECONDS = 5.0
_LOOK_SECONDS = 1.0
_EVENT_BYTES = 1024 * 1024
_VALUE = struct.Struct(">8sQ")


class Subscription(NamedTuple):
    """One consumer's to one shard."""

    consumer: str
    consumer_arn: str
    shard: str
    token: bytes

    @property
    def key(self) -> bytes:
        return _prefix(self.consumer_arn) + self.shard.encode()


def domain(platform: Platform) -> KeyValue:
    return platform.kv("kinesis")


async def subscribe(platform: Platform, consumer: str, consumer_arn: str, shard: str) -> Subscription:
    """Begin a subscription. Raises ResourceInUseException within five seconds of the one before."""
    subscription = Subscription(consumer, consumer_arn, shard, token_bytes(8))
    now_ms = int(platform.clock.now() * 1000)

    def write(tx: Transaction) -> bool:
        data = tx.get(subscription.key)
        if data is not None and now_ms - _VALUE.unpack(data)[1] < _RENEWABLE_MS:
            return False
        tx.put(subscription.key, _VALUE.pack(subscription.token, now_ms))
        return True

    if not await domain(platform).write_async(write):
        raise in_use(
            f"Another active subscription exists for this consumer: {consumer_arn} on shard {shard}. It may be "
            "replaced 5 seconds after it began."
        )
    return subscription


def forget(platform: Platform, consumer_arn: str) -> None:
    """End the subscriptions of a consumer that is gone."""
    prefix = _prefix(consumer_arn)

    def write(tx: Transaction) -> None:
        for key, _ in list(tx.scan(prefix, after_prefix(prefix))):
            tx.delete(key)

    domain(platform).write(write)


def sweep(platform: Platform, now_ms: int) -> None:
    """Forget subscriptions that must have ended."""
    kv = domain(platform)
    old = [key for key, value in kv.scan() if now_ms - _VALUE.unpack(value)[1] > _SWEPT_MS]

    def write(tx: Transaction) -> None:
        for key in old:
            data = tx.get(key)
            if data is not None and now_ms - _VALUE.unpack(data)[1] > _SWEPT_MS:
                tx.delete(key)

    if old:
        kv.write(write)


async def events(
    platform: Platform, view: View, shard: Shard, subscription: Subscription, offset: int
) -> AsyncGenerator[dict[str, Any], None]:
    """What is pushed: records as they come, at least an empty event every five seconds, for five minutes.

    The next is read when the last was taken, so that a slow reader costs nothing but its own delay.
    """
    clock, kv = platform.clock, domain(platform)
    ends_at, spoke_at = clock.monotonic() + LASTS_SECONDS, float("-inf")
    try:
        async with platform.streams.listen(view.storage) as ear:
            heard = True
            while clock.monotonic() < ends_at:
                _check_held(kv, subscription)
                is_silent = clock.monotonic() - spoke_at >= _SILENCE_SECONDS
                if heard or is_silent:
                    batch = await read_shard(platform, view, shard, offset, most_bytes=_EVENT_BYTES)
                    offset = batch.next
                    if batch.records or batch.children or is_silent:
                        yield {"SubscribeToShardEvent": _event(view, shard, batch, int(clock.now() * 1000))}
                        spoke_at = clock.monotonic()
                        _count(view, shard, subscription, batch)
                    if batch.children:
                        return
                    if batch.more:
                        continue
                heard = await ear.wait(min(_LOOK_SECONDS, max(ends_at - clock.monotonic(), 0.0)))
    except NoSuchStream:
        raise no_stream(view.place) from None
    except StreamError as error:
        raise internal_failure() from error


def _count(view: View, shard: Shard, subscription: Subscription, batch: Batch) -> None:
    view.meter.pushed(subscription.consumer, batch.size, len(batch.records), batch.behind_ms)
    if view.monitored and batch.records:
        counts = {"OutgoingBytes": batch.size, "OutgoingRecords": len(batch.records)}
        view.meter.of_shard(shard.id, view.monitored, counts)


def _event(view: View, shard: Shard, batch: Batch, now_ms: int) -> dict[str, Any]:
    event: dict[str, Any] = {
        "Records": shown_records(view, shard, batch.records),
        "MillisBehindLatest": batch.behind_ms,
    }
    if batch.children:
        event["ChildShards"] = shown_children(batch.children)
    else:  # at a shard's end there is nothing to go on with, and consumers know the end by that
        at_ms = batch.records[-1].at_ms if batch.records else now_ms
        event["ContinuationSequenceNumber"] = sequence(base_of(shard), max(batch.next - 1, 0), at_ms)
    return event


def _check_held(kv: KeyValue, subscription: Subscription) -> None:
    """Raise unless the subscription is still the consumer's latest."""
    data = kv.get(subscription.key)
    if data is None:
        raise not_found(f"Consumer {subscription.consumer_arn} is no longer registered.")
    if _VALUE.unpack(data)[0] != subscription.token:
        raise in_use(
            f"A newer subscription of consumer {subscription.consumer_arn} took over shard {subscription.shard}."
        )


def _prefix(consumer_arn: str) -> bytes:
    return consumer_arn.encode() + b"\0"

"""Carry on what a killed process left half done, and give back the space of what is past retention or deleted."""

from collections.abc import Iterator
from dataclasses import replace

from clary.kernel.rooms import CARRIER, Platform, reconciler
from clary.kernel.store import Conflict, Entry
from clary.kernel.streams import NoSuchStream
from clary.systems.kinesis import subscriptions
from clary.systems.kinesis.lifecycle import place_of_entry, settle, table_of
from clary.systems.kinesis.records import TOPIC, Stream, Trash

_HOUR_MS = 3_600_000


@reconciler(TOPIC, every_seconds=30.0, process=CARRIER)
def sweep(platform: Platform, key: str | None) -> None:
    """Look at every stream, and at what deleted ones left."""
    for trash in platform.records(Trash).all():
        platform.streams.delete(trash.name)
        platform.records(Trash).within(trash.account, trash.region).delete(trash.name)
    now_ms = int(platform.clock.now() * 1000)
    for entry in platform.records(Stream).all():
        settled = settle(platform, entry)
        if settled is not None:
            _expire(platform, settled, now_ms)
    subscriptions.sweep(platform, now_ms)


def _expire(platform: Platform, entry: Entry[Stream], now_ms: int) -> None:
    """Forget records past retention, and closed shards that have none left."""
    stream = entry.value
    horizon_ms = now_ms - stream.retention_hours * _HOUR_MS
    try:
        platform.streams.expire(stream.id, horizon_ms)
        gone = set(_ended(platform, stream, horizon_ms))
    except NoSuchStream:
        return  # it was deleted meanwhile
    if not gone:
        return
    kept = [shard for shard in stream.shards if shard.number not in gone]
    try:
        table_of(platform, place_of_entry(entry)).replace(entry, replace(stream, shards=kept))
    except Conflict:
        return  # it was changed meanwhile: the next round sees to it


def _ended(platform: Platform, stream: Stream, horizon_ms: int) -> Iterator[int]:
    """The numbers of shards that were closed before the horizon and are empty."""
    for shard in stream.shards:
        if shard.closed_ms is not None and shard.closed_ms < horizon_ms:
            bounds = platform.streams.bounds(stream.id, shard.id)
            if bounds.first == bounds.end:
                yield shard.number

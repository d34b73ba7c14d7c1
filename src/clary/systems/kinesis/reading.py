"""Read shards: where to begin, what lies there and is not past retention, and what a closed shard became."""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Platform
from clary.kernel.streams import NoSuchStream, Record, StreamError
from clary.kernel.wire import Plain
from clary.systems.kinesis.lookup import invalid, no_shard, no_stream
from clary.systems.kinesis.placing import internal_failure
from clary.systems.kinesis.ranges import children_of
from clary.systems.kinesis.records import Place, Shard, shard_id
from clary.systems.kinesis.sequences import LAST_OFFSET, base_of, read_sequence, sequence
from clary.systems.kinesis.views import View, views_of

MOST_RECORDS = 10_000
MOST_BYTES = 10 * 1024 * 1024


class Batch(NamedTuple):
    """Records in order; reading goes on at the offset `next`. `children` are given at the end of a closed shard."""

    records: list[Record]
    next: int
    behind_ms: int
    size: int
    more: bool
    children: list[Shard] | None


async def shard_of(platform: Platform, view: View, shard: str) -> tuple[View, Shard]:
    """A shard by its id, and the view that it is in. Raises ResourceNotFoundException."""
    found = view.by_id.get(shard)
    if found is None:
        view = await views_of(platform).renew(view)
        found = view.by_id.get(shard)
    if found is None:
        raise no_shard(view.place, shard)
    return view, found


def start_at(
    platform: Platform, view: View, shard: Shard, kind: str, number: str | None, timestamp: float | None
) -> int:
    """The offset that a position names. Blocks. Raises InvalidArgumentException."""
    try:
        if kind == "TRIM_HORIZON":
            return 0
        if kind == "LATEST":
            return platform.streams.bounds(view.storage, shard.id).end
        if kind == "AT_TIMESTAMP":
            return platform.streams.offset_at(view.storage, shard.id, _checked_time(platform, timestamp))
    except NoSuchStream:
        raise no_stream(view.place) from None
    except StreamError as error:
        raise internal_failure() from error
    offset = _offset_of(view.place, shard, kind, number)
    return min(offset + 1, LAST_OFFSET) if kind == "AFTER_SEQUENCE_NUMBER" else offset


async def read_shard(
    platform: Platform, view: View, shard: Shard, offset: int, *, most: int = MOST_RECORDS, most_bytes: int = MOST_BYTES
) -> Batch:
    """What lies at an offset and behind. Raises ResourceNotFoundException when the stream is gone."""
    streams, now_ms = platform.streams, int(platform.clock.now() * 1000)
    horizon_ms = now_ms - view.retention_ms
    try:
        page = await streams.read_async(view.storage, shard.id, offset, most=most, most_bytes=most_bytes)
        if page.records and page.records[0].at_ms < horizon_ms:  # not swept yet
            offset = await asyncio.to_thread(streams.offset_at, view.storage, shard.id, horizon_ms)
            page = await streams.read_async(view.storage, shard.id, offset, most=most, most_bytes=most_bytes)
    except NoSuchStream:
        views_of(platform).forget(view.place)
        raise no_stream(view.place) from None
    except StreamError as error:
        raise internal_failure() from error
    records = page.records
    behind_ms = max(now_ms - records[-1].at_ms, 0) if page.more and records else 0
    size = sum([len(record.data) for record in records])
    children = await _children(platform, view, shard) if page.ended else None
    return Batch(records, page.next, behind_ms, size, page.more, children)


def shown_records(view: View, shard: Shard, records: Sequence[Record]) -> Plain:
    """Records as answers hold them."""
    base = base_of(shard)
    shown = Plain(
        [
            {
                "SequenceNumber": sequence(base, offset, at_ms),
                "ApproximateArrivalTimestamp": at_ms / 1000,
                "Data": data,
                "PartitionKey": key,
            }
            for offset, at_ms, key, data in records
        ]
    )
    if view.automatic or view.encrypted:
        for record in shown:
            if not record["PartitionKey"]:  # it was put without one
                del record["PartitionKey"]
            if view.encrypted:
                record["EncryptionType"] = "KMS"
    return shown


def shown_children(children: Sequence[Shard]) -> list[dict[str, Any]]:
    return [
        {
            "ShardId": child.id,
            "ParentShards": [shard_id(n) for n in (child.parent, child.adjacent_parent) if n is not None],
            "HashKeyRange": {"StartingHashKey": child.start, "EndingHashKey": child.end},
        }
        for child in children
    ]


async def _children(platform: Platform, view: View, shard: Shard) -> list[Shard]:
    """What a shard became whose end was reached."""
    found = children_of(view.shards, shard.number)
    if not found:
        view = await views_of(platform).renew(view)
        found = children_of(view.shards, shard.number)
    if not found:
        raise no_stream(view.place)  # its shards were closed since it is being deleted
    return found


def _checked_time(platform: Platform, timestamp: float | None) -> int:
    if timestamp is None:
        raise invalid("A Timestamp must be given for the type AT_TIMESTAMP.")
    at_ms, now_ms = round(timestamp * 1000), int(platform.clock.now() * 1000)
    if at_ms > now_ms:
        raise invalid(
            "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. "
            f"timestampInMillis: {at_ms}, currentTimestampInMillis: {now_ms}"
        )
    return max(at_ms, 0)


def _offset_of(place: Place, shard: Shard, kind: str, number: str | None) -> int:
    if number is None:
        raise invalid(f"A sequence number must be given for the type {kind}.")
    position = read_sequence(number)
    if position is None:
        raise invalid(
            f"StartingSequenceNumber {number} used in GetShardIterator on shard {shard.id} in stream {place.name} "
            f"under account {place.account} is invalid."
        )
    if (position.shard, position.epoch) != (shard.number, shard.epoch):
        raise invalid(
            f"Invalid StartingSequenceNumber. It encodes {shard_id(position.shard)}, while it was used in a call to a "
            f"shard with {shard.id}"
        )
    return position.offset


def misplaced(place: Place, number: str, now: float) -> AwsError | None:
    """What is wrong with a SequenceNumberForOrdering."""
    position = read_sequence(number)
    if position is not None and position.arrived <= now:
        return None
    return invalid(
        f"ExclusiveMinimumSequenceNumber {number} used in PutRecord on stream {place.name} under account "
        f"{place.account} is invalid."
    )

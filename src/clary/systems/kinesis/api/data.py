"""The hot path: put records, and get them. Nothing here asks the record store while a stream stays as it is."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation
from clary.kernel.wire import Plain
from clary.systems.kinesis.api.consumers import dry_run
from clary.systems.kinesis.iterators import VALID_MS, Iterator, expired, read_iterator
from clary.systems.kinesis.lookup import (
    admit,
    invalid,
    iterator_resource,
    no_shard,
    no_stream,
    place_of,
    stream_resource,
)
from clary.systems.kinesis.meters import exceeded
from clary.systems.kinesis.placing import Found, Wanted, place_all, place_one, slot_of, wanted
from clary.systems.kinesis.reading import (
    MOST_RECORDS,
    misplaced,
    read_shard,
    shard_of,
    shown_children,
    shown_records,
    start_at,
)
from clary.systems.kinesis.records import Place, shard_id
from clary.systems.kinesis.throttle import Throttle, throttle_of
from clary.systems.kinesis.views import Slot, View, views_of

_MOST_BATCH_BYTES = 10 * 1024 * 1024
_now = time.perf_counter


@operation("kinesis", "PutRecord", resource=stream_resource)
async def put_record(
    ctx: Context,
    Data: bytes,
    StreamName: str | None = None,
    PartitionKey: str | None = None,
    ExplicitHashKey: str | None = None,
    SequenceNumberForOrdering: str | None = None,
    StreamARN: str | None = None,
    DryRun: bool | None = None,
) -> dict[str, Any]:
    """Put a record into the shard of its key; it is on disk when this answers."""
    began, platform = _now(), ctx.platform
    view = await _view(ctx, place_of(ctx, StreamName, StreamARN))
    record = wanted(view, PartitionKey, Data, ExplicitHashKey)
    if SequenceNumberForOrdering is not None:
        wrong = misplaced(view.place, SequenceNumberForOrdering, platform.clock.now())
        if wrong is not None:
            raise wrong
    if DryRun:
        raise dry_run()
    throttle = throttle_of(platform) if view.throttled else None
    if throttle is not None:
        shard = slot_of(view, record).id
        if not throttle.may_write(view.storage, shard, len(Data) + len(record.key)):
            raise _throttled(view, shard, "PutRecord")
    found = await place_one(platform, view, record)
    view.meter.put_record(len(Data), _now() - began)
    if view.monitored:
        view.meter.of_shard(found.shard, view.monitored, {"IncomingBytes": len(Data), "IncomingRecords": 1})
    output = {"ShardId": found.shard, "SequenceNumber": found.sequence}
    if view.encrypted:
        output["EncryptionType"] = "KMS"
    return output


@operation("kinesis", "PutRecords", resource=stream_resource)
async def put_records(
    ctx: Context,
    Records: Sequence[Mapping[str, Any]],
    StreamName: str | None = None,
    StreamARN: str | None = None,
    DryRun: bool | None = None,
) -> dict[str, Any]:
    """Put up to 500 records, 10 MiB in all, each into the shard of its key and in their order; they are on disk when
    this answers."""
    began, platform = _now(), ctx.platform
    view = await _view(ctx, place_of(ctx, StreamName, StreamARN))
    records = [wanted(view, each.get("PartitionKey"), each["Data"], each.get("ExplicitHashKey")) for each in Records]
    size = sum([len(record.data) + len(record.key) for record in records])
    if size > _MOST_BATCH_BYTES:
        raise invalid(f"The records of a request have at most {_MOST_BATCH_BYTES} bytes in all; these have {size}.")
    if DryRun:
        raise dry_run()
    throttle = throttle_of(platform) if view.throttled else None
    refused: dict[int, str] = {}
    slots = [slot_of(view, record) for record in records]
    if throttle is not None:
        refused = _refused(throttle, view, records, slots)
    kept = [index for index in range(len(records)) if index not in refused] if refused else range(len(records))
    placed: list[Found] = []
    if kept:
        placed = await place_all(platform, view, [records[index] for index in kept], [slots[index] for index in kept])
    size = sum([len(records[index].data) for index in kept])
    view.meter.put_records(size, len(placed), len(refused), _now() - began)
    if view.monitored or refused:
        _count_shards(
            view, [(found.shard, len(records[n].data)) for n, found in zip(kept, placed, strict=True)], refused
        )
    shown = Plain([{"SequenceNumber": found.sequence, "ShardId": found.shard} for found in placed])
    for index, shard in sorted(refused.items()):
        shown.insert(index, _failure(_too_fast(view, shard)))
    output = {"FailedRecordCount": len(refused), "Records": shown}
    if view.encrypted:
        output["EncryptionType"] = "KMS"
    return output


@operation("kinesis", "GetShardIterator", resource=stream_resource)
def get_shard_iterator(
    ctx: Context,
    ShardId: str,
    ShardIteratorType: str,
    StreamName: str | None = None,
    StartingSequenceNumber: str | None = None,
    Timestamp: float | None = None,
    StreamARN: str | None = None,
    DryRun: bool | None = None,
) -> dict[str, Any]:
    """Where to begin to read a shard; valid for five minutes."""
    place = place_of(ctx, StreamName, StreamARN)
    view = views_of(ctx.platform).find_now(place)
    admit(ctx, place, view.policy, place.arn)
    shard = view.by_id.get(ShardId)
    if shard is None:
        raise no_shard(place, ShardId)
    offset = start_at(ctx.platform, view, shard, ShardIteratorType, StartingSequenceNumber, Timestamp)
    if DryRun:
        raise dry_run()
    now_ms = int(ctx.platform.clock.now() * 1000)
    return {"ShardIterator": str(Iterator(place.account, place.name, view.storage, shard.number, offset, now_ms))}


@operation("kinesis", "GetRecords", resource=iterator_resource)
async def get_records(
    ctx: Context,
    ShardIterator: str,
    Limit: int | None = None,
    StreamARN: str | None = None,
    DryRun: bool | None = None,
) -> dict[str, Any]:
    """The records at an iterator, up to 10,000 or 10 MiB, and the iterator of what follows them."""
    began, platform = _now(), ctx.platform
    iterator = read_iterator(ShardIterator)
    place = Place(iterator.account, ctx.region, iterator.name)
    if StreamARN is not None and place_of(ctx, None, StreamARN) != place:
        raise invalid("The ShardIterator is of another stream than StreamARN names.")
    now_ms = int(platform.clock.now() * 1000)
    if now_ms - iterator.issued_ms > VALID_MS:
        raise expired(iterator, now_ms)
    view = await _view(ctx, place)
    if view.storage != iterator.storage:
        raise no_stream(place)  # that the iterator is of
    view, shard = await shard_of(platform, view, shard_id(iterator.shard))
    if DryRun:
        raise dry_run()
    throttle = throttle_of(platform) if view.throttled else None
    if throttle is not None and not throttle.may_read(view.storage, shard.id):
        raise _throttled(view, shard.id, "GetRecords")
    batch = await read_shard(platform, view, shard, iterator.offset, most=Limit or MOST_RECORDS)
    if throttle is not None:
        throttle.have_read(view.storage, shard.id, batch.size)
    records, size, behind_ms = len(batch.records), batch.size, batch.behind_ms
    view.meter.got_records(size, records, behind_ms, _now() - began)
    if view.monitored:
        counts = {"OutgoingBytes": size, "OutgoingRecords": records, "IteratorAgeMilliseconds": behind_ms}
        view.meter.of_shard(shard.id, view.monitored, counts)
    output: dict[str, Any] = {
        "Records": shown_records(view, shard, batch.records),
        "MillisBehindLatest": batch.behind_ms,
    }
    if batch.children is None:
        output["NextShardIterator"] = str(iterator._replace(offset=batch.next, issued_ms=now_ms))
    else:
        output["ChildShards"] = shown_children(batch.children)
    return output


async def _view(ctx: Context, place: Place) -> View:
    """The view of a stream that the caller may use. Raises ResourceNotFoundException or AccessDeniedException."""
    views = views_of(ctx.platform)
    view = views.known(place) or await views.find(place)
    if view.policy or place.account != ctx.account:
        admit(ctx, place, view.policy, place.arn)
    return view


def _refused(throttle: Throttle, view: View, records: Sequence[Wanted], slots: Sequence[Slot]) -> dict[int, str]:
    """The records of a batch that their shards' limits refuse, each with its shard."""
    return {
        index: slot.id
        for index, (record, slot) in enumerate(zip(records, slots, strict=True))
        if not throttle.may_write(view.storage, slot.id, len(record.data) + len(record.key))
    }


def _count_shards(view: View, placed: Sequence[tuple[str, int]], refused: Mapping[int, str]) -> None:
    """Count a batch by its shards, and what their limits refused."""
    for shard in {shard for shard, _ in placed}:
        sizes = [size for of, size in placed if of == shard]
        view.meter.of_shard(shard, view.monitored, {"IncomingBytes": sum(sizes), "IncomingRecords": len(sizes)})
    if refused:
        view.meter.throttled("PutRecords", len(refused))
    for shard in set(refused.values()):
        count = sum(of == shard for of in refused.values())
        view.meter.of_shard(shard, view.monitored, {exceeded("PutRecords"): count})


def _throttled(view: View, shard: str, operation: str) -> AwsError:
    """Count a call that a limit refuses, and what it is told."""
    view.meter.throttled(operation)
    view.meter.of_shard(shard, view.monitored, {exceeded(operation): 1})
    return AwsError("ProvisionedThroughputExceededException", _too_fast(view, shard))


def _failure(message: str) -> dict[str, Any]:
    return {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": message}


def _too_fast(view: View, shard: str) -> str:
    return f"Rate exceeded for shard {shard} in stream {view.place.name} under account {view.place.account}."

"""Records: put one, or up to 500 at once. They are on disk when this answers.

These run on the gateway's event loop and look at nothing but what they are given: a delivery stream is remembered for
a second, and the carrier counts what came when it reads it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation
from clary.kernel.streams import Entry, NoSuchStream, Placed, StreamError
from clary.systems.firehose.lookup import find_to_put, forget
from clary.systems.firehose.records import KINESIS_SOURCE, SHARD, DeliveryStream
from clary.systems.firehose.refusals import invalid, missing

_MOST_BATCH_BYTES = 4 * 1024 * 1024
_UNAVAILABLE = "ServiceUnavailableException"
_SLOW_DOWN = "Slow down."
_LOOKS = 2

Record = Mapping[str, bytes]


@operation("firehose", "PutRecord", resource="deliverystream/{DeliveryStreamName}")
async def put_record(ctx: Context, DeliveryStreamName: str, Record: Record) -> dict[str, Any]:
    """Take one record."""
    stream, (placed,) = await _append(ctx, DeliveryStreamName, [Record])
    if placed is None:
        raise AwsError(_UNAVAILABLE, _SLOW_DOWN, status=503)
    return {"RecordId": record_id(stream, placed.offset), "Encrypted": stream.is_encrypted}


@operation("firehose", "PutRecordBatch", resource="deliverystream/{DeliveryStreamName}")
async def put_record_batch(ctx: Context, DeliveryStreamName: str, Records: Sequence[Record]) -> dict[str, Any]:
    """Take up to 500 records of 4 MiB together; which of them could not be taken is said of each."""
    if sum([len(record["Data"]) for record in Records]) > _MOST_BATCH_BYTES:
        raise invalid("Records size exceeds 4 MB limit")
    stream, placed = await _append(ctx, DeliveryStreamName, Records)
    return {
        "FailedPutCount": placed.count(None),
        "Encrypted": stream.is_encrypted,
        "RequestResponses": [
            {"ErrorCode": _UNAVAILABLE, "ErrorMessage": _SLOW_DOWN}
            if each is None
            else {"RecordId": record_id(stream, each.offset)}
            for each in placed
        ],
    }


def record_id(stream: DeliveryStream, offset: int) -> str:
    return f"{stream.buffer}{offset:020d}"


async def _append(ctx: Context, name: str, records: Sequence[Record]) -> tuple[DeliveryStream, list[Placed | None]]:
    """Put records into the buffer; where each went, None for one that could not be taken."""
    entries = [Entry(SHARD, "", record["Data"]) for record in records]
    for _ in range(_LOOKS):
        stream = find_to_put(ctx, name).value
        if stream.type == KINESIS_SOURCE:
            raise invalid("This operation is not permitted on KinesisStreamAsSource delivery stream type.")
        try:
            return stream, await ctx.platform.streams.append_async(stream.buffer, entries)
        except NoSuchStream:
            forget(ctx, name)  # it was deleted since it was looked at, and perhaps there is another of its name
        except StreamError as error:
            raise AwsError(_UNAVAILABLE, f"The records could not be stored: {error}. Try again.", status=503) from None
    raise missing(name, ctx.account)

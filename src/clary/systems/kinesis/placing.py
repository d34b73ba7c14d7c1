"""Put records where their keys belong, whatever is being split or merged meanwhile."""

from collections.abc import Sequence
from typing import NamedTuple

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Platform
from clary.kernel.streams import Entry, NoSuchStream, Placed, StreamError
from clary.systems.kinesis.lookup import invalid
from clary.systems.kinesis.ranges import KEYS, hash_of
from clary.systems.kinesis.sequences import sequence
from clary.systems.kinesis.views import Slot, View, views_of

_MAX_TRIES = 30


class Wanted(NamedTuple):
    """A record to be placed: `hashed` is where its key lies, None to have it placed anywhere."""

    key: str
    data: bytes
    hashed: int | None


class Found(NamedTuple):
    """Where a record was placed."""

    shard: str
    sequence: str


def wanted(view: View, key: str | None, data: bytes, explicit: str | None) -> Wanted:
    """The record that a request asks to place. Raises InvalidArgumentException for what is wrong with it."""
    if key is None:
        if not view.automatic:
            raise invalid(
                "PartitionKey is missing: a record needs one unless its stream has the record distribution strategy "
                "AUTO."
            )
        key = ""
    if len(data) + len(key) > view.most_bytes and len(data) + len(key.encode()) > view.most_bytes:
        raise invalid(
            f"A record has {len(data)} bytes of data and a partition key of {len(key.encode())}; stream "
            f"{view.place.name} takes records of at most {view.most_bytes} bytes in all."
        )
    if view.automatic:
        return Wanted(key, data, None)
    return Wanted(key, data, hash_of(key) if explicit is None else explicit_hash(explicit))


def explicit_hash(text: str) -> int:
    """An ExplicitHashKey as a number. Raises InvalidArgumentException."""
    number = int(text)
    if number >= KEYS:
        raise invalid(
            f"Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was {text}"
        )
    return number


def slot_of(view: View, record: Wanted) -> Slot:
    return view.next_slot() if record.hashed is None else view.slot(record.hashed)


async def place_one(platform: Platform, view: View, record: Wanted) -> Found:
    """Place a record; it is durable when this returns. Raises ResourceNotFoundException when the stream is gone."""
    for _ in range(_MAX_TRIES):
        slot = slot_of(view, record)
        try:
            placed = await platform.streams.append_async(view.storage, (Entry(slot.id, record.key, record.data),))
        except NoSuchStream:
            placed = [None]
        except StreamError as error:
            raise internal_failure() from error
        if placed[0] is not None:
            offset, at_ms = placed[0]
            return Found(slot.id, sequence(slot.base, offset, at_ms))
        view = await views_of(platform).renew(view)
    raise _unplaced(view)


async def place_all(platform: Platform, view: View, records: Sequence[Wanted], slots: Sequence[Slot]) -> list[Found]:
    """Place records in their order, each where its slot says or, if that is closed, where its key belongs by then."""
    found: list[Found | None] = [None] * len(records)
    left, where = list(range(len(records))), list(slots)
    for _ in range(_MAX_TRIES):
        entries = [
            Entry(slot.id, records[index].key, records[index].data) for index, slot in zip(left, where, strict=True)
        ]
        placed = await _append(platform, view, entries)
        if placed is not None:
            for index, slot, one in zip(left, where, placed, strict=True):
                if one is not None:
                    found[index] = Found(slot.id, sequence(slot.base, one.offset, one.at_ms))
            left = [index for index in left if found[index] is None]
        if not left:
            return [one for one in found if one is not None]
        view = await views_of(platform).renew(view)
        where = [slot_of(view, records[index]) for index in left]
    raise _unplaced(view)


async def _append(platform: Platform, view: View, entries: Sequence[Entry]) -> list[Placed | None] | None:
    """None when the stream is no more."""
    try:
        return await platform.streams.append_async(view.storage, entries)
    except NoSuchStream:
        return None
    except StreamError as error:
        raise internal_failure() from error


def internal_failure() -> AwsError:
    return AwsError("InternalFailureException", "Internal Service Failure", status=500)


def _unplaced(view: View) -> AwsError:
    return AwsError(
        "InternalFailureException",
        f"The shards of stream {view.place.name} change faster than a record can be placed. Please try again.",
        status=500,
    )

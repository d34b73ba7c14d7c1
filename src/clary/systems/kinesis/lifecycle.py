"""From what a stream's record says to what its storage is, and to the record that says that it is so.

Every change is recorded first, as CREATING, UPDATING or DELETING; then the storage is made to agree; then the record
says ACTIVE, or is gone. Each step may be repeated, by anyone: whoever meets a record that is not ACTIVE, because its
writer was killed or is slower, carries it on.
"""

from collections.abc import Callable

from clary.kernel.rooms import Platform
from clary.kernel.rooms.tags import tags_without
from clary.kernel.store import Conflict, Entry
from clary.kernel.store.contract import Change
from clary.kernel.store.records import Table
from clary.kernel.streams import NoSuchStream
from clary.systems.kinesis.records import (
    ACTIVE,
    CREATING,
    DELETING,
    TOPIC,
    UPDATING,
    Consumer,
    Place,
    Stream,
    Trash,
    consumer_arn,
)

_MAX_TRIES = 50


def place_of_entry(entry: Entry[Stream]) -> Place:
    return Place(entry.account, entry.region, entry.name)


def table_of(platform: Platform, place: Place) -> Table[Stream]:
    return platform.records(Stream).within(place.account, place.region)


def settle(platform: Platform, entry: Entry[Stream]) -> Entry[Stream] | None:
    """Make a stream's storage what its record says. Returns the stream's record then; None when it is deleted."""
    while entry.status != ACTIVE:
        if entry.status == DELETING:
            _delete(platform, entry)
            return None
        _apply(platform, entry)
        try:
            return table_of(platform, place_of_entry(entry)).replace(entry, entry.value, status=ACTIVE)
        except Conflict:
            current = table_of(platform, place_of_entry(entry)).get(entry.name)
            if current is None or current.value.id != entry.value.id:
                return None
            entry = current
    return entry


def change(platform: Platform, place: Place, alter: Callable[[Stream], Stream | None], *, status: str = ACTIVE) -> None:
    """Change a stream by a function of what is stored, which may run more than once; None leaves it as it is.

    `status` is UPDATING for changes of its shards, which are carried out before this returns. Changes of one stream
    wait for each other. Does nothing when the stream is gone.
    """
    table = table_of(platform, place)
    for _ in range(_MAX_TRIES):
        entry = table.get(place.name)
        if entry is not None:
            entry = settle(platform, entry)
        if entry is None:
            return
        value = alter(entry.value)
        if value is None:
            return
        try:
            settle(platform, table.replace(entry, value, status=status))
        except Conflict:
            continue
        return
    raise Conflict(f"stream {place.name} kept changing")


def delete(platform: Platform, place: Place) -> None:
    """Delete a stream and its consumers; its name is free when this returns, its storage soon."""
    table = table_of(platform, place)
    for _ in range(_MAX_TRIES):
        entry = table.get(place.name)
        if entry is None:
            return
        try:
            if entry.status != DELETING:
                entry = table.replace(entry, entry.value, status=DELETING)
        except Conflict:
            continue
        _delete(platform, entry)
        return
    raise Conflict(f"stream {place.name} kept changing")


def _apply(platform: Platform, entry: Entry[Stream]) -> None:
    stream = entry.value
    opened = [shard.id for shard in stream.open_shards]
    if entry.status == CREATING:
        platform.streams.create(stream.id, opened)
    elif entry.status == UPDATING:
        closed = [shard.id for shard in stream.shards if shard.closed_ms is not None]
        platform.streams.reshard(stream.id, closed, opened)


def _delete(platform: Platform, entry: Entry[Stream]) -> None:
    """Have the storage refuse what others still send, forget the records, and leave the storage to the reconciler."""
    place, stream = place_of_entry(entry), entry.value
    try:
        platform.streams.reshard(stream.id, [shard.id for shard in stream.open_shards], [])
    except NoSuchStream:
        platform.streams.create(stream.id, [])  # whoever was creating it must not find it open afterwards
    trash = platform.records(Trash).within(place.account, place.region)
    for _ in range(_MAX_TRIES):
        also: list[Change] = [*_consumers_without(platform, place, stream), *tags_without(platform, place.arn)]
        if trash.get(stream.id) is None:
            also.append(trash.insertion(stream.id, Trash(place.name)))
        try:
            table_of(platform, place).delete(place.name, version=entry.version, also=also)
        except Conflict:
            current = table_of(platform, place).get(place.name)
            if current is None or current.value.id != stream.id:
                break
            entry = current
            continue
        break
    platform.wake(TOPIC)


def _consumers_without(platform: Platform, place: Place, stream: Stream) -> list[Change]:
    """The changes that forget a stream's consumers and their tags."""
    table = platform.records(Consumer).within(place.account, place.region)
    changes: list[Change] = []
    for entry in table.all(parent=stream.id):
        changes.append(table.deletion(entry.name))
        changes += tags_without(platform, consumer_arn(place, entry.value))
    return changes

"""What a process knows of the streams it serves, so that a put or a get asks no record.

A view may be a second old. It is never wrong about where a record may go: the storage refuses what goes to a shard
that is closed or a stream that is gone, and whoever is refused renews the view and places the record again.
"""

import asyncio
from bisect import bisect_left
from typing import NamedTuple

from clary.kernel.rooms import OnePerPlatform, Platform
from clary.kernel.store import Entry
from clary.systems.kinesis.lifecycle import place_of_entry, settle, table_of
from clary.systems.kinesis.lookup import no_stream
from clary.systems.kinesis.meters import StreamMeter, meters_of
from clary.systems.kinesis.records import AUTO, Place, Shard, Stream
from clary.systems.kinesis.sequences import base_of

_FRESH_SECONDS = 1.0
_MOST_VIEWS = 10_000


class Slot(NamedTuple):
    """An open shard as a writer needs it."""

    id: str
    base: int


class View:
    """One stream as it was when its record had this `stamp`."""

    __slots__ = (
        "_lasts",
        "_spread",
        "automatic",
        "by_id",
        "checked_at",
        "encrypted",
        "meter",
        "monitored",
        "most_bytes",
        "place",
        "policy",
        "retention_ms",
        "shards",
        "slots",
        "stamp",
        "storage",
        "throttled",
    )

    def __init__(self, entry: Entry[Stream], checked_at: float, meter: StreamMeter) -> None:
        stream = entry.value
        opened = sorted(stream.open_shards, key=lambda shard: shard.first)
        self.place = place_of_entry(entry)
        self.stamp = entry.version, entry.created_at, entry.parent
        self.checked_at = checked_at
        self.storage = stream.id
        self.shards = stream.shards
        self.by_id: dict[str, Shard] = {shard.id: shard for shard in stream.shards}
        self.slots = [Slot(shard.id, base_of(shard)) for shard in opened]
        self.most_bytes = stream.most_kib * 1024
        self.retention_ms = stream.retention_hours * 3_600_000
        self.encrypted = bool(stream.key_id)
        self.monitored = frozenset(stream.monitored)
        self.meter = meter
        self.automatic = stream.distribution == AUTO
        self.throttled = stream.mode == "PROVISIONED"
        self.policy = stream.policy
        self._lasts = [shard.last for shard in opened]
        self._spread = 0

    def slot(self, key: int) -> Slot:
        """The open shard that takes a hash key."""
        return self.slots[bisect_left(self._lasts, key)]

    def next_slot(self) -> Slot:
        """The open shards in turn, for streams that are spread without regard to keys."""
        self._spread = (self._spread + 1) % len(self.slots)
        return self.slots[self._spread]


class Views:
    """The views of one platform. For threads and event loops alike."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._clock = platform.clock
        self._known: dict[Place, View] = {}

    def known(self, place: Place) -> View | None:
        """The view of a stream, if there is one that need not be looked at again."""
        view = self._known.get(place)
        return view if view is not None and self._clock.monotonic() - view.checked_at < _FRESH_SECONDS else None

    async def find(self, place: Place) -> View:
        """The view of a stream. Raises ResourceNotFoundException."""
        known = self.known(place)
        if known is not None:
            return known
        old = self._known.get(place)
        if old is not None:
            old.checked_at = self._clock.monotonic()  # others need not look as well
        return await asyncio.to_thread(self._load, place)

    def find_now(self, place: Place) -> View:
        """`find` from a thread, as the stream is now."""
        return self._load(place)

    async def renew(self, view: View) -> View:
        """A view that is newer than this one, or has been compared with the record just now. Raises
        ResourceNotFoundException."""
        known = self._known.get(view.place)
        if known is not None and known.stamp != view.stamp:
            return known
        return await asyncio.to_thread(self._load, view.place)

    def forget(self, place: Place) -> None:
        """Look at a stream's record when it is asked for next."""
        self._known.pop(place, None)

    def _load(self, place: Place) -> View:
        now = self._clock.monotonic()
        table, known = table_of(self._platform, place), self._known.get(place)
        if known is not None and table.stamp(place.name) == known.stamp:
            known.checked_at = now
            return known
        entry = table.get(place.name)
        if entry is not None:
            entry = settle(self._platform, entry)
        if entry is None:
            self._known.pop(place, None)
            raise no_stream(place)
        if len(self._known) >= _MOST_VIEWS:
            self._known.clear()
        view = self._known[place] = View(entry, now, meters_of(self._platform).of(place))
        return view


views_of = OnePerPlatform(Views)
"""The views that a platform's threads and loops share."""

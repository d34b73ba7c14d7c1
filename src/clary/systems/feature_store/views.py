"""What a process knows of the feature groups it serves, so that a put or a get asks no record.

A view may be a second old: a feature that another process added is known a second later. It is never wrong about
where a record may go: the online store refuses what goes to a group that is gone.
"""

import asyncio
from typing import NamedTuple

from clary.kernel.rooms import OnePerPlatform, Platform
from clary.kernel.store import Entry
from clary.kernel.store.records import Table
from clary.systems.feature_store.definitions import seconds_of
from clary.systems.feature_store.lookup import Place, invalid, no_group
from clary.systems.feature_store.records import CREATED, DELETING, FeatureGroup

_FRESH_SECONDS = 1.0
_MOST_VIEWS = 10_000


class Feature(NamedTuple):
    """A feature's type; `collection` is empty for a single value, `dimension` 0 where there is none."""

    type: str
    collection: str
    dimension: int


class View:
    """One feature group as it was when its record had this `stamp`."""

    __slots__ = (
        "arn",
        "checked_at",
        "event_time",
        "event_time_is_text",
        "features",
        "identifier",
        "offline",
        "online",
        "place",
        "stamp",
        "storage",
        "ttl_seconds",
        "uid",
    )

    def __init__(self, entry: Entry[FeatureGroup], checked_at: float) -> None:
        group = entry.value
        self.place = Place(entry.account, entry.region, entry.name)
        self.stamp = entry.version, entry.created_at, entry.parent
        self.checked_at = checked_at
        self.uid = group.uid
        self.arn = group.arn
        self.identifier = group.identifier
        self.event_time = group.event_time
        self.features = {
            each["FeatureName"]: Feature(
                each["FeatureType"],
                each.get("CollectionType", ""),
                each.get("CollectionConfig", {}).get("VectorConfig", {}).get("Dimension", 0),
            )
            for each in group.definitions
        }
        self.event_time_is_text = self.features[group.event_time].type == "String"
        self.online = group.online is not None
        self.offline = group.offline is not None
        self.storage = (group.online or {}).get("StorageType", "")
        ttl = (group.online or {}).get("TtlDuration")
        self.ttl_seconds = seconds_of(ttl) if ttl else 0


class Views:
    """The views of one platform. For threads and event loops alike."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._clock = platform.clock
        self._known: dict[Place, View] = {}

    def known(self, place: Place) -> View | None:
        """The view of a group, if there is one that need not be looked at again."""
        view = self._known.get(place)
        return view if view is not None and self._clock.monotonic() - view.checked_at < _FRESH_SECONDS else None

    async def find(self, place: Place) -> View:
        """The view of a group. Raises ResourceNotFound, and ValidationError for one that is not ready."""
        known = self.known(place)
        if known is not None:
            return known
        old = self._known.get(place)
        if old is not None:
            old.checked_at = self._clock.monotonic()  # others need not look as well
        return await asyncio.to_thread(self._load, place)

    def find_now(self, place: Place) -> View:
        """`find` from a thread, as the group is now."""
        return self._load(place)

    def forget(self, place: Place) -> None:
        """Look at a group's record when it is asked for next."""
        self._known.pop(place, None)

    def _load(self, place: Place) -> View:
        now = self._clock.monotonic()
        table, known = table_of(self._platform, place), self._known.get(place)
        if known is not None and table.stamp(place.name) == known.stamp:
            known.checked_at = now
            return known
        entry = table.get(place.name)
        if entry is None or entry.status == DELETING:
            self._known.pop(place, None)
            raise no_group(place.name)
        if entry.status != CREATED:
            raise invalid(f"FeatureGroup {place.name} is in status {entry.status}: it must be {CREATED}.")
        if len(self._known) >= _MOST_VIEWS:
            self._known.clear()
        view = self._known[place] = View(entry, now)
        return view


def table_of(platform: Platform, place: Place) -> Table[FeatureGroup]:
    return platform.records(FeatureGroup).within(place.account, place.region)


views_of = OnePerPlatform(Views)
"""The views that a platform's threads and loops share."""

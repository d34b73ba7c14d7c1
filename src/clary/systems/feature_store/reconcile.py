"""Bring feature groups from Creating to Created and from Deleting to nothing, and clear expired records away.

In the carrier, bring what was put from the offline log to the offline stores.
"""

from clary.kernel.online import Farewell, Item
from clary.kernel.rooms import CARRIER, Platform, reconciler
from clary.systems.feature_store.incoming import written_event_time
from clary.systems.feature_store.lifecycle import settle
from clary.systems.feature_store.lookup import Place
from clary.systems.feature_store.offline.draining import DRAINING_TOPIC, drain_all, drain_group
from clary.systems.feature_store.records import CREATING, DELETING, TOPIC, UPDATING, FeatureGroup
from clary.systems.feature_store.stores import log_of, store_of
from clary.systems.feature_store.views import View, table_of
from clary.systems.feature_store.writing import deletion_entry

_EVERY_SECONDS = 5.0
_DRAINED_EVERY_SECONDS = 1.0
_CLEARED_AT_ONCE = 50_000


@reconciler(TOPIC, every_seconds=_EVERY_SECONDS)
def reconcile(platform: Platform, key: str | None) -> float | None:
    """The group of a key `account/region/name`; or all that are under way, and what has expired."""
    if key is not None:
        account, region, name = key.split("/")
        entry = table_of(platform, Place(account, region, name)).get(name)
        if entry is not None:
            settle(platform, entry)
        return None
    groups = platform.records(FeatureGroup)
    for entry in [*groups.all(status=(CREATING, DELETING)), *groups.all(parent=UPDATING)]:
        settle(platform, entry)
    store = store_of(platform)
    store.recover()
    cleared = store.clear_expired(_CLEARED_AT_ONCE, _farewells(platform))
    return 0.01 if cleared >= _CLEARED_AT_ONCE else None


@reconciler(DRAINING_TOPIC, every_seconds=_DRAINED_EVERY_SECONDS, process=CARRIER)
def drain(platform: Platform, key: str | None) -> float | None:
    """Write what is due of the log of a key's group; or find out which groups have something that is."""
    if key is not None:
        return drain_group(platform, log_of(platform), key)
    drain_all(platform, log_of(platform))
    return None


def _farewells(platform: Platform) -> Farewell:
    """What the offline store is told of records that expired: that they were deleted, at the time they expired."""
    now, offline = platform.clock.now(), dict[str, View]()

    def farewell(group: str, key: str, item: Item) -> bytes | None:
        if not offline:  # nothing is looked up while nothing expires
            found = [each for each in platform.records(FeatureGroup).all() if each.value.offline is not None]
            offline.update({each.value.uid: View(each, now) for each in found})
        view = offline.get(group)
        return None if view is None else deletion_entry(view, key, written_event_time(view, item.expires), now)

    return farewell

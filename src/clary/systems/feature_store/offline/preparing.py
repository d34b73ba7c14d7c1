"""Have the offline store of a group ready to be written, when the group is made and when it gets new features."""

from clary.kernel.kv import KeyValue
from clary.kernel.rooms import Platform
from clary.kernel.store import Entry
from clary.systems.feature_store import offline_log
from clary.systems.feature_store.offline import catalog
from clary.systems.feature_store.offline.draining import store_of
from clary.systems.feature_store.offline.store import Blocked, check
from clary.systems.feature_store.records import FeatureGroup

__all__ = ["Blocked", "is_drained", "prepare"]


def prepare(platform: Platform, entry: Entry[FeatureGroup]) -> None:
    """Check that the store can be written, and have its table there with a column for each feature.

    May be repeated. Raises Blocked, which says why it cannot be.
    """
    if entry.value.offline is None:
        return
    store = store_of(entry)
    check(platform, store)
    if store.is_iceberg:
        from clary.systems.feature_store.offline import iceberg

        iceberg.ensure(platform, store)
    else:
        catalog.ensure(platform, store)


def is_drained(kv: KeyValue, entry: Entry[FeatureGroup]) -> bool:
    """Whether all that was put into a group is in its offline store, if it has one."""
    return entry.value.offline is None or not offline_log.read(kv, entry.value.uid, 1)

"""From what a feature group's record says to what its stores are, and to the record that says that it is so.

A group is recorded as Creating, Deleting or being updated; then its stores are made, cleared or widened; then the
record says Created or CreateFailed, how the update went, or is gone. Each step may be repeated, by anyone.
"""

from dataclasses import replace

from clary.kernel.rooms import Platform
from clary.kernel.rooms.tags import tags_without
from clary.kernel.store import Conflict, Entry
from clary.kernel.store.contract import Change
from clary.systems.feature_store.lookup import Place
from clary.systems.feature_store.offline.draining import DRAINING_TOPIC
from clary.systems.feature_store.offline.preparing import Blocked, is_drained, prepare
from clary.systems.feature_store.records import (
    CREATE_FAILED,
    CREATED,
    CREATING,
    DELETING,
    UPDATING,
    FeatureGroup,
    FeatureMetadata,
)
from clary.systems.feature_store.stores import log_of, store_of
from clary.systems.feature_store.views import table_of, views_of


def settle(platform: Platform, entry: Entry[FeatureGroup]) -> None:
    """Make a group's stores what its record says. Does nothing where another is faster."""
    place = Place(entry.account, entry.region, entry.name)
    try:
        if entry.status == CREATING:
            _create(platform, place, entry)
        elif entry.status == DELETING:
            _delete(platform, place, entry)
        elif entry.parent == UPDATING:
            _widen(platform, place, entry)
    except Conflict:
        pass  # whoever wrote it wakes the reconciler
    views_of(platform).forget(place)


def _create(platform: Platform, place: Place, entry: Entry[FeatureGroup]) -> None:
    store_of(platform).open(entry.value.uid)
    status, group = CREATED, entry.value
    try:
        prepare(platform, entry)
    except Blocked as blocked:
        status, group = CREATE_FAILED, replace(group, failure_reason=str(blocked)[:1024])
    table_of(platform, place).replace(entry, group, status=status)


def _widen(platform: Platform, place: Place, entry: Entry[FeatureGroup]) -> None:
    """Have the offline store know of new features."""
    done = {"Status": "Successful"}
    try:
        prepare(platform, entry)
    except Blocked as blocked:
        done = {"Status": "Failed", "FailureReason": str(blocked)[:1024]}
    table_of(platform, place).replace(entry, replace(entry.value, last_update=done), parent="")


def _delete(platform: Platform, place: Place, entry: Entry[FeatureGroup]) -> None:
    store_of(platform).drop(entry.value.uid)
    if not is_drained(log_of(platform), entry):
        platform.wake(DRAINING_TOPIC, "/".join(place))  # which wakes this again when all is in the offline store
        return
    about = platform.records(FeatureMetadata).within(place.account, place.region)
    also: list[Change] = [about.deletion(each.name) for each in about.all(parent=entry.value.uid)]
    also += tags_without(platform, entry.value.arn)
    table_of(platform, place).delete(entry.name, version=entry.version, also=also)

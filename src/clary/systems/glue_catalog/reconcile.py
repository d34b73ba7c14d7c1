"""Clear away what deleted databases and tables left: tables, versions and partitions that nobody can reach any more;
and have crawlers crawl, in the carrier."""

from dataclasses import replace
from typing import Any

from clary.kernel.rooms import CARRIER, Platform, reconciler
from clary.kernel.store import Conflict, Entry
from clary.systems.glue_catalog.crawling.fleet import fleet_of
from clary.systems.glue_catalog.crawling.starting import begin, next_due
from clary.systems.glue_catalog.records import (
    CRAWLERS_TOPIC,
    READY,
    ColumnStatistics,
    Crawler,
    Forgotten,
    Function,
    Partition,
    Table,
    TableVersion,
)

# Whoever had found a table when it was deleted may still add to it: until then, look again.
_LOOK_AGAIN_SECONDS = 300.0
_AT_ONCE = 500
_AT_ONCE_AGAIN = 0.1


@reconciler("glue_catalog", every_seconds=60.0)
def reconcile(platform: Platform, key: str | None) -> None:
    """Clear away what lies under forgotten ids, and after a while the memory of them."""
    for entry in platform.records(Forgotten).all():
        _clear(platform, entry)
        if entry.value.deleted_at + _LOOK_AGAIN_SECONDS < platform.clock.now():
            platform.records(Forgotten).within(entry.account, entry.region).delete(entry.name)


def _clear(platform: Platform, forgotten: Entry[Forgotten]) -> None:
    def within(cls: type[Any]) -> Any:
        return platform.records(cls).within(forgotten.account, forgotten.region)

    for cls in (TableVersion, Partition, ColumnStatistics, Function):
        while names := [entry.name for entry in within(cls).page(_AT_ONCE, parent=forgotten.name)]:
            _delete(platform, within(cls), names)
    for entry in within(Table).all(parent=forgotten.name):
        within(Forgotten).put(entry.value.uid, Forgotten(platform.clock.now()))
        within(Table).delete(entry.name)
        platform.wake("glue_catalog")


def _delete(platform: Platform, table: Any, names: list[str]) -> None:
    """Remove records in one commit, or one by one where another took some away meanwhile."""
    try:
        platform.store.apply([table.deletion(name) for name in names])
    except Conflict:
        for name in names:
            table.delete(name)


@reconciler(CRAWLERS_TOPIC, every_seconds=30.0, process=CARRIER)
def crawl(platform: Platform, key: str | None) -> float | None:
    """Have the crawlers crawl that are to, and start those whose schedule is due; return when the next one is."""
    if key is not None:
        account, region, name = key.split("/", 2)
        found = platform.records(Crawler).within(account, region).get(name)
        return _crawl(platform, found) if found is not None else None
    waits = [_crawl(platform, entry) for entry in platform.records(Crawler).all()]
    return min((seconds for seconds in waits if seconds is not None), default=None)


def _crawl(platform: Platform, entry: Entry[Crawler]) -> float | None:
    """One step; what is to come next is due in so many seconds."""
    if entry.status != READY:
        fleet_of(platform).ensure(entry)
    due_at, now = entry.value.due_at, platform.clock.now()
    if not due_at:
        return None
    if due_at > now:
        return due_at - now
    following = next_due(entry.value.schedule, now)
    try:
        if entry.status == READY:
            begin(platform, entry, following)
        else:  # it crawls still: this time is skipped
            table = platform.records(Crawler).within(entry.account, entry.region)
            table.replace(entry, replace(entry.value, due_at=following))
    except Conflict:
        return _AT_ONCE_AGAIN
    return following - now

"""Clear away what deleted databases and tables left: tables, versions and partitions that nobody can reach any more."""

from typing import Any

from clary.kernel.rooms import Platform, reconciler
from clary.kernel.store import Conflict, Entry
from clary.systems.glue_catalog.records import Forgotten, Partition, Table, TableVersion

# Whoever had found a table when it was deleted may still add to it: until then, look again.
_LOOK_AGAIN_SECONDS = 300.0
_AT_ONCE = 500


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

    for cls in (TableVersion, Partition):
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

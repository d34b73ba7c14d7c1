"""Writing tables: a new version over the last one, and forgetting one with all that belongs to it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from clary.kernel.rooms import Context
from clary.kernel.store import Conflict, Entry
from clary.kernel.store.contract import Change
from clary.systems.glue_catalog.lookup import modified_meanwhile
from clary.systems.glue_catalog.records import Forgotten, Partition, Table, TableVersion, version_key


def past_version(ctx: Context, entry: Entry[Table]) -> Change:
    """The change that keeps the version that a table is at, once another takes its place."""
    table = entry.value
    return ctx.records(TableVersion).insertion(
        version_key(table.uid, table.number),
        TableVersion(table.number, table.input, entry.updated_at),
        parent=table.uid,
    )


def write_version(ctx: Context, entry: Entry[Table], given: dict[str, Any], *, archived: bool) -> None:
    """Make `given` the next version of a table. Raises Conflict when someone else wrote since it was read."""
    table = entry.value
    following = replace(table, input=given, number=table.number + 1)
    ctx.records(Table).replace(entry, following, also=[past_version(ctx, entry)] if archived else [])


def forget_table(ctx: Context, find: Callable[[], Entry[Table]]) -> None:
    """Remove the table that `find` finds; its versions and partitions are gone at once, and cleared away after."""
    for _ in range(20):
        entry = find()
        forgotten = ctx.records(Forgotten).insertion(entry.value.uid, Forgotten(ctx.platform.clock.now()))
        try:
            ctx.records(Table).delete(entry.name, version=entry.version, also=[forgotten])
        except Conflict:
            continue
        ctx.platform.wake("glue_catalog")
        return
    raise modified_meanwhile("Delete of the table")


def has_partitions(ctx: Context, entry: Entry[Table]) -> bool:
    return next(ctx.records(Partition).scan(parent=entry.value.uid), None) is not None

"""Have queries run that wait, stop those that are to stop, and forget those that are old. Runs in the carrier."""

from clary.kernel.rooms import CARRIER, Platform, reconciler
from clary.kernel.store import Entry
from clary.systems.athena.records import HISTORY_SECONDS, RUNNING, TOPIC, UNFINISHED, QueryExecution, TableWrite

_AT_ONCE = 500


@reconciler(TOPIC, every_seconds=10.0, process=CARRIER)
def reconcile(platform: Platform, key: str | None) -> None:
    """Offer one query to the runner, or all that have not ended: those first that had begun when they were cut off."""
    from clary.systems.athena.running.runner import runner_of

    table = platform.records(QueryExecution)
    if key is not None:
        account, region, name = key.split("/")
        entry = table.within(account, region).get(name)
        if entry is not None and entry.status in UNFINISHED:
            runner_of(platform).offer(entry)
        return
    waiting = table.all(status=UNFINISHED, sort="created_at")
    if waiting or _is_used(platform):
        runner_of(platform)  # so that the next query finds it ready
    for entry in sorted(waiting, key=lambda each: each.status != RUNNING):
        runner_of(platform).offer(entry)


def _is_used(platform: Platform) -> bool:
    """Whether somebody has queries: who has none need not have engines ready for them."""
    return bool(platform.records(QueryExecution).page(1).entries)


@reconciler("athena-history", every_seconds=3600.0, process=CARRIER)
def forget(platform: Platform, key: str | None) -> None:
    """Forget what has ended long ago."""
    table = platform.records(QueryExecution)
    old = platform.clock.now() - HISTORY_SECONDS
    while found := list(table.page(_AT_ONCE, sort="created_at", created_before=old)):
        gone = [entry for entry in found if entry.status not in UNFINISHED]
        for entry in gone:
            table.within(entry.account, entry.region).delete(entry.name)
        if len(gone) < len(found):
            break
    writes = platform.records(TableWrite)
    while past := list(writes.page(_AT_ONCE, sort="created_at", created_before=old)):
        ended = [write for write in past if not _is_unfinished(platform, write)]
        for write in ended:
            writes.within(write.account, write.region).delete(write.name)
        if len(ended) < len(past):
            break


def _is_unfinished(platform: Platform, write: Entry[TableWrite]) -> bool:
    """Whether the query is to run again that a record is for: then it needs it, however long the server was down."""
    execution = platform.records(QueryExecution).within(write.account, write.region).get(write.name)
    return execution is not None and execution.status in UNFINISHED

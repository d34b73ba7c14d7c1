"""Move entries from the offline log to the offline store, each once, whatever is killed on the way.

A flush takes the oldest entries of a group once the first of them has waited for the buffer's time. It is noted; then
its files are written, and the catalog is told of new partitions; then the entries are forgotten together with the note.
What was cut off is repeated to the same files. A store that cannot be written keeps its entries; its group is Blocked
until a flush succeeds, which is tried again and again, more and more seldom.
"""

import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson

from clary.kernel.kv import KeyValue
from clary.kernel.rooms import OnePerPlatform, Platform
from clary.kernel.store import Entry
from clary.systems.feature_store import offline_log
from clary.systems.feature_store.offline import catalog, files, flushes
from clary.systems.feature_store.offline.flushes import Flush
from clary.systems.feature_store.offline.store import Blocked, Store, put
from clary.systems.feature_store.records import DELETING, TOPIC, FeatureGroup

DRAINING_TOPIC = "feature_store_draining"
ACTIVE, BLOCKED = "Active", "Blocked"

_AT_ONCE = 0.0
_ENTRIES_AT_ONCE = 20_000
_FIRST_REST_SECONDS, _LONGEST_REST_SECONDS = 2.0, 60.0
_LONGEST_REASON = 1024
_KEY = "{0.account}/{0.region}/{0.name}"

_log = logging.getLogger("clary.features")


class _Rests:
    """Until when stores that are blocked are let be. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[str, tuple[float, float]] = {}

    def left(self, uid: str, now: float) -> float:
        """The seconds that are left of a rest."""
        with self._lock:
            return max(0.0, self._until.get(uid, (0.0, 0.0))[0] - now)

    def begin(self, uid: str, now: float) -> float:
        """Rest, twice as long as the last time; return how long."""
        with self._lock:
            last = self._until.get(uid, (0.0, 0.0))[1]
            seconds = min(_LONGEST_REST_SECONDS, 2 * last or _FIRST_REST_SECONDS)
            self._until[uid] = now + seconds, seconds
            return seconds

    def end(self, uid: str) -> None:
        with self._lock:
            self._until.pop(uid, None)


_rests = OnePerPlatform(lambda _: _Rests())


def drain_all(platform: Platform, kv: KeyValue) -> None:
    """Have each group drained whose log holds something due; forget what the logs of deleted groups hold."""
    waiting = offline_log.groups(kv)
    if not waiting:
        return
    entries = {entry.value.uid: entry for entry in platform.records(FeatureGroup).all()}
    for uid in waiting:
        entry = entries.get(uid)
        if entry is None:
            flushes.drop(kv, uid)
        elif not _seconds_until_due(platform, kv, entry):
            platform.wake(DRAINING_TOPIC, _KEY.format(entry))


def drain_group(platform: Platform, kv: KeyValue, key: str) -> float | None:
    """Flush what is due of the log of the group `account/region/name`; return the seconds after which more is."""
    account, region, name = key.split("/")
    table = platform.records(FeatureGroup).within(account, region)
    while True:
        entry = table.get(name)
        if entry is None:
            return None
        due_in = _seconds_until_due(platform, kv, entry)
        if due_in is None or due_in > 0:
            return due_in
        uid = entry.value.uid
        flush, entries = _begin(platform, kv, uid)
        # Read after the entries: each was put into a group that had its features by then.
        entry = table.get(name)
        if entry is None or entry.value.uid != uid:
            return _AT_ONCE
        try:
            _write(platform, store_of(entry), flush, entries)
        except Blocked as blocked:
            return _blocked(platform, kv, entry, str(blocked))
        flushes.finish(kv, uid, flush)
        _rests(platform).end(uid)
        _say(platform, entry, {"Status": ACTIVE})
        if entry.status == DELETING:
            platform.wake(TOPIC, key)


def store_of(entry: Entry[FeatureGroup]) -> Store:
    """The offline store of a group that has one."""
    group = entry.value
    assert group.offline is not None
    return Store(
        uid=group.uid,
        account=entry.account,
        region=entry.region,
        role=group.role,
        definitions=group.definitions,
        event_time=group.event_time,
        config=group.offline,
    )


def _seconds_until_due(platform: Platform, kv: KeyValue, entry: Entry[FeatureGroup]) -> float | None:
    """The time until the oldest entry is to be written, 0 when it is due; None without entries."""
    uid, now = entry.value.uid, platform.clock.now()
    oldest = offline_log.read(kv, uid, 1)
    if not oldest:
        return None
    if entry.status == DELETING:
        return 0.0  # one last try
    rest = _rests(platform).left(uid, platform.clock.monotonic())
    if rest or flushes.under_way(kv, uid) is not None:
        return rest
    waited = now - orjson.loads(oldest[0][1])["a"]
    buffered = platform.settings.features_buffer_seconds
    # A clock that was set back makes no entry wait for longer than the buffer does.
    return 0.0 if waited < 0 or waited >= buffered else buffered - waited


def _begin(platform: Platform, kv: KeyValue, uid: str) -> tuple[Flush, Sequence[dict[str, Any]]]:
    """The flush that was cut off, or a new one; and its entries."""
    found = offline_log.read(kv, uid, _ENTRIES_AT_ONCE)
    flush = flushes.under_way(kv, uid)
    if flush is None:
        flush = flushes.begin(kv, uid, [number for number, _ in found], platform.clock.now())
    return flush, [orjson.loads(data) for number, data in found if number <= flush.through]


def _write(platform: Platform, store: Store, flush: Flush, entries: Sequence[dict[str, Any]]) -> None:
    """Have the entries in the store, whether or not some are there already. Raises Blocked."""
    try:
        if store.is_iceberg:
            from clary.systems.feature_store.offline import iceberg

            iceberg.append(platform, store, flush, entries)
            return
        partitions = []
        for part in files.parts_of(store, entries):
            data = files.parquet(store, part.entries, flush.write_time)
            put(platform, store, part.path(store, flush), data)
            partitions.append(part.partition)
    except ImportError as error:
        raise Blocked(f"{error.name} is not installed: pip install 'clary[data]', and start Clary again.") from None
    except (ValueError, OverflowError) as error:
        raise Blocked(f"A record cannot be written as its features are defined: {error}") from None
    catalog.add_partitions(platform, store, partitions)


def _blocked(platform: Platform, kv: KeyValue, entry: Entry[FeatureGroup], reason: str) -> float | None:
    """Keep the entries for another try; those of a group that is being deleted have no other."""
    if entry.status == DELETING:
        _log.warning("what was still to be written of the deleted %s is given up: %s", entry.value.arn, reason)
        flushes.drop(kv, entry.value.uid)
        platform.wake(TOPIC, _KEY.format(entry))
        return None
    _say(platform, entry, {"Status": BLOCKED, "BlockedReason": reason[:_LONGEST_REASON]})
    return _rests(platform).begin(entry.value.uid, platform.clock.monotonic())


def _say(platform: Platform, entry: Entry[FeatureGroup], status: dict[str, str]) -> None:
    """Have the record show how the offline store is."""

    def change(group: FeatureGroup) -> FeatureGroup | None:
        if group.uid != entry.value.uid or group.offline_status == status:
            return None
        return replace(group, offline_status=status)

    if entry.value.offline_status != status:
        platform.records(FeatureGroup).within(entry.account, entry.region).update(entry.name, change)

"""Have delivery streams delivered, and take away what belongs to deleted ones. Runs in the carrier."""

import shutil
from dataclasses import replace

from clary.kernel.kv import after_prefix
from clary.kernel.rooms import CARRIER, Platform, reconciler
from clary.kernel.rooms.tags import tags_without
from clary.kernel.store import Conflict, Entry
from clary.systems.firehose.delivery import ledger, reader
from clary.systems.firehose.delivery.fleet import fleet_of
from clary.systems.firehose.delivery.worker import spool_folder
from clary.systems.firehose.destinations import warehouse_notes
from clary.systems.firehose.records import (
    ACTIVE,
    CREATING,
    DELETING,
    DISABLING,
    ENABLED,
    ENABLING,
    KV_DOMAIN,
    SHARD,
    TOPIC,
    DeliveryStream,
    stream_arn,
)

_AT_ONCE = 0.0


@reconciler(TOPIC, every_seconds=10.0, process=CARRIER)
def reconcile(platform: Platform, key: str | None) -> float | None:
    """Bring one delivery stream, or all, to what is asked of them."""
    table = platform.records(DeliveryStream)
    if key is not None:
        account, region, name = key.split("/", 2)
        found = table.within(account, region).get(name)
        return _drive(platform, found) if found is not None else None
    kept = _kept(platform)
    entries = table.all()
    again = [_drive(platform, entry) for entry in entries]
    buffers = {entry.value.buffer for entry in entries}
    fleet_of(platform).retain(buffers)
    for buffer in kept - buffers:
        _forget(platform, buffer)  # what a worker wrote while its delivery stream was being deleted
    return min((each for each in again if each is not None), default=None)


def _drive(platform: Platform, entry: Entry[DeliveryStream]) -> float | None:
    """One step; what is to come next is due in so many seconds."""
    try:
        if entry.status == DELETING:
            _delete(platform, entry)
            return None
        if entry.status == CREATING:
            platform.streams.create(entry.value.buffer, [SHARD])
        entry = _settled(platform, entry)
    except Conflict:
        return _AT_ONCE  # somebody changed it: look again
    fleet_of(platform).ensure(entry)
    return None


def _settled(platform: Platform, entry: Entry[DeliveryStream]) -> Entry[DeliveryStream]:
    """A delivery stream that is active, its encryption what was asked for."""
    encryption = entry.value.encryption
    if encryption.get("Status") == ENABLING:
        encryption = {**encryption, "Status": ENABLED}
    elif encryption.get("Status") == DISABLING:
        encryption = {}
    if entry.status == ACTIVE and encryption == entry.value.encryption:
        return entry
    table = platform.records(DeliveryStream).within(entry.account, entry.region)
    return table.replace(entry, replace(entry.value, encryption=encryption), status=ACTIVE)


def _delete(platform: Platform, entry: Entry[DeliveryStream]) -> None:
    buffer = entry.value.buffer
    fleet_of(platform).end(buffer)
    platform.streams.delete(buffer)
    _forget(platform, buffer)
    table = platform.records(DeliveryStream).within(entry.account, entry.region)
    table.delete(entry.name, version=entry.version, also=tags_without(platform, stream_arn(entry)))


def _kept(platform: Platform) -> set[str]:
    """The buffers of which something is kept beside their records."""
    kv = platform.kv(KV_DOMAIN)
    prefixes = (ledger.PREFIX, reader.PREFIX, warehouse_notes.PREFIX)
    keys = {key[len(prefix) :].decode() for prefix in prefixes for key, _ in kv.scan(prefix, after_prefix(prefix))}
    folder = spool_folder(platform, "")
    return keys | ({path.name for path in folder.iterdir()} if folder.is_dir() else set())


def _forget(platform: Platform, buffer: str) -> None:
    ledger.forget(platform.kv(KV_DOMAIN), buffer)
    reader.forget(platform.kv(KV_DOMAIN), buffer)
    warehouse_notes.forget(platform.kv(KV_DOMAIN), buffer)
    shutil.rmtree(spool_folder(platform, buffer), ignore_errors=True)

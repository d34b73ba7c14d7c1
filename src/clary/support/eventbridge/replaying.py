"""Replays: what an archive keeps comes to its bus again, at least once, marked with the replay's name."""

from dataclasses import replace

import orjson

from clary.kernel.rooms import Platform
from clary.kernel.store import Conflict, Entry
from clary.support.eventbridge.archives import Archives
from clary.support.eventbridge.names import Bus, find_bus
from clary.support.eventbridge.publishing import publish
from clary.support.eventbridge.records import Archive, Replay

TOPIC = "events-replays"
STARTING, RUNNING, CANCELLING = "STARTING", "RUNNING", "CANCELLING"
COMPLETED, CANCELLED, FAILED = "COMPLETED", "CANCELLED", "FAILED"
ACTIVE = (STARTING, RUNNING, CANCELLING)
_AT_ONCE = 100


def drive(platform: Platform, account: str, region: str, name: str) -> None:
    """Take a replay as far as it goes. A batch is published before the replay notes that it was."""
    table = platform.records(Replay).within(account, region)
    try:
        entry = table.get(name)
        while entry is not None and entry.status in ACTIVE:
            entry = _step(platform, entry)
    except Conflict:
        platform.wake(TOPIC, f"{account}/{region}/{name}")  # it was cancelled meanwhile: look again


def _step(platform: Platform, entry: Entry[Replay]) -> Entry[Replay]:
    replay, now = entry.value, platform.clock.now()
    table = platform.records(Replay)
    bus = Bus(entry.account, entry.region, replay.bus)
    if entry.status == CANCELLING:
        return table.replace(entry, replace(replay, ended_at=now), status=CANCELLED)
    if find_bus(platform, bus) is None:
        failed = replace(replay, ended_at=now, reason=f"Event bus {bus.name} does not exist.")
        return table.replace(entry, failed, status=FAILED)
    kept = list(Archives(platform).read(replay.uid, replay.start, replay.end, bytes.fromhex(replay.position), _AT_ONCE))
    if not kept:
        return table.replace(entry, replace(replay, ended_at=now), status=COMPLETED)
    events = [{**orjson.loads(event), "replay-name": entry.name} for _, _, event in kept]
    publish(platform, bus, events, only=frozenset(replay.only))
    key, moment, _ = kept[-1]
    return table.replace(entry, replace(replay, position=key.hex(), replayed_to=moment), status=RUNNING)


def expire(platform: Platform) -> None:
    """Forget what archives have kept for as long as they were asked to."""
    for entry in platform.records(Archive).all():
        if entry.value.retention_days:
            before = platform.clock.now() - entry.value.retention_days * 86_400
            Archives(platform).drop(entry.value.uid, before)

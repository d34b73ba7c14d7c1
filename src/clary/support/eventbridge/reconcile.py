"""Deliver what rules have matched and schedules have called for, from what is stored: at once, again when it failed,
at least once."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from clary.kernel.rooms import Platform, observer, reconciler
from clary.kernel.store import Change
from clary.support.eventbridge import glue, others, replaying, sagemaker, timers
from clary.support.eventbridge.book import book_of
from clary.support.eventbridge.courier import carry
from clary.support.eventbridge.firing import fire, heal
from clary.support.eventbridge.measures import measures_of
from clary.support.eventbridge.names import Bus
from clary.support.eventbridge.outbox import Outbox
from clary.support.eventbridge.publishing import TOPIC, publish
from clary.support.eventbridge.records import DEFAULT_BUS, Replay
from clary.support.eventbridge.timers import Timers

_EVERY_SECONDS = 5.0
_AT_ONCE = 200
_AGAIN_SECONDS = 2.0

_OTHERS: Mapping[str, tuple[str, Callable[[Bus, Change], dict[str, Any]]]] = {
    others.ALARM: (others.CLOUDWATCH, others.of_alarm),
    others.QUERY: (others.ATHENA, others.of_query),
    glue.CRAWL: (glue.SOURCE, glue.of_crawl),
}

_log = logging.getLogger("clary.eventbridge")


@reconciler(TOPIC, every_seconds=_EVERY_SECONDS)
def deliver(platform: Platform, key: str | None) -> float | None:
    """Deliver what is due in one lane, or wake the delivery of each; return when the next delivery is due."""
    if key is not None:
        return carry(platform, key)
    measures_of(platform).flush()
    for lane in Outbox(platform).waiting():
        platform.wake(TOPIC, lane)
    return None


@reconciler(timers.TOPIC, every_seconds=30.0)
def fire_due(platform: Platform, key: str | None) -> float | None:
    """Fire the timers whose time has come; return when the next is due."""
    stuck: set[str] = set()
    while due := [timer for timer in Timers(platform).due(_AT_ONCE) if timer.name not in stuck]:
        for timer in due:
            try:
                fire(platform, timer)
            except Exception:  # noqa: BLE001 - whatever one meets, the others are due too
                _log.exception("%s cannot be fired; trying again", timer.name)
                stuck.add(timer.name)
    next_at = Timers(platform).next_at()
    return None if next_at is None else max(_AGAIN_SECONDS if stuck else 0.0, next_at - platform.clock.now())


@reconciler("events-timers", every_seconds=60.0)
def heal_timers(platform: Platform, key: str | None) -> None:
    """Set timers that a crash kept from being set."""
    heal(platform)


@reconciler(replaying.TOPIC, every_seconds=30.0)
def replay(platform: Platform, key: str | None) -> None:
    """Take one replay as far as it goes, or wake those that are under way."""
    if key is not None:
        account, region, name = key.split("/")
        replaying.drive(platform, account, region, name)
        return
    for entry in platform.records(Replay).all(status=replaying.ACTIVE):
        platform.wake(replaying.TOPIC, f"{entry.account}/{entry.region}/{entry.name}")


@reconciler("events-archives", every_seconds=3600.0)
def expire_archives(platform: Platform, key: str | None) -> None:
    """Forget what archives have kept long enough."""
    replaying.expire(platform)


@observer
def tell(platform: Platform, changes: list[Change]) -> None:
    """Turn changes of others' records into the events that AWS documents, where a rule may ask for them."""
    found: dict[Bus, list[dict[str, Any]]] = {}
    for change in changes:
        bus = Bus(change.account, change.region, DEFAULT_BUS)
        source, make = _OTHERS.get(change.kind, (sagemaker.SOURCE, None))
        if not book_of(platform).rules(bus).hear(source):
            continue
        event = sagemaker.of_change(platform, bus, change) if make is None else make(bus, change)
        if event is not None:
            found.setdefault(bus, []).append(event)
    for bus, events in found.items():
        publish(platform, bus, events)


@reconciler("events-objects", every_seconds=1.0)
def tell_of_objects(platform: Platform, key: str | None) -> None:
    """Bring what happened to objects to the rules of those whose buckets send it to EventBridge."""
    others.tell_of_objects(platform)

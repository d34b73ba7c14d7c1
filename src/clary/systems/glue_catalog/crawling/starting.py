"""How crawls begin and end in the records, each in one commit with the crawler whose crawl it is."""

from dataclasses import replace
from typing import Any

from clary.kernel.core.ids import new_uuid
from clary.kernel.core.schedules import Cron, parse_schedule
from clary.kernel.rooms import Platform
from clary.kernel.store import Batch, Entry
from clary.systems.glue_catalog.lookup import invalid
from clary.systems.glue_catalog.records import CRAWLERS_TOPIC, READY, RUNNING, Crawl, Crawler, crawl_key

_SHORTEST_SECONDS = 300.0
_MOST_KEPT = 1000


def begin(platform: Platform, entry: Entry[Crawler], due_at: float | None = None) -> None:
    """Have a crawler that is READY run; `due_at` is when its schedule is due next. Raises Conflict when it changed."""
    now = platform.clock.now()
    key = crawl_key(entry.value.uid, now)
    value = replace(entry.value, crawl=key, due_at=entry.value.due_at if due_at is None else due_at)
    batch = Batch(platform.store)
    batch.replace(platform.records(Crawler).within(entry.account, entry.region), entry, value, status=RUNNING)
    crawls = platform.records(Crawl).within(entry.account, entry.region)
    batch.create(crawls, key, Crawl(new_uuid(), entry.name, now), status=RUNNING, parent=entry.value.uid)
    batch.write()
    platform.wake(CRAWLERS_TOPIC, topic_key(entry))


def finish(
    platform: Platform,
    entry: Entry[Crawler],
    status: str,
    *,
    error: str = "",
    done: dict[str, dict[str, Any]] | None = None,
) -> None:
    """Note that the crawl of a crawler has ended, and how. Raises Conflict when the crawler changed."""
    crawls = platform.records(Crawl).within(entry.account, entry.region)
    crawl = crawls.get(entry.value.crawl)
    batch = Batch(platform.store)
    batch.replace(platform.records(Crawler).within(entry.account, entry.region), entry, entry.value, status=READY)
    if crawl is not None:
        value = replace(crawl.value, ended_at=platform.clock.now(), error=error, done=done or {})
        batch.replace(crawls, crawl, value, status=status)
    batch.write()
    for old in crawls.all(parent=entry.value.uid)[_MOST_KEPT:]:
        crawls.delete(old.name)


def topic_key(entry: Entry[Crawler]) -> str:
    return f"{entry.account}/{entry.region}/{entry.name}"


def next_due(expression: str, now: float) -> float:
    """When a schedule is due next. Raises InvalidInputException for one that crawlers cannot have."""
    try:
        schedule = parse_schedule(expression)
    except ValueError as error:
        raise invalid(f"Schedule is not valid: {error}") from None
    if not isinstance(schedule, Cron):
        raise invalid(f"Schedule {expression} is not valid: crawlers run by cron(...) alone")
    first = schedule.next_after(now)
    second = None if first is None else schedule.next_after(first)
    if first is None:
        raise invalid(f"Schedule {expression} is never due")
    if second is not None and second - first < _SHORTEST_SECONDS:
        raise invalid(f"Schedule {expression} is due more often than every 5 minutes")
    return first

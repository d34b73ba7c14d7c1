"""Crawlers: create, show, change, start, stop, delete."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.core.ids import new_id
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.tags import tags_of
from clary.kernel.store import Conflict, Entry
from clary.kernel.wire import page_asked, page_output, paginate
from clary.systems.glue_catalog.crawlers import CRAWLER, CRAWLERS, checked_request, role_of, show_crawler
from clary.systems.glue_catalog.crawling.starting import begin, next_due, topic_key
from clary.systems.glue_catalog.inputs import check_tags
from clary.systems.glue_catalog.records import CRAWLERS_TOPIC, READY, STOPPING, Crawl, Crawler

_MAX_TRIES = 20


@operation("glue", "CreateCrawler", resource=CRAWLER)
def create_crawler(
    ctx: Context,
    Name: str,
    Role: str,
    Targets: Mapping[str, Any],
    Schedule: str | None = None,
    Tags: Mapping[str, str] | None = None,
    **request: Any,
) -> None:
    """Add a crawler, which crawls when it is started or its schedule is due."""
    tags = check_tags(Tags or {})
    checked = checked_request(ctx, {"Role": Role, "Targets": Targets, **request})
    due_at = next_due(Schedule, ctx.platform.clock.now()) if Schedule else 0.0
    crawler = Crawler(new_id(), checked, role_of(ctx, Role), schedule=Schedule or "", due_at=due_at)
    CRAWLERS.create(ctx, Name, crawler, tags=tags, status=READY)
    if Schedule:
        ctx.platform.wake(CRAWLERS_TOPIC)


@operation("glue", "UpdateCrawler", resource=CRAWLER)
def update_crawler(ctx: Context, Name: str, Schedule: str | None = None, **request: Any) -> None:
    """Change members of a crawler that does not run; its version grows."""
    due_at = next_due(Schedule, ctx.platform.clock.now()) if Schedule else 0.0
    for _ in range(_MAX_TRIES):
        entry = _ready(CRAWLERS.get(ctx, Name))
        checked = checked_request(ctx, {**entry.value.request, **request})
        role = role_of(ctx, request["Role"]) if request.get("Role") else entry.value.role
        following = replace(
            entry.value, request=checked, role=role, number=entry.value.number + 1, changed_at=ctx.platform.clock.now()
        )
        if Schedule is not None:
            following = replace(following, schedule=Schedule, due_at=due_at)
        try:
            ctx.records(Crawler).replace(entry, following)
        except Conflict:
            continue
        ctx.platform.wake(CRAWLERS_TOPIC)
        return
    raise _running(Name)


@operation("glue", "GetCrawler", resource=CRAWLER)
def get_crawler(ctx: Context, Name: str) -> dict[str, Any]:
    """One crawler, with its state and its last crawl."""
    return {"Crawler": show_crawler(ctx, CRAWLERS.get(ctx, Name))}


@operation("glue", "GetCrawlers")
def get_crawlers(ctx: Context, MaxResults: int | None = None, NextToken: str | None = None) -> dict[str, Any]:
    """The crawlers by name."""
    limit, position = page_asked(ctx.operation, {"MaxResults": MaxResults, "NextToken": NextToken})
    page = ctx.records(Crawler).page(limit, position)
    return page_output(ctx.operation, [show_crawler(ctx, entry) for entry in page], page.next_token)


@operation("glue", "BatchGetCrawlers")
def batch_get_crawlers(ctx: Context, CrawlerNames: Sequence[str]) -> dict[str, Any]:
    """Those of these crawlers that are there, and the names of those that are not."""
    found = {name: CRAWLERS.find(ctx, name) for name in CrawlerNames}
    return {
        "Crawlers": [show_crawler(ctx, entry) for entry in found.values() if entry is not None],
        "CrawlersNotFound": [name for name, entry in found.items() if entry is None],
    }


@operation("glue", "ListCrawlers")
def list_crawlers(
    ctx: Context, MaxResults: int | None = None, NextToken: str | None = None, Tags: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The names of the crawlers that have all of these tags."""
    names = [
        entry.name
        for entry in ctx.records(Crawler).all()
        if not Tags or Tags.items() <= tags_of(ctx.platform, CRAWLERS.arn(ctx, entry.name)).items()
    ]
    return paginate(ctx.operation, {"MaxResults": MaxResults, "NextToken": NextToken}, names, key=str)


@operation("glue", "StartCrawler", resource=CRAWLER)
def start_crawler(ctx: Context, Name: str) -> None:
    """Have a crawler crawl, whatever its schedule says."""
    for _ in range(_MAX_TRIES):
        try:
            begin(ctx.platform, _ready(CRAWLERS.get(ctx, Name)))
        except Conflict:
            continue
        return
    raise _running(Name)


@operation("glue", "StopCrawler", resource=CRAWLER)
def stop_crawler(ctx: Context, Name: str) -> None:
    """Ask a crawl to end as soon as it can; what it has written by then stays."""
    for _ in range(_MAX_TRIES):
        entry = CRAWLERS.get(ctx, Name)
        if entry.status == READY:
            raise AwsError("CrawlerNotRunningException", f"Crawler with name {Name} isn't running")
        if entry.status == STOPPING:
            raise AwsError("CrawlerStoppingException", f"Crawler with name {Name} is stopping")
        try:
            ctx.records(Crawler).replace(entry, entry.value, status=STOPPING)
        except Conflict:
            continue
        ctx.platform.wake(CRAWLERS_TOPIC, topic_key(entry))
        return
    raise AwsError("CrawlerStoppingException", f"Crawler with name {Name} is stopping")


@operation("glue", "DeleteCrawler", resource=CRAWLER)
def delete_crawler(ctx: Context, Name: str) -> None:
    """Remove a crawler that does not run, and its history; the tables that it made stay."""
    for _ in range(_MAX_TRIES):
        entry = _ready(CRAWLERS.get(ctx, Name))
        try:
            CRAWLERS.delete(ctx, Name, version=entry.version)
        except Conflict:
            continue
        for crawl in ctx.records(Crawl).all(parent=entry.value.uid):
            ctx.records(Crawl).delete(crawl.name)
        return
    raise _running(Name)


def _ready(entry: Entry[Crawler]) -> Entry[Crawler]:
    if entry.status != READY:
        raise _running(entry.name)
    return entry


def _running(name: str) -> AwsError:
    return AwsError("CrawlerRunningException", f"Crawler with name {name} has already started")

"""The schedules of crawlers."""

from dataclasses import replace

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation
from clary.systems.glue_catalog.crawlers import CRAWLERS
from clary.systems.glue_catalog.crawling.starting import next_due
from clary.systems.glue_catalog.records import CRAWLERS_TOPIC, Crawler

_CRAWLER = "crawler/{CrawlerName}"


@operation("glue", "UpdateCrawlerSchedule", resource=_CRAWLER)
def update_crawler_schedule(ctx: Context, CrawlerName: str, Schedule: str | None = None) -> None:
    """Give a crawler another schedule, which starts at once; without one, take it away."""
    now = ctx.platform.clock.now()
    due_at = next_due(Schedule, now) if Schedule else 0.0

    def change(crawler: Crawler) -> Crawler:
        return replace(crawler, schedule=Schedule or "", due_at=due_at, number=crawler.number + 1, changed_at=now)

    if ctx.records(Crawler).update(CrawlerName, change) is None:
        raise CRAWLERS.not_found(ctx, CrawlerName)
    ctx.platform.wake(CRAWLERS_TOPIC)


@operation("glue", "StartCrawlerSchedule", resource=_CRAWLER)
def start_crawler_schedule(ctx: Context, CrawlerName: str) -> None:
    """Have a crawler go by its schedule again."""
    now = ctx.platform.clock.now()

    def change(crawler: Crawler) -> Crawler:
        if not crawler.schedule:
            raise AwsError("NoScheduleException", f"Crawler with name {CrawlerName} has no schedule")
        if crawler.due_at:
            raise AwsError("SchedulerRunningException", f"The schedule of crawler {CrawlerName} is running already")
        return replace(crawler, due_at=next_due(crawler.schedule, now))

    if ctx.records(Crawler).update(CrawlerName, change) is None:
        raise CRAWLERS.not_found(ctx, CrawlerName)
    ctx.platform.wake(CRAWLERS_TOPIC)


@operation("glue", "StopCrawlerSchedule", resource=_CRAWLER)
def stop_crawler_schedule(ctx: Context, CrawlerName: str) -> None:
    """Have a crawler not go by its schedule; a crawl that runs goes on."""

    def change(crawler: Crawler) -> Crawler:
        if not crawler.due_at:
            raise AwsError("SchedulerNotRunningException", f"The schedule of crawler {CrawlerName} is not running")
        return replace(crawler, due_at=0.0)

    if ctx.records(Crawler).update(CrawlerName, change) is None:
        raise CRAWLERS.not_found(ctx, CrawlerName)

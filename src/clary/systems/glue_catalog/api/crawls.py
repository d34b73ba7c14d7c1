"""What crawlers did: the history of their crawls, and measures of it."""

from collections.abc import Callable, Mapping, Sequence
from operator import eq, ge, gt, le, lt, ne
from statistics import median
from typing import Any

from clary.kernel.rooms import Context, operation
from clary.kernel.store import Entry
from clary.kernel.wire import paginate
from clary.systems.glue_catalog.crawlers import CRAWLERS, show_crawl
from clary.systems.glue_catalog.crawling.journal import ADD, DELETE, TABLE, UPDATE, counted
from clary.systems.glue_catalog.lookup import invalid
from clary.systems.glue_catalog.records import READY, RUNNING, Crawl, Crawler

_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {"GT": gt, "GE": ge, "LT": lt, "LE": le, "EQ": eq, "NE": ne}
_MILLISECONDS = 1000


@operation("glue", "ListCrawls", resource="crawler/{CrawlerName}")
def list_crawls(
    ctx: Context,
    CrawlerName: str,
    MaxResults: int | None = None,
    Filters: Sequence[Mapping[str, str]] | None = None,
    NextToken: str | None = None,
) -> dict[str, Any]:
    """The crawls of a crawler, the last one first; the last 1,000 are kept."""
    entry = CRAWLERS.get(ctx, CrawlerName)
    tests = [_filter(given) for given in Filters or ()]
    found = [crawl for crawl in ctx.records(Crawl).all(parent=entry.value.uid) if all(test(crawl) for test in tests)]
    params = {"MaxResults": MaxResults, "NextToken": NextToken}
    page = paginate(ctx.operation, params, [crawl.name for crawl in found], key=str, default=20)
    by_name = {crawl.name: crawl for crawl in found}
    return {**page, "Crawls": [show_crawl(by_name[name]) for name in page["Crawls"]]}


@operation("glue", "GetCrawlerMetrics")
def get_crawler_metrics(
    ctx: Context,
    CrawlerNameList: Sequence[str] | None = None,
    MaxResults: int | None = None,
    NextToken: str | None = None,
) -> dict[str, Any]:
    """How long crawlers take, and what they have done to tables, over the crawls that are kept."""
    wanted = set(CrawlerNameList or ())
    entries = [entry for entry in ctx.records(Crawler).all() if not wanted or entry.name in wanted]
    params = {"MaxResults": MaxResults, "NextToken": NextToken}
    page = paginate(ctx.operation, params, [entry.name for entry in entries], key=str)
    by_name = {entry.name: entry for entry in entries}
    return {**page, "CrawlerMetricsList": [_measured(ctx, by_name[name]) for name in page["CrawlerMetricsList"]]}


def _measured(ctx: Context, entry: Entry[Crawler]) -> dict[str, Any]:
    crawls = ctx.records(Crawl).all(parent=entry.value.uid)
    ended = [crawl.value for crawl in crawls if crawl.status != RUNNING]
    seconds = [crawl.ended_at - crawl.started_at for crawl in ended]
    usual = median(seconds) if seconds else 0.0
    left = 0.0
    if entry.status != READY:
        begun = max((crawl.value.started_at for crawl in crawls if crawl.status == RUNNING), default=0.0)
        left = max(usual - (ctx.platform.clock.now() - begun), 0.0)
    return {
        "CrawlerName": entry.name,
        "TimeLeftSeconds": left,
        "StillEstimating": entry.status != READY and not seconds,
        "LastRuntimeSeconds": seconds[0] if seconds else 0.0,
        "MedianRuntimeSeconds": usual,
        "TablesCreated": sum(counted(crawl.done, TABLE, ADD) for crawl in ended),
        "TablesUpdated": sum(counted(crawl.done, TABLE, UPDATE) for crawl in ended),
        "TablesDeleted": sum(counted(crawl.done, TABLE, DELETE) for crawl in ended),
    }


def _filter(given: Mapping[str, str]) -> Callable[[Entry[Crawl]], bool]:
    name, value = given.get("FieldName"), given.get("FieldValue")
    compare = _COMPARE[given.get("FilterOperator") or "EQ"]
    if name is None or value is None:
        raise invalid("Each of Filters needs a FieldName and a FieldValue")
    if name in ("CRAWL_ID", "STATE"):
        return lambda crawl: compare(crawl.value.id if name == "CRAWL_ID" else crawl.status, value)
    if name == "DPU_HOUR":
        raise invalid("Crawls cannot be filtered by DPU_HOUR: Clary's crawlers run on no units that are billed")
    try:
        moment = int(value)
    except ValueError:
        raise invalid(f"{name} is compared with {value!r}: give milliseconds since the epoch") from None

    def test(crawl: Entry[Crawl]) -> bool:
        at = crawl.value.started_at if name == "START_TIME" else crawl.value.ended_at
        return at > 0 and compare(int(at * _MILLISECONDS), moment)

    return test

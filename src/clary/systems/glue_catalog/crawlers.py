"""Crawlers: what they may be told, how they are found and shown."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, Resource
from clary.kernel.rooms.roles import acting_role
from clary.kernel.store import Entry
from clary.systems.glue_catalog.crawling.configuration import CRAWL_EVERYTHING, DEPRECATE, UPDATE, check_policies
from clary.systems.glue_catalog.crawling.configuration import parse_configuration as parse
from clary.systems.glue_catalog.crawling.journal import LOG_GROUP
from clary.systems.glue_catalog.crawling.targets import check_targets
from clary.systems.glue_catalog.lookup import check_catalog, invalid, not_found
from clary.systems.glue_catalog.records import (
    COMPLETED,
    READY,
    RUNNING,
    STOPPED,
    Classifier,
    Crawl,
    Crawler,
)

CRAWLER = "crawler/{Name}"
CRAWLERS = Resource(
    "glue",
    "crawler",
    Crawler,
    missing=("EntityNotFoundException", "Crawler with name {name} does not exist"),
    taken=("AlreadyExistsException", "Crawler with name {name} already exists"),
    role=lambda crawler: crawler.role,
)

_GLUE = "glue.amazonaws.com"
_LAST_CRAWL = {COMPLETED: "SUCCEEDED", STOPPED: "CANCELLED"}
_MILLISECONDS = 1000


def checked_request(ctx: Context, given: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a crawler as they are stored. Raises InvalidInputException for what is wrong or not honoured."""
    request = {member: value for member, value in given.items() if value is not None}
    check_catalog(ctx, request.pop("CatalogId", None))
    if request.get("CrawlerSecurityConfiguration"):
        raise invalid(
            "CrawlerSecurityConfiguration is not supported by Clary, which has no security configurations: leave it out"
        )
    request["Targets"] = check_targets(request["Targets"], request.get("DatabaseName"))
    parse(request.get("Configuration"))
    check_policies(request)
    for name in request.get("Classifiers") or ():
        if ctx.records(Classifier).get(name) is None:
            raise not_found(f"Classifier {name} not found")
    return request


def role_of(ctx: Context, given: str) -> str:
    """The ARN of the role that a crawler acts as, by the name or ARN of one. Raises InvalidInputException."""
    arn = given if given.startswith("arn:") else f"arn:{ctx.partition}:iam::{ctx.account}:role/{given.lstrip('/')}"
    try:
        return acting_role(ctx, arn, _GLUE)
    except AwsError as error:
        if error.code != "ValidationException":
            raise
        raise invalid(f"Service is unable to assume provided role. {error.message}") from None


def show_crawler(ctx: Context, entry: Entry[Crawler]) -> dict[str, Any]:
    """A crawler as the API shows it."""
    value = entry.value
    crawl = ctx.records(Crawl).get(value.crawl) if value.crawl else None
    running = entry.status != READY and crawl is not None
    elapsed = int((ctx.platform.clock.now() - crawl.value.started_at) * _MILLISECONDS) if running and crawl else 0
    shown = {
        "Classifiers": [],
        "SchemaChangePolicy": {"UpdateBehavior": UPDATE, "DeleteBehavior": DEPRECATE},
        "RecrawlPolicy": {"RecrawlBehavior": CRAWL_EVERYTHING},
        "LineageConfiguration": {"CrawlerLineageSettings": "DISABLE"},
        "LakeFormationConfiguration": {"UseLakeFormationCredentials": False, "AccountId": ""},
        **value.request,
        "Name": entry.name,
        "State": entry.status,
        "CrawlElapsedTime": max(elapsed, 0),
        "CreationTime": entry.created_at,
        "LastUpdated": value.changed_at or entry.created_at,
        "Version": value.number,
    }
    shown["Targets"] = {**dict.fromkeys(_TARGETS, ()), **value.request["Targets"]}
    policy = value.request.get("SchemaChangePolicy") or {}
    shown["SchemaChangePolicy"] = {"UpdateBehavior": UPDATE, "DeleteBehavior": DEPRECATE, **policy}
    if value.schedule:
        state = "SCHEDULED" if value.due_at else "NOT_SCHEDULED"
        shown["Schedule"] = {"ScheduleExpression": value.schedule, "State": state}
    last = last_crawl(ctx, entry)
    if last is not None:
        shown["LastCrawl"] = _show_last(entry, last)
    return shown


def last_crawl(ctx: Context, entry: Entry[Crawler]) -> Entry[Crawl] | None:
    """The last crawl that has ended."""
    page = ctx.records(Crawl).page(2, parent=entry.value.uid)
    return next((crawl for crawl in page if crawl.status != RUNNING), None)


def show_crawl(entry: Entry[Crawl]) -> dict[str, Any]:
    """A crawl as the history of its crawler shows it."""
    value = entry.value
    ended = {"EndTime": value.ended_at, "Summary": _summary(value)} if entry.status != RUNNING else {}
    failed = {"ErrorMessage": value.error} if value.error else {}
    return {
        "CrawlId": value.id,
        "State": entry.status,
        "StartTime": value.started_at,
        **ended,
        **failed,
        "LogGroup": LOG_GROUP,
        "LogStream": value.crawler,
        "MessagePrefix": value.id,
    }


def _show_last(entry: Entry[Crawler], crawl: Entry[Crawl]) -> dict[str, Any]:
    failed = {"ErrorMessage": crawl.value.error} if crawl.value.error else {}
    return {
        "Status": _LAST_CRAWL.get(crawl.status, "FAILED"),
        **failed,
        "LogGroup": LOG_GROUP,
        "LogStream": entry.name,
        "MessagePrefix": crawl.value.id,
        "StartTime": crawl.value.started_at,
    }


def _summary(crawl: Crawl) -> str:
    import orjson

    return orjson.dumps(crawl.done).decode()


_TARGETS = (
    "S3Targets",
    "JdbcTargets",
    "MongoDBTargets",
    "DynamoDBTargets",
    "CatalogTargets",
    "DeltaTargets",
    "IcebergTargets",
    "HudiTargets",
)

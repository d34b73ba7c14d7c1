"""The events of Glue: crawls that start and end. Source: "Monitoring with Amazon CloudWatch" of the AWS Glue guide."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.core.clock import iso
from clary.kernel.store import Change
from clary.support.eventbridge.names import Bus
from clary.support.eventbridge.publishing import event_of

SOURCE = "aws.glue"
CRAWL = "glue_crawl"

_STATES = {"RUNNING": "Started", "COMPLETED": "Succeeded", "FAILED": "Failed", "STOPPED": "Stopped"}
_COUNTS = {"ADD": "Created", "UPDATE": "Updated", "DELETE": "Deleted"}


def of_crawl(bus: Bus, change: Change) -> dict[str, Any]:
    """The event of a crawl that has begun or ended; `change` holds its record."""
    crawl, state = change.document, _STATES[change.status]
    detail: dict[str, Any] = {
        "accountId": bus.account,
        "crawlerName": crawl["crawler"],
        "state": state,
        "message": f"Crawler {state}",
    }
    if state == "Started":
        detail["startTime"] = _time(crawl["started_at"])
    else:
        detail |= {
            "completionDate": _time(crawl["ended_at"]),
            "runningTime (sec)": str(int(crawl["ended_at"] - crawl["started_at"])),
            "cloudWatchLogLink": _log_link(bus, crawl["crawler"]),
            **_counts(crawl["done"]),
        }
    if state == "Failed":
        detail["errorMessage"] = crawl["error"]
    return event_of(
        bus,
        id=change.uid,
        source=SOURCE,
        detail_type="Glue Crawler State Change",
        time=change.updated_at,
        resources=[],
        detail=detail,
    )


def _counts(done: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, str]:
    return {
        f"{what}{word}": str(done.get(member, {}).get(change, {}).get("Count", 0))
        for what, member in (("tables", "TABLE"), ("partitions", "PARTITION"))
        for change, word in _COUNTS.items()
    }


def _log_link(bus: Bus, crawler: str) -> str:
    return (
        f"https://console.aws.amazon.com/cloudwatch/home?region={bus.region}#logEventViewer:group=/aws-glue/crawlers;"
        f"stream={crawler}"
    )


def _time(moment: float) -> str:
    return f"{iso(moment)[:19]}Z"

"""What a crawl tells while it works: lines in CloudWatch Logs, in a stream named for the crawler, and counts."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.rooms import Platform

LOG_GROUP = "/aws-glue/crawlers"
TABLE, PARTITION = "TABLE", "PARTITION"
ADD, UPDATE, DELETE = "ADD", "UPDATE", "DELETE"
_MOST_NAMES = 5


class Stopped(Exception):
    """The crawl was told to stop."""


class Journal:
    """The lines and counts of one crawl. Lines are durable once they are told."""

    def __init__(self, platform: Platform, account: str, region: str, crawler: str, crawl_id: str) -> None:
        self._platform = platform
        self._place = (account, region, LOG_GROUP, crawler)
        self._prefix = f"[{crawl_id}]"
        self._done: dict[str, dict[str, dict[str, Any]]] = {}

    def tell(self, message: str, level: str = "INFO") -> None:
        """Write a line."""
        now = int(self._platform.clock.now() * 1000)
        self._platform.logs.append(*self._place, [(now, f"{self._prefix} {level} : {message}")])

    def count(self, what: str, change: str, name: str, number: int = 1) -> None:
        """Count what was done to tables or partitions; the first names are kept."""
        found = self._done.setdefault(what, {}).setdefault(change, {"Details": {"names": []}, "Count": 0})
        found["Count"] += number
        names = found["Details"]["names"]
        if name not in names and len(names) < _MOST_NAMES:
            names.append(name)

    @property
    def done(self) -> dict[str, dict[str, Any]]:
        return self._done


def counted(done: Mapping[str, Mapping[str, Any]], what: str, change: str) -> int:
    """How many tables or partitions a crawl added, updated or deleted."""
    return int(((done.get(what) or {}).get(change) or {}).get("Count", 0))

"""The crawls that run in this process: a thread each, a few at once, the others wait."""

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import OnePerPlatform, Platform
from clary.kernel.store import Conflict, Entry
from clary.systems.glue_catalog.crawling.crawl import classifiers_of, run_crawl
from clary.systems.glue_catalog.crawling.journal import Journal, Stopped
from clary.systems.glue_catalog.crawling.starting import finish, topic_key
from clary.systems.glue_catalog.databases import Unreachable
from clary.systems.glue_catalog.records import (
    COMPLETED,
    CRAWLERS_TOPIC,
    FAILED,
    RUNNING,
    STOPPED,
    STOPPING,
    Crawl,
    Crawler,
)

if TYPE_CHECKING:
    from clary.lake.inference.looking import Looking

_AT_ONCE = 4
_END_SECONDS = 3.0

_log = logging.getLogger("clary.crawlers")


class Fleet:
    """Runs crawls. Safe to share between threads."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._lock = threading.Lock()
        self._slots = threading.Semaphore(_AT_ONCE)
        self._running: dict[str, _Run] = {}

    def ensure(self, entry: Entry[Crawler]) -> None:
        """Have the crawl of a crawler run, or stopped where it is STOPPING, unless it runs already."""
        with self._lock:
            known = self._running.get(entry.value.crawl)
            run = known or _Run(self._platform, entry, self._slots, self._ended)
            if entry.status == STOPPING:
                run.stop()  # before it begins, where it has not
            if known is None:
                self._running[entry.value.crawl] = run
                run.start()

    def stop(self) -> None:
        """End all threads; what they were doing is done again when the next process finds it undone."""
        with self._lock:
            runs = list(self._running.values())
        for run in runs:
            run.abandon()
        deadline = self._platform.clock.monotonic() + _END_SECONDS
        for run in runs:
            run.join(max(0.0, deadline - self._platform.clock.monotonic()))

    def _ended(self, crawl: str) -> None:
        with self._lock:
            self._running.pop(crawl, None)


class _Abandoned(Exception):
    """The process ends: leave the records as they are."""


class _Run:
    """One crawl, in a thread of its own."""

    def __init__(
        self, platform: Platform, entry: Entry[Crawler], slots: threading.Semaphore, ended: Callable[[str], None]
    ) -> None:
        self._platform = platform
        self._entry = entry
        self._slots = slots
        self._ended = ended
        self._stopping = threading.Event()
        self._abandoned = threading.Event()
        self._looking: Looking | None = None
        self._thread = threading.Thread(target=self._run, name=f"crawler-{entry.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Have it end as soon as it can, and the crawl be STOPPED."""
        self._stopping.set()
        if self._looking is not None:
            self._looking.end()

    def abandon(self) -> None:
        """Have it end as soon as it can, the crawl undone."""
        self._abandoned.set()
        self.stop()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            self._do()
        except _Abandoned:
            pass
        except Exception:  # noqa: BLE001 - the crawl is still RUNNING, and is found again
            _log.exception("crawler %s could not end its crawl; trying again", self._entry.name)
        finally:
            self._ended(self._entry.value.crawl)

    def _do(self) -> None:
        platform, entry = self._platform, self._entry
        crawl = platform.records(Crawl).within(entry.account, entry.region).get(entry.value.crawl)
        if crawl is None or crawl.status != RUNNING:
            return  # it has ended since the crawler was looked at
        journal = Journal(platform, entry.account, entry.region, entry.name, crawl.value.id)
        status, error = self._crawled(crawl.value, journal)
        if error:
            journal.tell(error, "ERROR")
        journal.tell("Crawler has finished running and is in state READY", "BENCHMARK")
        self._finish(status, error, journal)

    def _crawled(self, crawl: Crawl, journal: Journal) -> tuple[str, str]:
        """How the crawl ended, and why if it failed."""
        from clary.lake.inference.looking import Ended, Looking

        try:
            with self._slot(), Looking(classifiers_of(self._platform, self._entry)) as self._looking:
                self._check()
                run_crawl(self._platform, self._entry, crawl, journal, self._looking, self._check)
        except _Abandoned:
            raise
        except (Stopped, Ended):
            self._raise_if_abandoned()
            return STOPPED, ""
        except AwsError as error:
            return FAILED, f"{error.code}: {error.message}"
        except Unreachable as error:
            return FAILED, f"The database cannot be reached: {error}"
        except Exception as error:  # noqa: BLE001 - a fault of ours: the crawl has failed, and is not tried for ever
            _log.exception("crawler %s failed", self._entry.name)
            return FAILED, f"Internal Service Exception: {type(error).__name__}"
        return COMPLETED, ""

    def _finish(self, status: str, error: str, journal: Journal) -> None:
        table = self._platform.records(Crawler).within(self._entry.account, self._entry.region)
        while True:
            entry = table.get(self._entry.name)
            if entry is None or entry.value.crawl != self._entry.value.crawl:
                return
            try:
                finish(self._platform, entry, status, error=error[:2048], done=journal.done)
            except Conflict:
                continue
            self._platform.wake(CRAWLERS_TOPIC, topic_key(entry))
            return

    def _slot(self) -> "_Slot":
        return _Slot(self._slots, self._check)

    def _check(self) -> None:
        """Raise when the crawl is to end."""
        self._raise_if_abandoned()
        if self._stopping.is_set():
            raise Stopped

    def _raise_if_abandoned(self) -> None:
        if self._abandoned.is_set():
            raise _Abandoned


class _Slot:
    """A place among those that crawl at once, waited for while nothing says to end."""

    def __init__(self, slots: threading.Semaphore, check: Callable[[], None]) -> None:
        self._slots = slots
        self._check = check

    def __enter__(self) -> None:
        while not self._slots.acquire(timeout=0.5):
            self._check()

    def __exit__(self, *_: object) -> None:
        self._slots.release()


fleet_of = OnePerPlatform(Fleet, Fleet.stop)
"""The crawls of a platform, which run until it is closed."""

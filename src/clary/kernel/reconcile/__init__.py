"""The loop that wakes reconcilers.

A reconciler takes no input but a key to look at first. It reads records and the world, and moves what is towards
what is asked. It runs on a wake-up *and* on a period, may run twice, anywhere, and must not mind being killed.
"""

import heapq
import itertools
import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from clary.kernel.core.clock import Clock
from clary.kernel.events import Alarm

_log = logging.getLogger("clary.reconcile")

_LONGEST_WAIT_SECONDS = 1.0
_RETRY_SECONDS = 2.0
_THREADS = 16


@dataclass(frozen=True, slots=True)
class Reconciler:
    """A function that drives one topic. It may return the seconds after which to look at the same key again."""

    topic: str
    run: Callable[[str | None], float | None]
    every_seconds: float


_Work = tuple[str, str | None]


class Loop:
    """Runs reconcilers until stopped: one run at a time for each topic and key, others side by side."""

    def __init__(self, reconcilers: Iterable[Reconciler], alarm: Alarm, clock: Clock) -> None:
        self._reconcilers = {reconciler.topic: reconciler for reconciler in reconcilers}
        self._alarm = alarm
        self._clock = clock
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._running: set[_Work] = set()
        self._again: set[_Work] = set()
        self._due: list[tuple[float, int, _Work]] = []
        self._tickets: dict[_Work, int] = {}  # the one entry of the heap that counts for each
        self._ticket = itertools.count()

    def run(self) -> None:
        """Block until `stop`; then let running reconcilers finish."""
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="reconcile") as pool:
            for topic in self._reconcilers:
                self._start(pool, (topic, None))
            while not self._stopping.is_set():
                for work in [*self._alarm.wait(self._until_next()), *self._take_due()]:
                    self._start(pool, work)

    def stop(self) -> None:
        """Make `run` return; safe in a signal handler."""
        self._stopping.set()
        self._alarm.interrupt()

    def _until_next(self) -> float:
        with self._lock:
            next_at = self._due[0][0] if self._due else float("inf")
        return max(0.0, min(_LONGEST_WAIT_SECONDS, next_at - self._clock.monotonic()))

    def _take_due(self) -> list[_Work]:
        now = self._clock.monotonic()
        due = []
        with self._lock:
            while self._due and self._due[0][0] <= now:
                _, ticket, work = heapq.heappop(self._due)
                if self._tickets.get(work) == ticket:
                    due.append(work)
        return due

    def _start(self, pool: ThreadPoolExecutor, work: _Work) -> None:
        if work[0] not in self._reconcilers:
            return
        with self._lock:
            if work in self._running:
                self._again.add(work)
                return
            self._running.add(work)
            self._tickets.pop(work, None)  # this run says anew when the next one is due
        pool.submit(self._reconcile, work)

    def _reconcile(self, work: _Work) -> None:
        topic, key = work
        reconciler = self._reconcilers[topic]
        again_seconds: float | None
        while True:
            try:
                again_seconds = reconciler.run(key)
            except Exception:  # noqa: BLE001 - whatever a reconciler meets, the others must go on
                _log.exception("reconciling %s %s failed; trying again", topic, key or "(all)")
                again_seconds = _RETRY_SECONDS
            with self._lock:
                if work in self._again and not self._stopping.is_set():
                    self._again.discard(work)
                    continue
                self._running.discard(work)
                if key is None:
                    again_seconds = min(again_seconds or reconciler.every_seconds, reconciler.every_seconds)
                if again_seconds is not None:
                    ticket = self._tickets[work] = next(self._ticket)
                    heapq.heappush(self._due, (self._clock.monotonic() + again_seconds, ticket, work))
                    if self._due[0][2] == work:
                        self._alarm.interrupt()
                return

"""The one place that reads time, so that tests can run on a virtual clock."""

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Time as the platform sees it. All times are seconds."""

    def now(self) -> float:
        """Seconds since the epoch, UTC."""

    def monotonic(self) -> float:
        """Seconds that never go backwards; only differences mean something."""

    def wait(self, event: threading.Event, timeout_seconds: float) -> bool:
        """Block until `event` is set or the time has passed; return whether it is set."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def wait(self, event: threading.Event, timeout_seconds: float) -> bool:
        return event.wait(timeout_seconds)


class VirtualClock:
    """A clock that moves only when told to: `advance` wakes whoever waits for the time reached."""

    def __init__(self, start: float = 1_750_000_000.0) -> None:
        self._now = start
        self._moved = threading.Condition()

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        with self._moved:
            self._now += seconds
            self._moved.notify_all()

    def wait(self, event: threading.Event, timeout_seconds: float) -> bool:
        deadline = self._now + timeout_seconds
        with self._moved:
            while not event.is_set() and self._now < deadline:
                self._moved.wait(0.01)
        return event.is_set()


def iso(epoch_seconds: float) -> str:
    """`2026-01-31T23:59:59.123Z`, the form AWS writes into documents."""
    whole = int(epoch_seconds)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{int((epoch_seconds - whole) * 1000):03d}Z"

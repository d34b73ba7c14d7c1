"""The event loop of a shim while its host's process runs.

It takes what the process prints, hears requests to stop, and meets the deadlines. Threads only wait (for the process,
for a ping) and hand what they learn to the loop.
"""

import contextlib
import os
import selectors
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from clary.kernel.core.clock import Clock
from clary.kernel.jobs.console import Console
from clary.kernel.jobs.contract import Failure, HostSpec, Outcome
from clary.kernel.jobs.folder import HostFolder
from clary.kernel.jobs.health import Health, HealthCheck
from clary.kernel.jobs.sandbox import Process

_READ_BYTES = 64 * 1024
_DRAIN_SECONDS = 10.0
_ASK_AGAIN_SECONDS = 0.02


@dataclass(frozen=True)
class Verdict:
    """How a host shall end whatever its exit code says."""

    outcome: Outcome
    failure: Failure | None = None
    reason: str = ""


@dataclass
class Bench:
    """Where verdicts are passed, from any thread: the first one stands."""

    verdict: Verdict | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def decide(self, verdict: Verdict) -> None:
        with self._lock:
            self.verdict = self.verdict or verdict

    @property
    def failed(self) -> bool:
        return self.verdict is not None and self.verdict.outcome is Outcome.FAILED


class Supervision:
    """One run of one process. A service at `address` is pinged, and `health_changed` told in the loop's thread."""

    def __init__(
        self,
        *,
        spec: HostSpec,
        folder: HostFolder,
        process: Process,
        console: Console,
        bench: Bench,
        clock: Clock,
        address: int | Path | None,
        health_changed: Callable[[Health], None],
    ) -> None:
        self._spec = spec
        self._folder = folder
        self._process = process
        self._console = console
        self._bench = bench
        self._clock = clock
        self._address = address
        self._health_changed = health_changed
        self._selector = selectors.DefaultSelector()
        self._posted: deque[Callable[[], None]] = deque()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._code: int | None = None
        self._open = 2
        self._drain_until: float | None = None
        self._asked = False
        self._ask_at: float | None = None
        self._kill_at: float | None = None
        limit = self._spec.max_runtime_seconds
        self._stop_at = None if limit is None else self._clock.monotonic() + limit

    def run(self) -> int:
        """The exit code of the process, once all that it printed is taken."""
        # Opened for both directions, so that it never looks closed when a poker leaves.
        control = os.open(self._folder.control, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(control, selectors.EVENT_READ, self._controlled)
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._run_posted)
        for name, fd in (("stdout", self._process.stdout), ("stderr", self._process.stderr)):
            self._selector.register(fd, selectors.EVENT_READ, self._reader(name))
        threading.Thread(target=self._wait, name="wait", daemon=True).start()
        health = self._check_health()
        try:
            self._controlled(control)  # a stop may have come before anybody listened
            while not self._done():
                for key, _ in self._selector.select(self._timeout()):
                    key.data(key.fd)
                self._meet_deadlines()
        finally:
            if health is not None:
                health.close()
            self._selector.close()
            os.close(control)
        assert self._code is not None
        return self._code

    def _done(self) -> bool:
        if self._code is None:
            return False
        return self._open == 0 or (self._drain_until is not None and self._clock.monotonic() >= self._drain_until)

    def _timeout(self) -> float | None:
        deadlines = [self._console.due, self._stop_at, self._ask_at, self._kill_at, self._drain_until]
        pending = [deadline for deadline in deadlines if deadline is not None]
        return max(0.0, min(pending) - self._clock.monotonic()) if pending else None

    def _meet_deadlines(self) -> None:
        now = self._clock.monotonic()
        if self._console.due is not None and now >= self._console.due:
            self._console.flush()
        if self._stop_at is not None and now >= self._stop_at:
            self._ask_to_end(Outcome.TIMED_OUT)
        if self._ask_at is not None and now >= self._ask_at:
            self._ask()
        if self._kill_at is not None and now >= self._kill_at:
            self._ask_at = self._kill_at = None
            self._process.kill()

    def _reader(self, name: str) -> Callable[[int], None]:
        def read(fd: int) -> None:
            chunk = os.read(fd, _READ_BYTES)
            self._console.feed(name, chunk)
            if not chunk:
                self._selector.unregister(fd)
                self._open -= 1

        return read

    def _controlled(self, control: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(control, 4096)
        if self._bench.failed:
            self._process.kill()
        elif self._folder.stop_requested():
            self._ask_to_end(Outcome.STOPPED)

    def _ask_to_end(self, outcome: Outcome) -> None:
        if self._code is not None or self._asked:
            return
        self._asked = True
        self._stop_at = None
        self._bench.decide(Verdict(outcome))
        self._kill_at = self._clock.monotonic() + self._spec.stop_grace_seconds
        self._ask()

    def _ask(self) -> None:
        """Ask the program to end; once it is there, when its sandbox is still being made."""
        self._ask_at = None if self._process.terminate() else self._clock.monotonic() + _ASK_AGAIN_SECONDS

    def _wait(self) -> None:
        code = self._process.wait()

        def ended() -> None:
            self._code = code
            self._stop_at = self._ask_at = self._kill_at = None
            self._drain_until = self._clock.monotonic() + _DRAIN_SECONDS

        self._post(ended)

    def _check_health(self) -> HealthCheck | None:
        if self._address is None:
            return None

        def changed(health: Health) -> None:
            self._post(lambda: self._health_changed(health) if self._code is None else None)

        return HealthCheck(self._address, self._clock, changed)

    def _post(self, action: Callable[[], None]) -> None:
        """Have the loop run `action`; from any thread."""
        self._posted.append(action)
        with contextlib.suppress(OSError):  # full means that it will wake anyway; closed, that it is over
            os.write(self._wake_write, b"\n")

    def _run_posted(self, fd: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(fd, 4096)
        while self._posted:
            self._posted.popleft()()

"""Write what is captured into S3, from a thread, so that nobody who asks an endpoint waits for it.

Captured requests wait in memory for at most a few seconds: what waits is lost when the process is killed, and written
when it ends in order. When S3 takes less than comes, what does not fit is dropped, counted, and said.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from clary.kernel.core.clock import Clock
from clary.kernel.core.errors import AwsError
from clary.kernel.jobs.embedded import RoleLimits
from clary.kernel.objects import Objects
from clary.kernel.serving.capture import Captured, file_of, line_of

WRITE_EVERY_SECONDS = 5.0
MOST_WAITING_BYTES = 128 * 1024 * 1024
_WRITE_AT_BYTES = 4 * 1024 * 1024
_OVERHEAD_BYTES = 1024  # what a request holds in memory besides its data

_log = logging.getLogger("clary.capture")

Complain = Callable[[Captured, str], None]
"""Tells the owner of an endpoint why requests like this one are not captured. Called from the writer's thread."""


class CaptureWriter:
    """The captured requests of one process on their way to S3. Safe to share between threads. Close it when done."""

    def __init__(self, objects: Objects, home: Path, clock: Clock, complain: Complain) -> None:
        self._objects = objects
        self._home = home
        self._clock = clock
        self._complain = complain
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._waiting: list[Captured] = []
        self._held_bytes = 0
        self._dropped: list[Captured] = []
        self._dropped_counts: Counter[tuple[str, ...]] = Counter()
        self._limits: dict[str, RoleLimits] = {}

    def keep(self, captured: Captured) -> bool:
        """Take a request to be written soon. Never blocks; False when there is no room for it, and it is dropped."""
        size = captured.size + _OVERHEAD_BYTES
        with self._lock:
            if self._closing or self._held_bytes + size > MOST_WAITING_BYTES:
                self._drop(captured)
                return False
            self._waiting.append(captured)
            self._held_bytes += size
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
                self._thread.start()
            full = self._held_bytes >= _WRITE_AT_BYTES
        if full:
            self._wake.set()
        return True

    def close(self) -> None:
        """Write all that waits."""
        with self._lock:
            self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self._write_waiting()
        for limits in self._limits.values():
            limits.close()

    def _drop(self, captured: Captured) -> None:
        whose = _whose(captured)
        if whose not in self._dropped_counts:
            self._dropped.append(captured._replace(body=b"", answer=b""))
        self._dropped_counts[whose] += 1

    def _run(self) -> None:
        while not self._closing:
            self._clock.wait(self._wake, WRITE_EVERY_SECONDS)
            self._wake.clear()
            self._write_waiting()

    def _write_waiting(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
            dropped, self._dropped = self._dropped, []
            counts, self._dropped_counts = self._dropped_counts, Counter()
        for file in _files(waiting):
            try:
                self._write(file)
            except AwsError as error:
                self._say(file[0], f"{_number(len(file))} not captured. {error.code}: {error.message}")
            except Exception as error:  # noqa: BLE001 - one endpoint's trouble must not end the capture of others
                _log.exception("captured requests of endpoint %s were lost", file[0].endpoint)
                self._say(file[0], f"{_number(len(file))} not captured: {error!r}")
            with self._lock:
                self._held_bytes -= sum(captured.size + _OVERHEAD_BYTES for captured in file)
        for captured in dropped:
            number = _number(counts[_whose(captured)])
            self._say(captured, f"{number} not captured: more came than could be written in time.")

    def _write(self, file: list[Captured]) -> None:
        first = file[0]
        bucket, key = file_of(first)
        if first.role:
            self._limits_of(first.role).require("s3:PutObject", f"arn:aws:s3:::{bucket}/{key}")
        data = b"".join(line_of(captured) for captured in file)
        self._objects.put_bytes(bucket, key, data, account=first.account)

    def _limits_of(self, role: str) -> RoleLimits:
        if role not in self._limits:
            self._limits[role] = RoleLimits(self._home, role, self._clock)
        return self._limits[role]

    def _say(self, captured: Captured, text: str) -> None:
        try:
            self._complain(captured, text)
        except Exception:  # noqa: BLE001 - the log that cannot be written must not end the capture of others
            _log.exception("endpoint %s could not be told: %s", captured.endpoint, text)


def _number(count: int) -> str:
    return f"{count} request{' was' if count == 1 else 's were'}"


def _whose(captured: Captured) -> tuple[str, ...]:
    return captured.account, captured.region, captured.endpoint, captured.variant


def _files(waiting: Iterable[Captured]) -> list[list[Captured]]:
    """What belongs into one file each: of one variant, one place, one role, and one hour."""
    files: dict[tuple[object, ...], list[Captured]] = {}
    for captured in waiting:
        key = (*_whose(captured), captured.role, captured.rules.destination, captured.at // 3600)
        files.setdefault(key, []).append(captured)
    return list(files.values())

"""The workers of a platform."""

import threading
from collections.abc import Collection

from clary.kernel.rooms import Platform
from clary.kernel.store import Entry
from clary.systems.firehose.delivery.worker import Worker
from clary.systems.firehose.records import DeliveryStream

_END_SECONDS = 3.0


class Fleet:
    """One worker for each delivery stream. Safe to share between threads."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._lock = threading.Lock()
        self._workers: dict[str, Worker] = {}

    def ensure(self, stream: Entry[DeliveryStream]) -> None:
        """Have a delivery stream delivered, by what it says now."""
        buffer = stream.value.buffer
        with self._lock:
            worker = self._workers.get(buffer)
            if worker is None or not worker.is_alive:
                worker = self._workers[buffer] = Worker(self._platform, stream)
                worker.start()
                return
        worker.update(stream)

    def end(self, buffer: str) -> None:
        """End the worker of a buffer, waiting for it a moment."""
        with self._lock:
            worker = self._workers.pop(buffer, None)
        if worker is not None:
            worker.stop()
            worker.join(_END_SECONDS)

    def retain(self, buffers: Collection[str]) -> None:
        """End the workers of all others."""
        with self._lock:
            others = [buffer for buffer in self._workers if buffer not in buffers]
        for buffer in others:
            self.end(buffer)

    def stop(self) -> None:
        """End all."""
        with self._lock:
            workers = list(self._workers.values())
            self._workers.clear()
        for worker in workers:
            worker.stop()
        deadline = self._platform.clock.monotonic() + _END_SECONDS
        for worker in workers:
            worker.join(max(0.0, deadline - self._platform.clock.monotonic()))


_fleets: dict[Platform, Fleet] = {}
_lock = threading.Lock()


def fleet_of(platform: Platform) -> Fleet:
    """The workers of a platform, which work until it is closed."""
    with _lock:
        found = _fleets.get(platform)
        if found is None:
            found = _fleets[platform] = Fleet(platform)
            platform.at_close(lambda: _forget(platform))
        return found


def _forget(platform: Platform) -> None:
    with _lock:
        found = _fleets.pop(platform, None)
    if found is not None:
        found.stop()

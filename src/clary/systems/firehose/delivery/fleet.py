"""The workers of a platform."""

import threading
from collections.abc import Collection

from clary.kernel.rooms import OnePerPlatform, Platform
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


fleet_of = OnePerPlatform(Fleet, Fleet.stop)
"""The workers of a platform, which work until it is closed."""

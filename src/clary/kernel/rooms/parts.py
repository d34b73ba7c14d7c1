"""What a room has one of for each platform while that is open: workers, caches, meters."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from clary.kernel.rooms.platform import Platform

T = TypeVar("T")


class OnePerPlatform(Generic[T]):
    """Makes a platform's part when it is first asked for, and closes it with the platform. Threads may share it."""

    def __init__(self, make: Callable[[Platform], T], close: Callable[[T], None] | None = None) -> None:
        self._make = make
        self._close = close
        self._parts: dict[Platform, T] = {}
        self._lock = threading.Lock()

    def __call__(self, platform: Platform) -> T:
        found = self._parts.get(platform)
        if found is not None:
            return found
        with self._lock:
            if platform not in self._parts:
                self._parts[platform] = self._make(platform)
                platform.at_close(lambda: self.end(platform))
            return self._parts[platform]

    def end(self, platform: Platform) -> None:
        """Close a platform's part now; the next who asks gets a new one."""
        part = self._parts.pop(platform, None)
        if part is not None and self._close is not None:
            self._close(part)

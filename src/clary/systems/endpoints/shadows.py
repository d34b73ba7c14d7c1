"""Copies of requests on their way to shadow variants, whose answers nobody gets.

Only so many are under way at once, so that a shadow that hangs costs a bounded amount of memory and connections. What
would be more is refused here, dropped by who wanted to send it, and counted.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

MOST_COPIES = 64
MOST_BYTES = 256 * 1024 * 1024

_log = logging.getLogger("clary.endpoints")


class Copies:
    """The copies that one gateway has under way: at most MOST_COPIES of an endpoint, and MOST_BYTES of all of them.

    For one event loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tasks: set[asyncio.Task[None]] = set()
        self._counts: Counter[object] = Counter()
        self._bytes = 0

    def send(self, owner: object, size: int, copy: Callable[[], Awaitable[Any]]) -> bool:
        """Have `copy` send a request of `size` bytes, soon; False when too many of `owner` are under way."""
        if self._counts[owner] >= MOST_COPIES or self._bytes + size > MOST_BYTES:
            return False
        self._counts[owner] += 1
        self._bytes += size
        task = self._loop.create_task(self._send(owner, size, copy))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _send(self, owner: object, size: int, copy: Callable[[], Awaitable[Any]]) -> None:
        try:
            await copy()
        except Exception:  # noqa: BLE001 - whatever happens to a copy, it happens to nobody who asked
            _log.exception("a copy of a request to %s could not be sent", owner)
        finally:
            self._bytes -= size
            self._counts[owner] -= 1
            if not self._counts[owner]:
                del self._counts[owner]

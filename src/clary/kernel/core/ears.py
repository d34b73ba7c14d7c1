"""One who waits on an event loop for something to happen, and may be told of it before he waits."""

import asyncio


class Ear:
    """One listener. What is heard between two waits is not missed. It is a hint: a wait may also return for nothing."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    async def wait(self, seconds: float) -> bool:
        """Wait until something is heard, at most so long; say whether it was."""
        if not self._rung.is_set():
            try:
                await asyncio.wait_for(self._rung.wait(), max(seconds, 0.0))
            except TimeoutError:
                return False
        self._rung.clear()
        return True

    def hear(self) -> None:
        """Wake who waits. On its event loop only."""
        self._rung.set()

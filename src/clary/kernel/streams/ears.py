"""Hearing of appends, in the same process at once and across processes within a few milliseconds.

The processes of a home share a board, one page of memory that a file backs: whoever appended writes something new
into its stream's slot. While somebody listens, an event loop looks at the whole board a hundred times a second, which
costs the same however many streams there are. Two streams may share a slot: their ears then wake for nothing.
"""

import asyncio
import contextlib
import mmap
import os
import struct
import threading
import weakref
import zlib
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from itertools import count
from pathlib import Path

from clary.kernel.core.ears import Ear

_SLOTS = 4096
_SLOT = struct.Struct("<Q")
_BOARD_BYTES = _SLOTS * _SLOT.size
_PERIOD_SECONDS = 0.01


class Ears:
    """Those who listen in this process. Safe to share between threads and event loops."""

    def __init__(self, file: Path) -> None:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, _BOARD_BYTES)
            self._board = mmap.mmap(descriptor, _BOARD_BYTES)
        finally:
            os.close(descriptor)
        # No two processes, and no two rings, may write the same.
        self._tokens = count(int.from_bytes(os.urandom(6), "little") << 16)
        self._posts: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Post] = weakref.WeakKeyDictionary()
        self._changing = threading.Lock()

    def ring(self, streams: Iterable[str]) -> None:
        """Wake everyone who listens to one of the streams, in every process."""
        slots = {_slot(stream) for stream in streams}
        for slot in slots:
            _SLOT.pack_into(self._board, slot, next(self._tokens) & 0xFFFFFFFFFFFFFFFF)
        if self._posts:
            with self._changing:
                posts = list(self._posts.values())
            for post in posts:
                post.look_soon(slots)

    @contextlib.asynccontextmanager
    async def listen(self, stream: str) -> AsyncIterator[Ear]:
        loop = asyncio.get_running_loop()
        with self._changing:
            post = self._posts.get(loop)
            if post is None:
                post = self._posts[loop] = _Post(self._board, loop)
        ear = Ear()
        slot = _slot(stream)
        post.ears[slot].add(ear)
        try:
            yield ear
        finally:
            post.ears[slot].discard(ear)
            if not post.ears[slot]:
                del post.ears[slot]
            if not post.ears:
                with self._changing:
                    self._posts.pop(loop, None)
                post.close()

    def close(self) -> None:
        """Those who still listen hear nothing any more."""
        with self._changing:
            for post in self._posts.values():
                post.ended = True
            self._posts.clear()


class _Post:
    """The listeners of one event loop."""

    def __init__(self, board: mmap.mmap, loop: asyncio.AbstractEventLoop) -> None:
        self.ears: defaultdict[int, set[Ear]] = defaultdict(set)
        self.ended = False
        self._board = board
        self._loop = loop
        self._seen = board[:]
        self._next = loop.call_later(_PERIOD_SECONDS, self._look_again)

    def look_soon(self, slots: set[int]) -> None:
        """Look at the board, from another thread, if one of these is listened to."""
        if any(slot in self.ears for slot in slots):
            with contextlib.suppress(RuntimeError):  # the loop was closed, and nobody is left to hear
                self._loop.call_soon_threadsafe(self._look)

    def close(self) -> None:
        self.ended = True
        self._next.cancel()

    def _look_again(self) -> None:
        if not self.ended:
            self._look()
            self._next = self._loop.call_later(_PERIOD_SECONDS, self._look_again)

    def _look(self) -> None:
        now = self._board[:]
        if now == self._seen:
            return
        seen, self._seen = self._seen, now
        for slot, ears in self.ears.items():
            if now[slot : slot + _SLOT.size] != seen[slot : slot + _SLOT.size]:
                for ear in ears:
                    ear.hear()


def _slot(stream: str) -> int:
    return zlib.crc32(stream.encode()) % _SLOTS * _SLOT.size

"""Bells: wake-ups among any processes of a home, for whoever waits for something on an event loop.

    async with bells.listen(key) as ear:
        while not (found := look()):
            await ear.wait(5.0)

Like every wake-up a ring is a hint: it may be lost, so a wait always has an end, and whoever hears it looks for
itself. A process has a socket only while somebody in it listens; ringing where nobody does costs reading a folder.
"""

import asyncio
import contextlib
import os
import secrets
import socket
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from weakref import WeakKeyDictionary

from clary.kernel.core.ears import Ear
from clary.kernel.events import socket_path

_LARGEST_KEY = 2048


class Bells:
    """The bells of one topic. Cheap to make, safe to share between threads and event loops."""

    def __init__(self, home: Path, topic: str) -> None:
        self._home = home
        self._topic = topic
        example = self._path(secrets.token_hex(8))
        self._folder = example.parent
        self._prefix = example.name[: example.name.rindex("-") + 1]
        self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sender.setblocking(False)
        self._posts: WeakKeyDictionary[asyncio.AbstractEventLoop, _Post] = WeakKeyDictionary()

    def ring(self, key: bytes) -> None:
        """Wake everyone who listens for `key`, in every process. Never blocks, never fails."""
        with contextlib.suppress(OSError), os.scandir(self._folder) as files:
            for file in files:
                if file.name.startswith(self._prefix):
                    self._send(key, file.path)

    @contextlib.asynccontextmanager
    async def listen(self, key: bytes) -> AsyncIterator[Ear]:
        """Hear `key` from now on, on the running event loop."""
        loop = asyncio.get_running_loop()
        post = self._posts.get(loop)
        if post is None:
            post = self._posts[loop] = _Post(self._path(secrets.token_hex(8)), loop)
        ear = Ear()
        post.ears[key].add(ear)
        try:
            yield ear
        finally:
            post.ears[key].discard(ear)
            if not post.ears[key]:
                del post.ears[key]
            if not post.ears:
                del self._posts[loop]
                post.close()

    def close(self) -> None:
        self._sender.close()

    def _path(self, token: str) -> Path:
        return socket_path(self._home, f"{self._topic}-{token}")

    def _send(self, key: bytes, path: str) -> None:
        try:
            self._sender.sendto(key, path)
        except ConnectionRefusedError:
            # Its process died without taking it away.
            with contextlib.suppress(OSError):
                os.unlink(path)
        except OSError:
            pass  # its queue is full, or it has just gone: whoever listens looks again before long


class _Post:
    """Where the listeners of one event loop are reached."""

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop) -> None:
        self.ears: defaultdict[bytes, set[Ear]] = defaultdict(set)
        self._path = path
        self._loop = loop
        path.parent.mkdir(parents=True, exist_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(str(path))
        loop.add_reader(self._socket.fileno(), self._read)

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                key = self._socket.recv(_LARGEST_KEY)
                for ear in self.ears.get(key, ()):
                    ear.hear()

    def close(self) -> None:
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        with contextlib.suppress(OSError):
            self._path.unlink()

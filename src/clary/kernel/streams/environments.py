"""The LMDB environments that this process has open: few at a time, however many streams there are.

They are opened when used, closed when others are wanted or nobody used them for a while, and never open while the
process forks, for LMDB forbids that.
"""

import errno
import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb

from clary.kernel.streams.contract import StreamError
from clary.kernel.streams.segments import Segment

# Addresses, neither memory nor disk: the file grows as pages are written. A segment is finished long before.
MAP_BYTES = 4 << 30
_MOST_READERS = 512
_MOST_OPEN = 100
_IDLE_SECONDS = 20.0

_all: weakref.WeakSet["Environments"] = weakref.WeakSet()


class Gone(Exception):
    """There is no environment in that folder, or no longer."""


def sync_folder(folder: Path) -> None:
    """Have names that were made or changed in `folder` on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _Held:
    __slots__ = ("env", "used", "users")

    def __init__(self, env: Any) -> None:
        self.env = env
        self.users = 0
        self.used = True


class Environments:
    def __init__(self, *, durable: bool) -> None:
        self._durable = durable
        self._reset()
        _all.add(self)

    def _reset(self) -> None:
        self.free = threading.Condition(threading.Lock())
        self.users = 0
        self.held: OrderedDict[Path, _Held] = OrderedDict()
        self._janitor: threading.Thread | None = None
        self._closed = threading.Event()

    @contextmanager
    def borrow(self, folder: Path) -> Iterator[Any]:
        """The environment in `folder`, open at least until it is given back. Raises Gone."""
        with self.free:
            held = self.held.get(folder)
            if held is None:
                held = self.held[folder] = _Held(self._open(folder))
                self._make_room()
            else:
                self.held.move_to_end(folder)
            held.used = True
            held.users += 1
            self.users += 1
        try:
            yield held.env
        finally:
            with self.free:
                held.users -= 1
                self.users -= 1
                self.free.notify_all()

    @contextmanager
    def making(self, folder: Path) -> Iterator[Segment]:
        """A new segment in a new folder, to be filled; on disk when done."""
        with self.free:
            self.users += 1
        try:
            folder.mkdir(parents=True)
            env = self._environment(folder)
            try:
                with env.begin(write=True, buffers=True) as txn:
                    yield Segment(txn)
            finally:
                env.close()
            sync_folder(folder)
        finally:
            with self.free:
                self.users -= 1
                self.free.notify_all()

    def close(self) -> None:
        """Close all, once nobody uses them."""
        with self.free:
            self._closed.set()
            self.free.wait_for(lambda: not self.users)
            for held in self.held.values():
                held.env.close()
            self.held.clear()

    def drop(self, folder: Path) -> None:
        """Close what is open in `folder` or below, as soon as nobody uses it."""
        with self.free:
            for path in [path for path in self.held if path == folder or folder in path.parents]:
                held = self.held[path]
                if not held.users:
                    held.env.close()
                    del self.held[path]

    def _open(self, folder: Path) -> Any:
        if self._closed.is_set():
            raise StreamError("the streams were closed")
        env = self._environment(folder)
        env.reader_check()
        if self._janitor is None:
            self._janitor = threading.Thread(target=self._tidy, name="streams-tidy", daemon=True)
            self._janitor.start()
        return env

    def _environment(self, folder: Path) -> Any:
        try:
            return lmdb.open(
                str(folder),
                map_size=MAP_BYTES,
                max_readers=_MOST_READERS,
                mode=0o600,
                create=False,
                sync=self._durable,
                metasync=self._durable,
            )
        except lmdb.Error as error:
            if not folder.exists() or os.strerror(errno.ENOENT) in str(error):
                raise Gone(str(folder)) from error
            raise StreamError(f"cannot open {folder}: {error}") from error

    def _make_room(self) -> None:
        """Close those that nobody has used for longest; `free` is held."""
        surplus = len(self.held) - _MOST_OPEN
        for folder in list(self.held)[: max(surplus, 0)]:
            if not self.held[folder].users:
                self.held.pop(folder).env.close()

    def _tidy(self) -> None:
        """Close what was not used lately, and what another process deleted: its space is free only then."""
        while not self._closed.wait(_IDLE_SECONDS):
            with self.free:
                for folder, held in list(self.held.items()):
                    if held.users:
                        continue
                    if not held.used or not folder.exists():
                        held.env.close()
                        del self.held[folder]
                    held.used = False
                if not self.held:
                    self._janitor = None
                    return


# Those whose lock the forking thread holds, with nothing in use.
_quiet: list[Environments] = []


def _before_fork() -> None:
    for environments in list(_all):
        environments.free.acquire()
        environments.free.wait_for(lambda: not environments.users)  # noqa: B023 - called at once
        _quiet.append(environments)


def _after_fork_in_parent() -> None:
    while _quiet:
        _quiet.pop().free.release()


def _after_fork_in_child() -> None:
    """Let go of the parent's environments; they are opened again when next used."""
    while _quiet:
        environments = _quiet.pop()
        inherited = list(environments.held.values())
        was_closed = environments._closed.is_set()
        environments._reset()
        if was_closed:
            environments._closed.set()
        for held in inherited:
            held.env.close()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)

"""Key-value domains in LMDB: one environment per domain, shared by every process of the home.

LMDB gives one writer at a time over all processes (a robust lock: a killed writer blocks nobody and leaves nothing half
written) and readers that never wait. What this module adds: group commit, a map that grows, keys of any length,
recovery of reader slots that killed processes held, and safety when the process forks.
"""

import os
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import lmdb

from clary.kernel.kv.contract import KeyValueError, Snapshot, Transaction
from clary.kernel.kv.group_commit import GroupCommit, Outcome
from clary.kernel.kv.trees import STUB, Trees

T = TypeVar("T")
Change = Callable[[Transaction], Any]

# The map reserves addresses, not memory or disk: the file grows as pages are written.
INITIAL_MAP_BYTES = 4 << 30
_LARGEST_STEP_BYTES = 256 << 30
_MOST_READERS = 4096
_COMMITS_BETWEEN_READER_CHECKS = 1000

_domains: weakref.WeakSet["LmdbDomain"] = weakref.WeakSet()


class LmdbDomain:
    """One LMDB environment that keeps the promises of `KeyValue`."""

    # The environment and its two trees; None while nothing is open.
    _env: Any
    _keys: Any
    _rests: Any
    # `_committing` is held while this process has a write transaction, `_reading` while it has a read transaction:
    # the map may be resized only when it has neither. Taken in this order.
    _committing: threading.Lock
    _reading: "threading.RLock"
    _depth: int
    _writer: GroupCommit[Change]

    def __init__(self, directory: Path, *, map_bytes: int = INITIAL_MAP_BYTES, durable: bool = True) -> None:
        self.users = 0
        self._directory = directory
        self._map_bytes = map_bytes
        self._durable = durable
        self._closed = False
        self._commits = 0
        self._reset()
        self._open()
        _domains.add(self)

    def get(self, key: bytes) -> bytes | None:
        if 0 < len(key) < STUB:
            # What `_read` does, for the read that is made most: of a short key, and of nothing else.
            with self._reading:
                env = self._environment()
                try:
                    with env.begin() as txn:
                        return txn.get(key, None, self._keys)  # type: ignore[no-any-return]
                except lmdb.MapResizedError:
                    pass  # which `_read` does something about
        return self.read(lambda snapshot: snapshot.get(key))

    def scan(
        self, start: bytes = b"", end: bytes | None = None, *, limit: int | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        left = limit
        while left is None or left > 0:
            low, high, most = start, end, left
            pairs = self._read(lambda trees: trees.batch(low, high, most, reverse))  # noqa: B023 - called at once
            yield from pairs
            if not pairs:
                return
            if left is not None:
                left -= len(pairs)
            if reverse:
                end = pairs[-1][0]
            else:
                start = pairs[-1][0] + b"\0"

    def read(self, look: Callable[[Snapshot], T]) -> T:
        return self._read(look)

    def write(self, change: Callable[[Transaction], T]) -> T:
        return self._writer.run(change)  # type: ignore[no-any-return]

    async def write_async(self, change: Callable[[Transaction], T]) -> T:
        return await self._writer.run_async(change)  # type: ignore[no-any-return]

    def clear(self) -> None:
        with self._committing:
            try:
                with self._begin_write(self._environment()) as txn:
                    txn.drop(self._keys, delete=False)
                    txn.drop(self._rests, delete=False)
            except lmdb.Error as error:
                raise KeyValueError(f"cannot clear {self._directory}: {error}") from error

    def close(self) -> None:
        """Give the domain up; the last user's close commits what was accepted and unmaps the file."""
        with _shared_lock:
            self.users -= 1
            if self.users > 0:
                return
            _shared.pop(self._directory, None)
        self._writer.close()
        with self._committing, self._reading:
            self._closed = True
            if self._env is not None:
                self._env.close()
                self._env = None

    def _reset(self) -> None:
        """Start with nothing open; also what a forked child does with what it inherited."""
        self._env = self._keys = self._rests = None
        self._committing = threading.Lock()
        self._reading = threading.RLock()
        self._depth = 0
        self._writer = GroupCommit(f"kv-{self._directory.name}", self._commit)

    def _environment(self) -> Any:
        return self._env if self._env is not None else self._open()

    def _open(self) -> Any:
        with self._reading:
            if self._closed:
                raise KeyValueError(f"the key-value domain {self._directory.name} was closed")
            if self._env is None:
                self._directory.mkdir(parents=True, exist_ok=True)
                try:
                    # An existing map larger than asked for keeps its size.
                    env = lmdb.open(
                        str(self._directory),
                        map_size=self._map_bytes,
                        max_dbs=2,
                        max_readers=_MOST_READERS,
                        mode=0o600,
                        sync=self._durable,
                        metasync=self._durable,
                    )
                    env.reader_check()
                    self._keys = env.open_db(b"keys")
                    self._rests = env.open_db(b"rests")
                except lmdb.Error as error:
                    raise KeyValueError(f"cannot open {self._directory}: {error}") from error
                self._env = env
            return self._env

    def _read(self, look: Callable[[Trees], T]) -> T:
        while True:
            with self._reading:
                env = self._environment()
                try:
                    txn = env.begin()
                except lmdb.MapResizedError:
                    # Another process outgrew our map.
                    if self._depth:
                        raise
                else:
                    self._depth += 1
                    try:
                        with txn:
                            return look(Trees(txn, self._keys, self._rests))
                    finally:
                        self._depth -= 1
            with self._committing:
                self._resize(0)

    def _begin_write(self, env: Any) -> Any:
        """Begin the write transaction of this process; `_committing` is held."""
        while True:
            try:
                return env.begin(write=True)
            except lmdb.MapResizedError:
                self._resize(0)

    def _commit(self, changes: Sequence[Change]) -> list[Outcome]:
        """Apply `changes` in one transaction, growing the map and starting over as often as they need."""
        with self._committing:
            env = self._environment()
            self._commits += 1
            if self._commits % _COMMITS_BETWEEN_READER_CHECKS == 0:
                env.reader_check()
            while True:
                try:
                    txn = self._begin_write(env)
                    try:
                        outcomes = self._apply(txn, changes)
                        txn.commit()
                    except BaseException:
                        txn.abort()
                        raise
                    return outcomes
                except lmdb.MapFullError:
                    size = env.info()["map_size"]
                    self._resize(size + min(size, _LARGEST_STEP_BYTES))
                except lmdb.Error as error:
                    raise KeyValueError(f"cannot write to {self._directory}: {error}") from error

    def _apply(self, txn: Any, changes: Sequence[Change]) -> list[Outcome]:
        outcomes = []
        for change in changes:
            trees = _Guarded(txn, self._keys, self._rests, [])
            try:
                outcome = Outcome(change(trees), None)
            except BaseException as error:  # noqa: BLE001 - it belongs to the caller of this change alone
                outcome = Outcome(None, error)
            if trees.failure is not None:
                # Whatever the change made of it, LMDB gave up on this transaction.
                raise trees.failure
            if outcome.error is not None:
                trees.roll_back()
            outcomes.append(outcome)
        return outcomes

    def _resize(self, size: int) -> None:
        """Give the map `size` bytes, or the size another process gave it for 0; `_committing` is held."""
        with self._reading:
            self._environment().set_mapsize(size)


class _Guarded(Trees):
    """Trees that remember the first failure of LMDB, which no change may swallow."""

    __slots__ = ("failure",)

    def __init__(self, txn: Any, keys: Any, rests: Any, undo: list[tuple[bytes, bytes | None]]) -> None:
        super().__init__(txn, keys, rests, undo)
        self.failure: lmdb.Error | None = None

    def put(self, key: bytes, value: bytes) -> None:
        try:
            super().put(key, value)
        except lmdb.Error as error:
            self.failure = self.failure or error
            raise

    def delete(self, key: bytes) -> bool:
        try:
            return super().delete(key)
        except lmdb.Error as error:
            self.failure = self.failure or error
            raise


# LMDB forbids a process to open an environment twice, so those who ask for the same one share it.
_shared: dict[Path, LmdbDomain] = {}
_shared_lock = threading.Lock()


def open_lmdb(directory: Path, *, map_bytes: int = INITIAL_MAP_BYTES, durable: bool = True) -> LmdbDomain:
    """Open the domain in `directory`, created when new. It stays open until closed as often as it was opened."""
    path = directory.absolute()
    with _shared_lock:
        domain = _shared.get(path)
        if domain is None:
            domain = _shared[path] = LmdbDomain(path, map_bytes=map_bytes, durable=durable)
        domain.users += 1
        return domain


# The domains whose locks the forking thread holds, so that no transaction is open at the moment of a fork.
_quiet: list[LmdbDomain] = []


def _before_fork() -> None:
    _shared_lock.acquire()
    for domain in list(_domains):
        domain._committing.acquire()
        domain._reading.acquire()
        _quiet.append(domain)


def _after_fork_in_parent() -> None:
    while _quiet:
        domain = _quiet.pop()
        domain._reading.release()
        domain._committing.release()
    _shared_lock.release()


def _after_fork_in_child() -> None:
    """Let go of the parent's environments; each domain opens one of its own when it is next used."""
    while _quiet:
        domain = _quiet.pop()
        env = domain._env
        domain._reset()
        if env is not None:
            env.close()
    _shared_lock.release()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)

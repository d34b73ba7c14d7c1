"""What every key-value backend promises.

Keys are byte strings of 1 to MAX_KEY_BYTES, ordered as bytes (a prefix sorts before what it begins). Values are byte
strings of any length, empty included. A *domain* is an independent keyspace with its own transactions.
"""

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

T = TypeVar("T")

MAX_KEY_BYTES = 4096


class KeyValueError(Exception):
    """The storage itself failed: the disk is full, a file is damaged, or the domain was closed."""


def checked_key(key: bytes) -> bytes:
    """Return `key`, or raise ValueError when no backend could store it."""
    if not 0 < len(key) <= MAX_KEY_BYTES:
        raise ValueError(f"a key must have 1 to {MAX_KEY_BYTES} bytes; this one has {len(key)}")
    return key


def after_prefix(prefix: bytes) -> bytes | None:
    """Return the smallest key greater than every key that begins with `prefix`; None when there is no such key."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None


class Snapshot(Protocol):
    """One consistent state of a domain, to be read inside the call that lent it and nowhere else."""

    def get(self, key: bytes) -> bytes | None: ...

    def scan(
        self, start: bytes = b"", end: bytes | None = None, *, limit: int | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield the pairs with `start` <= key < `end` in byte order, or from the greatest down with `reverse`.

        In a transaction the scan may change what it walks over: an entry is yielded if it exists when its turn comes
        or existed shortly before.
        """
        ...


class Transaction(Snapshot, Protocol):
    """A snapshot that sees its own writes."""

    def put(self, key: bytes, value: bytes) -> None:
        """Store `value` under `key`, replacing what was there."""
        ...

    def delete(self, key: bytes) -> bool:
        """Remove `key`; say whether it was there."""
        ...


class KeyValue(Protocol):
    """One domain. Threads, event loops and processes may share it freely."""

    def get(self, key: bytes) -> bytes | None:
        """Return the newest committed value."""
        ...

    def scan(
        self, start: bytes = b"", end: bytes | None = None, *, limit: int | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield committed pairs in key order, `start` <= key < `end`.

        The scan reads in batches of about a thousand pairs; each batch is one consistent state, and later batches
        see later writes. It holds nothing between batches, so it may be abandoned or resumed at any time.
        """
        ...

    def read(self, look: Callable[[Snapshot], T]) -> T:
        """Return what `look` makes of one consistent state. `look` must be quick and must not write."""
        ...

    def write(self, change: Callable[[Transaction], T]) -> T:
        """Apply `change` atomically and return its result, durable on disk.

        Changes from all threads and processes are applied one after another; those that wait together share one
        commit. When `change` raises, none of its writes remain and the exception reaches the caller. `change` runs
        on another thread and may run more than once (only the last run counts), so it must have no effect outside
        the transaction that a repetition would spoil; it must be quick, and must not call `write`.
        """
        ...

    async def write_async(self, change: Callable[[Transaction], T]) -> T:
        """Like `write`, from an event loop. A cancelled call may still be applied."""
        ...

    def clear(self) -> None:
        """Remove every pair, durably."""
        ...

    def close(self) -> None:
        """Give the domain up. Its last user's close finishes what was accepted; later calls raise KeyValueError."""
        ...

"""What every online store promises.

A *group* is an independent space of keys, named by text without NUL. Each key has one record: the time of its event,
when it expires, whether it was deleted softly, and bytes that belong to whoever wrote them. Keys are text of at most
MOST_KEY_BYTES.

- **By event time**: a put or a delete takes effect only where its event is later than that of the record there, one
  that was deleted softly included. Where nothing is, or what is there has expired, it always does.
- **Atomic and durable**: each write happens or does not; once it was answered it survives, as far as the backend
  promises. Its entry of the journal is written exactly if the write says so, once, and never lost.
- **Gone means gone**: what expired is not read, whether or not it was cleared away already; a group that was dropped
  takes no write.
- **Safe to share**: between threads, event loops and processes.
"""

from collections.abc import Callable, Sequence
from enum import Enum
from typing import NamedTuple, Protocol

from clary.kernel.kv import Transaction

MOST_KEY_BYTES = 2048

PUT, SOFT_DELETE, HARD_DELETE, REPLACE = range(4)

Journal = Callable[[Transaction, str, bytes], object]
"""Appends an entry to the journal of a group, in a transaction of the home's domain."""

Farewell = Callable[[str, str, "Item"], bytes | None]
"""What the journal is to say of a record that has expired, by its group and key; None for nothing."""

# Events are nanoseconds since the epoch, of the years 0 to 9999.
FIRST_EVENT, BEHIND_EVENTS = -62_167_219_200 * 10**9, 253_402_300_800 * 10**9


class Item(NamedTuple):
    """A record as it is stored: its event in nanoseconds since the epoch, when it expires in epoch seconds, 0 for
    never."""

    event: int
    expires: float
    deleted: bool
    data: bytes


class Outcome(Enum):
    """What became of a write.

    `OLDER`: what is there is as new. `CHANGED`: it is not what a replacement expected. `GONE`: the group was dropped.
    """

    APPLIED = "applied"
    OLDER = "older"
    CHANGED = "changed"
    GONE = "gone"


class Write(NamedTuple):
    """One change of a key, and what it leaves in the journal.

    `kind` is PUT, SOFT_DELETE (the record stays as a marker without data), HARD_DELETE (nothing stays), REPLACE (only
    where `expected` is stored, whatever the event), or None, which touches the journal alone. `entry` is for the
    journal, None for nothing; with `if_applied` it is written only when the change was APPLIED.
    """

    group: str
    key: str
    kind: int | None
    event: int = 0
    expires: float = 0.0
    data: bytes = b""
    entry: bytes | None = None
    if_applied: bool = False
    expected: Item | None = None


class Size(NamedTuple):
    """What a group holds: records, markers of deleted ones and what is not yet cleared away included."""

    records: int
    bytes: int


class OnlineStore(Protocol):
    """A backend. The module's docstring holds its promises."""

    def open(self, group: str) -> None:
        """Have a group that is not there take writes. Blocks; durable once returned."""

    def drop(self, group: str) -> None:
        """Forget a group and all its records; its journal stays. Blocks; may be repeated."""

    async def get(self, group: str, key: str) -> Item | None:
        """The record of a key, a marker of a soft deletion included; None where there is none or it has expired."""

    async def get_many(self, wanted: Sequence[tuple[str, str]]) -> list[Item | None]:
        """`get` for groups and keys, at once."""

    async def write(self, write: Write) -> Outcome:
        """Carry out a write. It is as durable as the backend promises when this returns."""

    async def write_many(self, writes: Sequence[Write]) -> list[Outcome]:
        """Carry out several, in their order: each is decided for itself."""

    def keys(
        self, group: str, *, after: str | None = None, limit: int, deleted: bool = False
    ) -> tuple[list[str], str | None]:
        """Keys of a group's records in an order of the backend's, from behind a position on; and the position from
        which on there may be more, None at the end. With `deleted`, those of soft deletions too. Blocks."""

    def size(self, group: str) -> Size:
        """What a group holds. Blocks."""

    def clear_expired(self, limit: int, farewell: Farewell) -> int:
        """Clear up to `limit` expired records away, each with its farewell in the journal; return how many. Blocks."""

    def recover(self) -> None:
        """Complete what was interrupted between journal and records, when some time has passed since. Blocks."""

    def close(self) -> None: ...


class OnlineStoreError(Exception):
    """The storage itself failed or cannot be reached. Whether a write took effect is not known."""

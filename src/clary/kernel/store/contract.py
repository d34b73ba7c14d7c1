"""The record store's contract. Every backend passes `tests/conformance/test_store.py`.

A row is a JSON document in an envelope. The envelope's columns are what lists can filter and sort by; the
document belongs to the room. Promises that a backend makes:

- **Durable**: once `apply` returns, its changes survive `kill -9` and power loss.
- **Atomic**: the changes of one `apply` happen together or not at all.
- **Optimistic**: `Replace` and `Delete` with a version fail with `Conflict` when someone wrote in between.
- **Safe to share**: between threads, and between processes that opened the same store.
- **Immutable**: rows handed out never change.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

SortColumn = Literal["name", "created_at", "updated_at", "status"]


class Conflict(Exception):
    """The row was changed or removed since it was read: read it again and decide again."""


class AlreadyExists(Exception):
    """A row with this key is there already."""


@dataclass(frozen=True, slots=True)
class Key:
    """What names a row. `account` and `region` are empty for kinds that have no such scope."""

    kind: str
    account: str
    region: str
    name: str


@dataclass(frozen=True, slots=True)
class Row:
    """One stored document. Times are epoch seconds; `version` starts at 1 and grows by one a write."""

    key: Key
    body: bytes
    schema: int
    status: str
    parent: str
    created_at: float
    updated_at: float
    version: int


@dataclass(frozen=True, slots=True)
class Insert:
    """Add a row; `AlreadyExists` when its key is taken. The row's own version is ignored."""

    row: Row


@dataclass(frozen=True, slots=True)
class Replace:
    """Write a row over the one whose version is `row.version`; `Conflict` when that one is gone."""

    row: Row


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a row; with a version, only that version (`Conflict` otherwise). A missing row is `Conflict` too."""

    key: Key
    version: int | None = None


Change = Insert | Replace | Delete


@dataclass(frozen=True, slots=True)
class Query:
    """Which rows to list, in which order. None means any; bounds on times are inclusive.

    `after` is the (sort value, account, region, name) of the last row already seen.
    """

    kind: str
    account: str | None = None
    region: str | None = None
    parent: str | None = None
    statuses: tuple[str, ...] | None = None
    name_contains: str | None = None
    name_prefix: str | None = None
    created_after: float | None = None
    created_before: float | None = None
    updated_after: float | None = None
    updated_before: float | None = None
    sort: SortColumn = "name"
    descending: bool = False
    after: tuple[str | float, str, str, str] | None = None
    limit: int | None = None


class Store(Protocol):
    """A backend. The module's docstring holds its promises."""

    def get(self, key: Key) -> Row | None:
        """The row, or None."""

    def apply(self, changes: Sequence[Change]) -> list[Row | None]:
        """Carry out all changes or none; return the new row of each (None for a delete).

        Raises AlreadyExists or Conflict, and then nothing has changed.
        """

    def select(self, query: Query) -> list[Row]:
        """The rows that match, in order; ties are broken by account, region and name."""

    def count(self, query: Query) -> int:
        """How many rows match, `after` and `limit` aside."""

    def clear(self) -> None:
        """Remove every row (ephemeral servers only)."""

    def close(self) -> None:
        """Let go of files and connections; the store is of no use afterwards."""

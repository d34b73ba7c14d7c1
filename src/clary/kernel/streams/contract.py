"""What every backend of streams promises.

A *stream* is a set of *shards*; a shard is a sequence of records, each with an *offset*. Offsets are at least 1, grow
within a shard and may skip. Whoever makes a stream chooses its name once and never again for another (`new_id()` is a
good one): letters, digits, '_' and '-', at most 64. Names of shards obey the same rule. Times are epoch milliseconds.

    StreamError         the storage itself failed, or cannot be reached: nothing is known of what was asked
    └── NoSuchStream    there is no stream of that name; it may have been deleted meanwhile
"""

import re
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

from clary.kernel.core.ears import Ear

MOST_RECORDS = 10_000

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class StreamError(Exception):
    """The storage failed or cannot be reached."""


class NoSuchStream(StreamError):
    """There is no stream of that name."""


def is_name(name: str) -> bool:
    """Whether a stream or shard could have this name."""
    return _NAME.fullmatch(name) is not None


def checked_name(name: str) -> str:
    """Return `name`, or raise ValueError when no stream and no shard could have it."""
    if not is_name(name):
        raise ValueError(f"{name!r} cannot name a stream or shard: use up to 64 letters, digits, '_' and '-'")
    return name


class Entry(NamedTuple):
    """What is to be appended: `data` to `shard`, with a `key` that is kept beside it and means nothing here."""

    shard: str
    key: str
    data: bytes


class Placed(NamedTuple):
    """Where an entry went, and when it arrived: never before the shard's record before it, as a rule to the
    millisecond what its record says; a server elsewhere may have stored it a moment earlier."""

    offset: int
    at_ms: int


class Record(NamedTuple):
    offset: int
    at_ms: int
    key: str
    data: bytes


class Page(NamedTuple):
    """Records of a shard in order. Reading goes on at the offset `next`, when there are none too.

    `more` is whether there were records behind these; `ended` whether there are none and never will be, since the
    shard is closed and was read to its end.
    """

    records: list[Record]
    next: int
    more: bool
    ended: bool


class Bounds(NamedTuple):
    """Which offsets a shard has: records at `first` and after, none yet at `end` and after. `first` == `end` when it is
    empty. `records` and `data_bytes` say how much is kept, or close to it."""

    first: int
    end: int
    closed: bool
    records: int
    data_bytes: int


class Streams(Protocol):
    """The streams of a home, or of many. Threads, event loops and processes may share them freely.

    - **Durable**: what `append` placed survives `kill -9` of any process and a power cut.
    - **Ordered**: a record is in a shard for ever at its offset; readers never see one before those of smaller
      offsets, nor one that was not placed for good.
    - **Once**: an append that was answered is there exactly once. One that raised, or whose process died, may be there
      or not, each of its entries for itself.
    - **Constant**: opening a stream, appending, and reading from any offset or time take no longer when there are many
      records.
    """

    def create(self, stream: str, shards: Sequence[str]) -> None:
        """Make a stream with empty, open shards. Nothing happens when there is one of that name."""
        ...

    def reshard(self, stream: str, close: Sequence[str], opening: Sequence[str]) -> None:
        """Close shards for good and make new ones, at once: from then on `append` refuses the closed ones, and what
        it placed in them before is there for every reader. May be repeated. Raises NoSuchStream."""
        ...

    def append(self, stream: str, entries: Sequence[Entry]) -> list[Placed | None]:
        """Place entries in their shards, in their order; None stands for each whose shard is closed or unknown.

        Durable once returned. Raises NoSuchStream.
        """
        ...

    async def append_async(self, stream: str, entries: Sequence[Entry]) -> list[Placed | None]:
        """`append` from an event loop. A cancelled call may still be applied."""
        ...

    def read(
        self, stream: str, shard: str, start: int, *, most: int = MOST_RECORDS, most_bytes: int = 10 * 1024**2
    ) -> Page:
        """The records at the offset `start` and after: at most so many, and as many as fit into so many bytes of data
        and keys, but at least one when there is any. Offsets before the first are passed over. Raises NoSuchStream; a
        shard that is unknown is empty and ended."""
        ...

    async def read_async(
        self, stream: str, shard: str, start: int, *, most: int = MOST_RECORDS, most_bytes: int = 10 * 1024**2
    ) -> Page:
        """`read` from an event loop."""
        ...

    def offset_at(self, stream: str, shard: str, at_ms: int) -> int:
        """The offset of the first record that arrived at this time or later; the shard's end when none did.

        Raises NoSuchStream.
        """
        ...

    def bounds(self, stream: str, shard: str) -> Bounds:
        """Raises NoSuchStream; a shard that is unknown is empty and closed."""
        ...

    def expire(self, stream: str, before_ms: int) -> None:
        """Forget all records that arrived before this time, in all shards, and give their space back. Raises
        NoSuchStream."""
        ...

    def trim(self, stream: str, shard: str, before: int) -> None:
        """Forget the records of a shard before the offset `before`, and give their space back. Raises NoSuchStream."""
        ...

    def delete(self, stream: str) -> None:
        """Forget a stream, and give its space back. Nothing happens when there is none."""
        ...

    def listen(self, stream: str) -> AbstractAsyncContextManager[Ear]:
        """Hear of what any process appends to a stream, on the running event loop: within 20 ms, as a rule."""
        ...

    def clear(self) -> None:
        """Forget every stream."""
        ...

    def close(self) -> None:
        """Finish what was accepted; later calls raise StreamError."""
        ...

"""What a destination of delivery streams promises.

A module `destinations/<name>.py` that `kinds.KINDS` names has

    check(configuration) -> None
        Raise InvalidArgumentException for what the destination cannot honour. `configuration` is the member of
        CreateDeliveryStream with AWS's defaults filled in; after an update, the merged one.
    open(platform, stream, configuration) -> Destination
        `stream` is the stored entry of the delivery stream. Must be cheap: it is called anew after each update, and
        connections are made when something is delivered.

Whoever drives a destination buffers, tries again what raised `Unavailable` for as long as its RetryOptions say, writes
what was refused or given up to the error output, backs up source records and counts metrics. One thread at a time
uses a destination; several may be open for one delivery stream over time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable


class Record(NamedTuple):
    """A record after processing: decompressed and transformed, the delimiter not yet added.

    `id` is the same when delivery is tried again, also after a restart. `at_ms` is its arrival. `partition` has the
    keys of partitionKeyFromQuery and partitionKeyFromLambda, and what a function's otfMetadata says; it is empty
    without. `place` is (offset in the delivery stream's buffer, number among the records that came out of that one).
    """

    id: str
    at_ms: int
    data: bytes
    partition: Mapping[str, str]
    place: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Failure:
    """The record at `index` of the batch is refused for good."""

    index: int
    code: str
    message: str


class Unavailable(Exception):
    """The destination cannot be reached or is at fault as a whole: nothing is known to be delivered."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


class Destination(Protocol):
    """Where batches of one delivery stream go."""

    def deliver(self, batch: Sequence[Record]) -> list[Failure]:
        """Deliver a batch that is not empty; return the records that are refused for good, by their index.

        Blocks, at most a few minutes. All others are durable at the destination once this returns. The same batch,
        or one that begins like it, may come again. Raises Unavailable.
        """
        ...

    def close(self) -> None:
        """Let go of connections. Never raises."""
        ...


@runtime_checkable
class Detailed(Protocol):
    """A destination that has more to say in the error output about a record that it refused."""

    def details(self, record: Record) -> Mapping[str, str]:
        """Members of the error output's document."""
        ...


@runtime_checkable
class GivesUp(Protocol):
    """A destination that knows, when a batch is given up, what of it is not delivered."""

    def give_up(self, batch: Sequence[Record], code: str, message: str) -> list[Failure]:
        """Return the records for the error output; none of those that it wrote an error output of its own about.

        `code` and `message` are why the batch is given up. May come again for the same batch. Raises Unavailable.
        """
        ...

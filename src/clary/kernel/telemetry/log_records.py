"""What log streams are made of: groups, streams, events, and the errors of asking for what is not there.

Timestamps are milliseconds since the epoch, as on the wire of CloudWatch Logs.
"""

from dataclasses import dataclass, field
from typing import Any

EVENT_OVERHEAD_BYTES = 26
"""What AWS adds to a message's length when it counts bytes."""


class GroupNotFound(Exception):
    """There is no log group of this name."""


class StreamNotFound(Exception):
    """The group has no stream of this name."""


class NameTaken(Exception):
    """A group or stream of this name is there already."""


@dataclass(frozen=True, slots=True)
class LogGroup:
    """A group. `attributes` belongs to the `logs` room (tags, class); telemetry keeps it and never looks inside."""

    id: int
    name: str
    created_at: int
    retention_days: int | None = None
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LogStream:
    """A stream of a group. The event times are None until it has events."""

    id: int
    group_id: int
    name: str
    created_at: int
    first_event: int | None = None
    last_event: int | None = None
    last_ingestion: int | None = None
    next_sequence: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a stream."""

    stream_id: int
    timestamp: int
    sequence: int
    ingested_at: int
    message: str

    @property
    def position(self) -> int:
        """The gap just before this event, within its stream."""
        return self.timestamp << 64 | self.sequence

    @property
    def id(self) -> int:
        """Unique within the server; ids of a group's events sort as `merged` returns them."""
        return self.timestamp << 128 | self.stream_id << 64 | self.sequence

    @property
    def size(self) -> int:
        """Bytes, counted as AWS does."""
        return len(self.message.encode("utf-8", "replace")) + EVENT_OVERHEAD_BYTES


@dataclass(frozen=True, slots=True)
class Slice:
    """Events of one stream, oldest first, and the gaps before the first and after the last of them."""

    events: list[Event]
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """What one append brought to a stream: `count` events from sequence `first_sequence` on."""

    number: int
    stream_id: int
    stream_name: str
    first_sequence: int
    count: int
    earliest: int
    latest: int
    ingested_at: int

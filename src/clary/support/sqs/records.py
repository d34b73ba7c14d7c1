"""What the room stores: queues and messages in the key-value domain `sqs`, move tasks in the record store."""

import struct
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from clary.kernel.core.arns import partition_of
from clary.kernel.store import record

DEFAULTS = {
    "DelaySeconds": "0",
    "MaximumMessageSize": "1048576",
    "MessageRetentionPeriod": "345600",
    "ReceiveMessageWaitTimeSeconds": "0",
    "VisibilityTimeout": "30",
}
FIFO_DEFAULTS = {
    "ContentBasedDeduplication": "false",
    "DeduplicationScope": "queue",
    "FifoThroughputLimit": "perQueue",
}


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue. `attributes` are those that were set. `pile` numbers where its messages lie: purging gives it a new
    one. Times are epoch seconds."""

    account: str
    region: str
    name: str
    id: int
    pile: int
    created_at: float
    modified_at: float
    attributes: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    purged_at: float = 0.0

    @property
    def arn(self) -> str:
        return f"arn:{partition_of(self.region)}:sqs:{self.region}:{self.account}:{self.name}"

    @property
    def is_fifo(self) -> bool:
        return self.name.endswith(".fifo")

    def number(self, attribute: str) -> int:
        """The value of an attribute that is a number."""
        return int(self.attributes.get(attribute, DEFAULTS[attribute]))

    def document(self, attribute: str) -> dict[str, Any]:
        """The value of an attribute that is a JSON document; empty when it is not set."""
        text = self.attributes.get(attribute)
        return _document(text) if text else {}

    def dump(self) -> bytes:
        return orjson.dumps(self)


@lru_cache(maxsize=4096)
def read_queue(data: bytes) -> Queue:
    return Queue(**orjson.loads(data))


@lru_cache(maxsize=4096)
def _document(text: str) -> dict[str, Any]:
    return dict(orjson.loads(text))


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it was sent. Message attributes are kept as on the wire, binary ones in base64.

    `retained_from_ms` is when its retention began; `source_arn` the queue it was a dead letter of.
    """

    id: str
    body: str
    md5: str
    sender: str
    sent_at_ms: int
    retained_from_ms: int
    attributes: dict[str, dict[str, str]] = field(default_factory=dict)
    trace_header: str = ""
    group: str = ""
    deduplication_id: str = ""
    source_arn: str = ""

    def dump(self) -> bytes:
        return orjson.dumps(self)


def read_message(data: bytes) -> Message:
    return Message(**orjson.loads(data))


_STATE = struct.Struct(">QIQQ8s")
NO_RECEIPT = bytes(8)


class State(NamedTuple):
    """What changes about a message. `receipt` is that of its latest receive, nothing before the first."""

    visible_ms: int
    receives: int = 0
    first_received_ms: int = 0
    received_ms: int = 0
    receipt: bytes = NO_RECEIPT

    def dump(self) -> bytes:
        return _STATE.pack(*self)


def read_state(data: bytes) -> State:
    return State(*_STATE.unpack(data))


@record("sqs_move_task", version=1)
@dataclass(frozen=True, slots=True)
class MoveTask:
    """The task, named by its id, that moves messages out of a dead-letter queue; its parent is that queue's ARN.

    Its status is AWS's: RUNNING, COMPLETED, CANCELLING, CANCELLED or FAILED. The messages up to the sequence number
    `last` were there when it started. `per_second` is 0 for as fast as it goes.
    """

    source_arn: str
    destination_arn: str
    per_second: int
    to_move: int
    moved: int = 0
    last: int = 0
    failure: str = ""

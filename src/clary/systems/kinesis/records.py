"""What the room stores: streams with their shard maps, consumers, an account's settings, and what is to be deleted.

The records of a stream's shards lie in `platform.streams`, under the stream's id, which is never used again.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from clary.kernel.core.arns import partition_of
from clary.kernel.store import record

TOPIC = "kinesis"

CREATING, ACTIVE, UPDATING, DELETING = "CREATING", "ACTIVE", "UPDATING", "DELETING"
PROVISIONED, ON_DEMAND = "PROVISIONED", "ON_DEMAND"
BY_KEY, AUTO = "USER_PARTITION_KEY", "AUTO"

DEFAULT_RETENTION_HOURS = 24
DEFAULT_RECORD_KIB = 1024


@dataclass(frozen=True, slots=True)
class Shard:
    """One shard. `start` and `end`, inclusive, are decimal numbers of 128 bits, which JSON cannot hold as numbers.

    `epoch` is the second that its sequence numbers begin with: greater than its parents', so that their records come
    before its own. `parent` and `adjacent_parent` are numbers of shards that may have been forgotten since.
    `closed_ms` is when it was asked to be closed.
    """

    number: int
    start: str
    end: str
    epoch: int
    opened_ms: int
    parent: int | None = None
    adjacent_parent: int | None = None
    closed_ms: int | None = None

    @property
    def id(self) -> str:
        return shard_id(self.number)

    @property
    def first(self) -> int:
        return int(self.start)

    @property
    def last(self) -> int:
        return int(self.end)


def shard_id(number: int) -> str:
    return f"shardId-{number:012d}"


@record("kinesis_stream", version=1)
@dataclass(frozen=True, slots=True)
class Stream:
    """A stream, by its name; its status is AWS's, its parent the id, which tells streams of one name apart.

    `id` names its storage. `shards` are in order of their numbers, closed ones included until their records are past
    retention. A stream that is CREATING or UPDATING has here the shards that its storage is about to have.
    """

    id: str
    created_at: float
    mode: str = PROVISIONED
    shards: list[Shard] = field(default_factory=list)
    retention_hours: int = DEFAULT_RETENTION_HOURS
    most_kib: int = DEFAULT_RECORD_KIB
    key_id: str = ""
    monitored: list[str] = field(default_factory=list)
    warm_mibps: int | None = None
    distribution: str = BY_KEY
    policy: str = ""

    def __post_init__(self) -> None:
        read = [each if isinstance(each, Shard) else Shard(**each) for each in self.shards]
        object.__setattr__(self, "shards", read)

    @property
    def open_shards(self) -> list[Shard]:
        return [shard for shard in self.shards if shard.closed_ms is None]


@record("kinesis_consumer", version=1)
@dataclass(frozen=True, slots=True)
class Consumer:
    """A consumer with enhanced fan-out, named `<stream>/<consumer>`; its parent is the stream's id."""

    stream: str
    name: str
    created_at: float
    policy: str = ""


@record("kinesis_account", version=1)
@dataclass(frozen=True, slots=True)
class Account:
    """What an account chose in a region: its commitment to a minimum of throughput. Times are epoch seconds."""

    started_at: float | None = None
    ends_at: float | None = None


@record("kinesis_trash", version=1)
@dataclass(frozen=True, slots=True)
class Trash:
    """The storage of a deleted stream, named by its id, until it is gone."""

    stream: str


class Place(NamedTuple):
    """Where a stream is found."""

    account: str
    region: str
    name: str

    @property
    def arn(self) -> str:
        return f"arn:{partition_of(self.region)}:kinesis:{self.region}:{self.account}:stream/{self.name}"


def consumer_arn(place: Place, consumer: Consumer) -> str:
    return f"{place.arn}/consumer/{consumer.name}:{int(consumer.created_at)}"


def consumer_key(stream: str, name: str) -> str:
    """What a consumer's record is called."""
    return f"{stream}/{name}"


JsonObject = dict[str, Any]

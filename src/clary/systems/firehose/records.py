"""What the room stores: delivery streams in the record store; their buffers are streams of the kernel."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clary.kernel.core.arns import partition_of
from clary.kernel.store import Entry, record

TOPIC = "firehose"
KV_DOMAIN = "firehose"
SHARD = "buffer"

CREATING, ACTIVE, DELETING = "CREATING", "ACTIVE", "DELETING"
DIRECT_PUT, KINESIS_SOURCE = "DirectPut", "KinesisStreamAsSource"
ENABLING, ENABLED, DISABLING, DISABLED = "ENABLING", "ENABLED", "DISABLING", "DISABLED"
DESTINATION_ID = "destinationId-000000000001"


@record("firehose_delivery_stream", version=1)
@dataclass(frozen=True, slots=True)
class DeliveryStream:
    """A delivery stream; its status is AWS's.

    `buffer` names the stream of the kernel that keeps what was put and is not delivered. `kind` is the member of
    CreateDeliveryStream that `configuration` was given as, with AWS's defaults filled in. `roles` maps each role that
    it names to the one that acts. `source` is KinesisStreamARN and RoleARN, empty for direct puts. `revision` is AWS's
    VersionId. `encryption` has KeyType, KeyARN and Status. `changed_at` is when a client last changed it, 0 for never.
    """

    buffer: str
    type: str
    kind: str
    configuration: dict[str, Any]
    roles: dict[str, str] = field(default_factory=dict)
    source: dict[str, str] = field(default_factory=dict)
    throughput_mibs: int = 0
    encryption: dict[str, str] = field(default_factory=dict)
    revision: int = 1
    changed_at: float = 0.0

    @property
    def is_encrypted(self) -> bool:
        return self.encryption.get("Status") == ENABLED


def stream_arn(entry: Entry[DeliveryStream]) -> str:
    return f"arn:{partition_of(entry.region)}:firehose:{entry.region}:{entry.account}:deliverystream/{entry.name}"


def role_of(stream: DeliveryStream, configuration: Mapping[str, Any]) -> str:
    """The ARN of the role that acts for a part of the configuration that names one."""
    return stream.roles[configuration["RoleARN"]]

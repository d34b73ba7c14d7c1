"""What the room stores: topics, subscriptions and the signing key in the record store, what is to be delivered in the
key-value domain `sns`."""

from dataclasses import dataclass, field
from typing import Any

import orjson

from clary.kernel.core.arns import partition_of
from clary.kernel.store import Entry, record

PENDING, CONFIRMED = "PENDING", "CONFIRMED"
NOTIFICATION = "Notification"
SUBSCRIPTION_CONFIRMATION = "SubscriptionConfirmation"
UNSUBSCRIBE_CONFIRMATION = "UnsubscribeConfirmation"


@record("sns_topic", version=1)
@dataclass(frozen=True, slots=True)
class Topic:
    """A topic. `attributes` are those that were set; `deleted` counts the subscriptions it no longer has."""

    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    deleted: int = 0

    @property
    def is_fifo(self) -> bool:
        return self.name.endswith(".fifo")


@record("sns_subscription", version=1)
@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription, named by the last part of its ARN, its parent the topic's name.

    A pending one waits for its `token` until `expires_at`. `signed_to_leave`: only who signs may take it away.
    """

    topic: str
    protocol: str
    endpoint: str
    owner: str
    attributes: dict[str, str] = field(default_factory=dict)
    token: str = ""
    expires_at: float = 0.0
    authenticated: bool = True
    signed_to_leave: bool = False

    @property
    def is_raw(self) -> bool:
        return self.attributes.get("RawMessageDelivery") == "true"


@record("sns_signing_key", version=1, scope="global")
@dataclass(frozen=True, slots=True)
class SigningKey:
    """The key that signs what is delivered: PKCS #1 in base64, and its certificate in PEM."""

    private: str
    certificate: str


def topic_arn(entry: Entry[Topic]) -> str:
    return f"arn:{partition_of(entry.region)}:sns:{entry.region}:{entry.account}:{entry.name}"


def subscription_arn(entry: Entry[Subscription]) -> str:
    return f"arn:{partition_of(entry.region)}:sns:{entry.region}:{entry.account}:{entry.value.topic}:{entry.name}"


@dataclass(frozen=True, slots=True)
class Notification:
    """What is delivered. `bodies` are the message by protocol, under "default" for all others; binary attributes are
    in base64. A confirmation has a token."""

    kind: str
    id: str
    topic_arn: str
    published_at: float
    bodies: dict[str, str]
    subject: str | None = None
    attributes: dict[str, dict[str, str]] = field(default_factory=dict)
    group: str = ""
    deduplication_id: str = ""
    sequence_number: str = ""
    token: str = ""

    def body(self, protocol: str) -> str:
        return self.bodies.get(protocol, self.bodies["default"])


@dataclass(frozen=True, slots=True)
class Delivery:
    """A notification on its way to one subscription. `tries` are those that failed."""

    order: int
    number: int
    due_at: float
    tries: int = 0


def dump(value: Any) -> bytes:
    return orjson.dumps(value)

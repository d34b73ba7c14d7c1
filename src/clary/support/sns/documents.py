"""Notifications in the forms in which they are delivered: signed JSON, a queue's message, a function's event."""

import base64
from typing import Any
from urllib.parse import urlencode

import orjson

from clary.kernel.core.clock import iso
from clary.kernel.rooms import Platform
from clary.kernel.store import Entry
from clary.support.sns.records import (
    NOTIFICATION,
    Notification,
    Subscription,
    Topic,
    subscription_arn,
)
from clary.support.sns.signing import CERTIFICATE_PATH, signature

_VERSION = "2010-03-31"


def document(
    platform: Platform, topic: Entry[Topic] | None, entry: Entry[Subscription], notification: Notification
) -> dict[str, Any]:
    """The signed JSON that web servers are sent, and queues that do not want it raw."""
    endpoint = platform.endpoint
    version = topic.value.attributes.get("SignatureVersion", "1") if topic is not None else "1"
    found: dict[str, Any] = {
        "Type": notification.kind,
        "MessageId": notification.id,
        "TopicArn": notification.topic_arn,
        "Message": notification.body(entry.value.protocol),
        "Timestamp": iso(notification.published_at),
    }
    if notification.kind == NOTIFICATION:
        if notification.subject is not None:
            found["Subject"] = notification.subject
        if notification.sequence_number:
            found["SequenceNumber"] = notification.sequence_number
        found["UnsubscribeURL"] = _url(endpoint, Action="Unsubscribe", SubscriptionArn=subscription_arn(entry))
        if notification.attributes:
            found["MessageAttributes"] = _attributes(notification)
    else:
        found["Token"] = notification.token
        found["SubscribeURL"] = _url(
            endpoint, Action="ConfirmSubscription", TopicArn=notification.topic_arn, Token=notification.token
        )
    found["SignatureVersion"] = version
    found["Signature"] = signature(platform, found, version)
    found["SigningCertURL"] = f"{endpoint}/_clary/{CERTIFICATE_PATH}"
    return found


def lambda_event(
    platform: Platform, topic: Entry[Topic] | None, entry: Entry[Subscription], notification: Notification
) -> bytes:
    """The event that a function is invoked with."""
    sns = document(platform, topic, entry, notification)
    for there, here in (("SigningCertUrl", "SigningCertURL"), ("UnsubscribeUrl", "UnsubscribeURL")):
        if here in sns:
            sns[there] = sns.pop(here)
    sns = {"Subject": None, "MessageAttributes": {}, **sns}
    record = {
        "EventVersion": "1.0",
        "EventSubscriptionArn": subscription_arn(entry),
        "EventSource": "aws:sns",
        "Sns": sns,
    }
    return orjson.dumps({"Records": [record]})


def queue_attributes(notification: Notification) -> dict[str, dict[str, Any]]:
    """Message attributes as a queue takes them."""
    return {
        name: {"DataType": kept["DataType"], "BinaryValue": base64.b64decode(kept["BinaryValue"])}
        if "BinaryValue" in kept
        # Queues know no arrays, but any type behind a dot.
        else {"DataType": kept["DataType"], "StringValue": kept["StringValue"]}
        for name, kept in notification.attributes.items()
    }


def _attributes(notification: Notification) -> dict[str, dict[str, str]]:
    return {
        name: {"Type": kept["DataType"], "Value": kept.get("StringValue") or kept["BinaryValue"]}
        for name, kept in notification.attributes.items()
    }


def _url(endpoint: str, **query: str) -> str:
    return f"{endpoint}/?{urlencode({**query, 'Version': _VERSION})}"

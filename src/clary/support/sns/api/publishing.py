"""Publish: stored for every subscription that wants it, and delivered from there."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation, served
from clary.kernel.rooms.platform import Platform
from clary.kernel.store import Entry
from clary.support.sns.filters import ATTRIBUTES, compile_filter
from clary.support.sns.lookup import delivery_key, invalid, subscriptions_of, topic_of
from clary.support.sns.outbox import Outbox, Post
from clary.support.sns.publishing import LARGEST_BYTES, notification_of, size_of
from clary.support.sns.records import Notification, Subscription, Topic
from clary.support.sns.signing import CERTIFICATE_PATH, signing_key

_MOST_ENTRIES = 10
_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")


@operation("sns", "Publish", resource="{TopicArn}")
def publish(
    ctx: Context,
    Message: str,
    TopicArn: str | None = None,
    TargetArn: str | None = None,
    PhoneNumber: str | None = None,
    Subject: str | None = None,
    MessageStructure: str | None = None,
    MessageAttributes: Mapping[str, Any] | None = None,
    MessageDeduplicationId: str | None = None,
    MessageGroupId: str | None = None,
) -> dict[str, Any]:
    """Send a message to a topic's subscribers; it is on disk when this answers, and delivered at least once."""
    if PhoneNumber is not None:
        raise invalid("PhoneNumber Reason: Clary sends no text messages; publish to a topic")
    arn = TopicArn or TargetArn
    if arn is None or (TopicArn and TargetArn):
        raise invalid("TopicArn or TargetArn Reason: one of them, and not both, is needed")
    entry = {
        "Message": Message,
        "Subject": Subject,
        "MessageStructure": MessageStructure,
        "MessageAttributes": MessageAttributes,
        "MessageDeduplicationId": MessageDeduplicationId,
        "MessageGroupId": MessageGroupId,
    }
    topic = topic_of(ctx, arn)
    notification = notification_of(topic, entry, ctx.platform.clock.now())
    (posted,) = _post(ctx, topic, [notification])
    return {"MessageId": posted.id, "SequenceNumber": posted.sequence_number or None}


@operation("sns", "PublishBatch", resource="{TopicArn}")
def publish_batch(
    ctx: Context, TopicArn: str, PublishBatchRequestEntries: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Send up to ten messages in their order; those that are wrong do not hold up the others."""
    topic = topic_of(ctx, TopicArn)
    _check(PublishBatchRequestEntries)
    now = ctx.platform.clock.now()
    accepted: dict[str, Notification] = {}
    failed = []
    for entry in PublishBatchRequestEntries:
        try:
            accepted[entry["Id"]] = notification_of(topic, entry, now)
        except AwsError as error:
            failed.append({"Id": entry["Id"], "Code": error.code, "Message": error.message, "SenderFault": True})
    posted = _post(ctx, topic, list(accepted.values()))
    successful = [
        {"Id": entry_id, "MessageId": each.id, "SequenceNumber": each.sequence_number or None}
        for entry_id, each in zip(accepted, posted, strict=True)
    ]
    return {"Successful": successful, "Failed": failed}


@served(CERTIFICATE_PATH, "application/x-pem-file")
def certificate(platform: Platform) -> bytes:
    """What receivers check signatures with; every message says where it is."""
    return signing_key(platform).certificate.encode()


def _post(ctx: Context, topic: Entry[Topic], notifications: Sequence[Notification]) -> list[Notification]:
    """Store notifications for those who want them, and wake the delivery."""
    subscriptions = subscriptions_of(ctx.platform, topic, confirmed_only=True)
    by_group = topic.value.attributes.get("FifoThroughputScope") == "MessageGroup"
    posts = [
        Post(
            each,
            [delivery_key(entry) for entry in subscriptions if _wants(entry.value, each)],
            each.group if by_group else "",
        )
        for each in notifications
    ]
    if not any(post.subscriptions or post.notification.deduplication_id for post in posts):
        return list(notifications)
    posted = Outbox(ctx.platform).post(posts)
    for key in {key for post in posts for key in post.subscriptions}:
        ctx.platform.wake("sns", key)
    return posted


def _wants(subscription: Subscription, notification: Notification) -> bool:
    policy = subscription.attributes.get("FilterPolicy")
    if policy is None:
        return True
    wanted = compile_filter(policy, subscription.attributes.get("FilterPolicyScope", ATTRIBUTES))
    return wanted.accepts(notification.attributes, notification.body(subscription.protocol))


def _check(entries: Sequence[Mapping[str, Any]]) -> None:
    if not entries:
        raise AwsError("EmptyBatchRequest", "The batch request doesn't contain any entries.")
    if len(entries) > _MOST_ENTRIES:
        raise AwsError("TooManyEntriesInBatchRequest", "The batch request contains more entries than permissible.")
    ids = [entry["Id"] for entry in entries]
    if not all(map(_ID.fullmatch, ids)):
        raise AwsError(
            "InvalidBatchEntryId", "The Id of a batch entry in a batch request doesn't abide by the specification."
        )
    if len(set(ids)) < len(ids):
        raise AwsError("BatchEntryIdsNotDistinct", "Two or more batch entries in the request have the same Id.")
    if sum(map(size_of, entries)) > LARGEST_BYTES:
        raise AwsError(
            "BatchRequestTooLong", "The length of all the batch messages put together is more than the limit."
        )

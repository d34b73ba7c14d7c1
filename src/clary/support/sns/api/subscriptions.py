"""Subscriptions: made, confirmed by whoever holds the token, changed, listed and ended."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from clary.kernel.core.arns import parse_arn
from clary.kernel.core.errors import AwsError
from clary.kernel.core.ids import new_uuid
from clary.kernel.rooms import Context, operation
from clary.kernel.store import Entry
from clary.kernel.wire import page_asked, page_output
from clary.support.sns.attributes import checked_subscription, shown_subscription
from clary.support.sns.lookup import (
    delivery_key,
    find_topic,
    invalid,
    own_subscription,
    subscription_of,
    subscriptions_of,
    topic_of,
)
from clary.support.sns.outbox import Outbox, Post
from clary.support.sns.records import (
    CONFIRMED,
    PENDING,
    SUBSCRIPTION_CONFIRMATION,
    Notification,
    Subscription,
    Topic,
    subscription_arn,
    topic_arn,
)

_SENDS_NOTHING = ("email", "email-json", "sms", "application", "firehose")
_CONFIRM_WITHIN_SECONDS = 2 * 86_400.0
_TOKEN_BYTES = 96
_QUEUE_OR_FUNCTION = {"sqs": re.compile(r"[A-Za-z0-9_.-]+"), "lambda": re.compile(r"function:[A-Za-z0-9_:$-]+")}


@operation("sns", "Subscribe", resource="{TopicArn}")
def subscribe(
    ctx: Context,
    TopicArn: str,
    Protocol: str,
    Endpoint: str | None = None,
    Attributes: Mapping[str, str] | None = None,
    ReturnSubscriptionArn: bool | None = None,
) -> dict[str, Any]:
    """Add a subscription: at once for the caller's own queues and functions; others must confirm what they are sent."""
    topic = topic_of(ctx, TopicArn)
    _check_endpoint(ctx, topic, Protocol, Endpoint)
    assert Endpoint is not None
    attributes = checked_subscription(Attributes or {}, Protocol, {})
    for entry in subscriptions_of(ctx.platform, topic):
        if (entry.value.protocol, entry.value.endpoint) == (Protocol, Endpoint):
            return _subscribe_again(ctx, topic, entry, attributes, shows=bool(ReturnSubscriptionArn))
    own = Protocol in _QUEUE_OR_FUNCTION and parse_arn(Endpoint).account == ctx.account
    subscription = Subscription(
        topic=topic.name,
        protocol=Protocol,
        endpoint=Endpoint,
        owner=ctx.account,
        attributes=attributes,
        token="" if own else secrets.token_hex(_TOKEN_BYTES),
        expires_at=0.0 if own else ctx.platform.clock.now() + _CONFIRM_WITHIN_SECONDS,
        authenticated=own,
    )
    table = ctx.platform.records(Subscription).within(topic.account, topic.region)
    entry = table.create(new_uuid(), subscription, status=CONFIRMED if own else PENDING, parent=topic.name)
    if not own:
        _ask_to_confirm(ctx, topic, entry)
    return _answer(entry, shows=own or bool(ReturnSubscriptionArn))


@operation("sns", "ConfirmSubscription", unsigned=True)
def confirm_subscription(
    ctx: Context, TopicArn: str, Token: str, AuthenticateOnUnsubscribe: str | None = None
) -> dict[str, Any]:
    """Confirm a subscription by the token that was sent to it, which is proof enough: this may be called unsigned."""
    try:
        where = parse_arn(TopicArn)
    except AwsError:
        raise invalid("TopicArn") from None
    topic = find_topic(ctx.platform, where, where.resource)
    if topic is None:
        raise AwsError("NotFound", "Topic does not exist")
    found = next((entry for entry in subscriptions_of(ctx.platform, topic) if _has_token(entry, Token)), None)
    if found is None or (found.status == PENDING and found.value.expires_at <= ctx.platform.clock.now()):
        raise invalid("Token")
    signed = ctx.principal.kind != "anonymous"
    if found.status == PENDING:
        confirmed = replace(
            found.value,
            authenticated=signed,
            signed_to_leave=signed and (AuthenticateOnUnsubscribe or "").lower() == "true",
        )
        table = ctx.platform.records(Subscription).within(found.account, found.region)
        found = table.replace(found, confirmed, status=CONFIRMED)
    return {"SubscriptionArn": subscription_arn(found)}


@operation("sns", "Unsubscribe", resource="{SubscriptionArn}", unsigned=True)
def unsubscribe(ctx: Context, SubscriptionArn: str) -> None:
    """End a subscription. Its ARN is proof enough, unless it was confirmed with AuthenticateOnUnsubscribe."""
    try:
        entry = subscription_of(ctx.platform, SubscriptionArn)
    except AwsError as error:
        if error.code == "NotFound":
            return
        raise
    if ctx.principal.kind != "anonymous":
        own_subscription(ctx, SubscriptionArn)
    elif entry.value.signed_to_leave:
        raise AwsError("AuthorizationError", "This subscription can only be ended by who signs.", status=403)
    if not ctx.platform.records(Subscription).within(entry.account, entry.region).delete(entry.name):
        return
    topics = ctx.platform.records(Topic).within(entry.account, entry.region)
    topics.update(entry.value.topic, lambda topic: replace(topic, deleted=topic.deleted + 1))
    ctx.platform.wake("sns", delivery_key(entry))


@operation("sns", "ListSubscriptions")
def list_subscriptions(ctx: Context, NextToken: str | None = None) -> dict[str, Any]:
    """The subscriptions to the caller's topics, a hundred at a time."""
    return _list(ctx, NextToken, None)


@operation("sns", "ListSubscriptionsByTopic", resource="{TopicArn}")
def list_subscriptions_by_topic(ctx: Context, TopicArn: str, NextToken: str | None = None) -> dict[str, Any]:
    """The subscriptions to one topic, a hundred at a time."""
    topic = topic_of(ctx, TopicArn)
    return _list(ctx.within(account=topic.account), NextToken, topic.name)


@operation("sns", "GetSubscriptionAttributes", resource="{SubscriptionArn}")
def get_subscription_attributes(ctx: Context, SubscriptionArn: str) -> dict[str, Any]:
    """What is set of a subscription."""
    entry = own_subscription(ctx, SubscriptionArn)
    topic = ctx.platform.records(Topic).within(entry.account, entry.region).get(entry.value.topic)
    return {"Attributes": shown_subscription(entry, topic, pending=entry.status == PENDING)}


@operation("sns", "SetSubscriptionAttributes", resource="{SubscriptionArn}")
def set_subscription_attributes(
    ctx: Context, SubscriptionArn: str, AttributeName: str, AttributeValue: str | None = None
) -> None:
    """Change one attribute, for what is published from now on; an empty value takes it away."""
    entry = own_subscription(ctx, SubscriptionArn)
    changes = {AttributeName: AttributeValue or ""}
    if AttributeName == "FilterPolicy" and AttributeValue == "{}":
        changes = {AttributeName: ""}

    def change(kept: Subscription) -> Subscription:
        return replace(kept, attributes=checked_subscription(changes, kept.protocol, kept.attributes))

    ctx.platform.records(Subscription).within(entry.account, entry.region).update(entry.name, change)


def _check_endpoint(ctx: Context, topic: Entry[Topic], protocol: str, endpoint: str | None) -> None:
    if protocol in _SENDS_NOTHING:
        raise invalid(f"Protocol Reason: Clary does not deliver by {protocol}: use sqs, http, https or lambda")
    if protocol not in {"sqs", "lambda", "http", "https"}:
        raise invalid(f"Invalid parameter: Does not support this protocol string: {protocol}")
    if not endpoint:
        raise invalid("Endpoint")
    if protocol in _QUEUE_OR_FUNCTION:
        _check_arn(ctx, topic, protocol, endpoint)
        return
    try:
        parts = urlsplit(endpoint)
        usable = parts.scheme == protocol and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not endpoint.isascii() or not endpoint.isprintable() or " " in endpoint:
        raise invalid(f"Endpoint Reason: it must be a URL that begins with {protocol}://")
    if topic.value.is_fifo:
        raise invalid("Endpoint Reason: FIFO topics deliver to queues only")


def _check_arn(ctx: Context, topic: Entry[Topic], protocol: str, endpoint: str) -> None:
    kind = "SQS" if protocol == "sqs" else "Lambda"
    try:
        arn = parse_arn(endpoint)
    except AwsError:
        raise invalid(f"{kind} endpoint ARN") from None
    if arn.service != protocol or not _QUEUE_OR_FUNCTION[protocol].fullmatch(arn.resource) or not arn.account:
        raise invalid(f"{kind} endpoint ARN")
    if protocol == "lambda" and arn.account != ctx.account:
        raise invalid("Endpoint Reason: a function can be subscribed by its own account only")
    if topic.value.is_fifo and protocol == "lambda":
        raise invalid("Endpoint Reason: FIFO topics deliver to queues only")
    if arn.resource.endswith(".fifo") and not topic.value.is_fifo:
        raise invalid("Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics")


def _subscribe_again(
    ctx: Context, topic: Entry[Topic], entry: Entry[Subscription], attributes: Mapping[str, str], *, shows: bool
) -> dict[str, Any]:
    """The answer for an endpoint that is subscribed already; one that is pending is asked once more."""
    if attributes and attributes != entry.value.attributes:
        raise invalid("Attributes Reason: Subscription already exists with different attributes")
    if entry.status == PENDING:
        _ask_to_confirm(ctx, topic, entry)
    return _answer(entry, shows=shows or entry.status == CONFIRMED)


def _answer(entry: Entry[Subscription], *, shows: bool) -> dict[str, Any]:
    return {"SubscriptionArn": subscription_arn(entry) if shows else "pending confirmation"}


def _ask_to_confirm(ctx: Context, topic: Entry[Topic], entry: Entry[Subscription]) -> None:
    arn = topic_arn(topic)
    question = (
        f"You have chosen to subscribe to the topic {arn}.\n"
        "To confirm the subscription, visit the SubscribeURL included in this message."
    )
    notification = Notification(
        kind=SUBSCRIPTION_CONFIRMATION,
        id=new_uuid(),
        topic_arn=arn,
        published_at=ctx.platform.clock.now(),
        bodies={"default": question},
        token=entry.value.token,
    )
    Outbox(ctx.platform).post([Post(notification, [delivery_key(entry)])])
    ctx.platform.wake("sns", delivery_key(entry))


def _has_token(entry: Entry[Subscription], token: str) -> bool:
    return bool(entry.value.token) and secrets.compare_digest(entry.value.token.encode(), token.encode())


def _list(ctx: Context, token: str | None, topic: str | None) -> dict[str, Any]:
    limit, position = page_asked(ctx.operation, {"NextToken": token})
    page = ctx.records(Subscription).page(limit, position, parent=topic)
    shown = [
        {
            "SubscriptionArn": subscription_arn(entry) if entry.status == CONFIRMED else "PendingConfirmation",
            "Owner": entry.value.owner,
            "Protocol": entry.value.protocol,
            "Endpoint": entry.value.endpoint,
            "TopicArn": subscription_arn(entry).rpartition(":")[0],
        }
        for entry in page
    ]
    return page_output(ctx.operation, shown, page.next_token)

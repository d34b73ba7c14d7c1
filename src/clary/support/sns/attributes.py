"""The attributes of topics and subscriptions: which there are, what they may hold, what is answered of them."""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from clary.kernel.auth import policies
from clary.kernel.core.arns import parse_arn
from clary.kernel.core.errors import AwsError
from clary.kernel.store import Entry
from clary.support.sns import retries
from clary.support.sns.filters import ATTRIBUTES, BODY, compile_filter
from clary.support.sns.lookup import invalid
from clary.support.sns.records import Subscription, Topic, subscription_arn, topic_arn

_TRUTH = ("true", "false")
_TOPIC_CHOICES = {
    "SignatureVersion": ("1", "2"),
    "TracingConfig": ("PassThrough",),
    "FifoTopic": _TRUTH,
    "ContentBasedDeduplication": _TRUTH,
    "FifoThroughputScope": ("Topic", "MessageGroup"),
}
_FIFO_ONLY = ("ContentBasedDeduplication", "FifoThroughputScope")
_FEEDBACK = re.compile(r"(HTTP|SQS|Lambda)(SuccessFeedbackRoleArn|FailureFeedbackRoleArn|SuccessFeedbackSampleRate)")
_OWNERS_ACTIONS = (
    "GetTopicAttributes",
    "SetTopicAttributes",
    "AddPermission",
    "RemovePermission",
    "DeleteTopic",
    "Subscribe",
    "ListSubscriptionsByTopic",
    "Publish",
)


def checked_topic(given: Mapping[str, str], *, fifo: bool) -> dict[str, str]:
    """A topic's attributes as it keeps them; an empty value takes one away. Raises InvalidParameter."""
    kept = {name: _checked_topic(name, value, fifo) for name, value in given.items()}
    kept.pop("FifoTopic", None)
    return kept


def _checked_topic(name: str, value: str, fifo: bool) -> str:
    if name in _TOPIC_CHOICES:
        if value not in _TOPIC_CHOICES[name]:
            raise invalid(f"{name} Reason: must be one of {', '.join(_TOPIC_CHOICES[name])}")
        if name == "FifoTopic" and (value == "true") != fifo:
            raise invalid("Topic Name Reason: FifoTopic is true exactly for topics whose name ends with .fifo")
        if name in _FIFO_ONLY and not fifo:
            raise invalid(f"{name} Reason: it is for FIFO topics")
        return value
    if name == "DisplayName":
        if len(value) > 100:
            raise invalid("DisplayName Reason: it has more than 100 characters")
        return value
    if name == "Policy":
        return _policy(value)
    if name == "DeliveryPolicy":
        return retries.topic_policy(value) if value else ""
    feedback = _FEEDBACK.fullmatch(name)
    if feedback is not None:
        is_rate = feedback[2].endswith("Rate")
        if is_rate and not (value.isascii() and value.isdigit() and int(value) <= 100):
            raise invalid(f"{name} Reason: it is a percentage, from 0 to 100")
        if not is_rate and value:
            parse_arn(value)
        return value
    if name == "KmsMasterKeyId":
        if value:
            raise invalid("KmsMasterKeyId Reason: Clary does not encrypt messages at rest: leave it out")
        return ""
    raise invalid(f"AttributeName Reason: {name} is not an attribute that Clary's topics have")


def _policy(value: str) -> str:
    if not value:
        return ""
    try:
        policies.compile_document(value, "topic policy")
    except ValueError as error:
        raise invalid(f"Policy Error: {error}") from None
    return value


def shown_topic(topic: Entry[Topic], confirmed: int, pending: int) -> dict[str, str]:
    """A topic's attributes as GetTopicAttributes answers them."""
    kept = topic.value.attributes
    fifo = {"FifoTopic": "true", "ContentBasedDeduplication": "false", "FifoThroughputScope": "Topic"}
    general = retries.effective(kept.get("DeliveryPolicy"), None)
    http = {
        "defaultHealthyRetryPolicy": general["healthyRetryPolicy"],
        "disableSubscriptionOverrides": False,
        "defaultRequestPolicy": general["requestPolicy"] or {"headerContentType": "text/plain; charset=UTF-8"},
    }
    return {
        "TopicArn": topic_arn(topic),
        "Owner": topic.account,
        "DisplayName": "",
        "Policy": orjson.dumps(default_policy(topic)).decode(),
        "SubscriptionsConfirmed": str(confirmed),
        "SubscriptionsPending": str(pending),
        "SubscriptionsDeleted": str(topic.value.deleted),
        "EffectiveDeliveryPolicy": orjson.dumps({"http": http}).decode(),
        **(fifo if topic.value.is_fifo else {}),
        **kept,
    }


def default_policy(topic: Entry[Topic]) -> dict[str, Any]:
    """The policy of a topic that was given none: its account may do everything."""
    statement = {
        "Sid": "__default_statement_ID",
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": [f"SNS:{action}" for action in _OWNERS_ACTIONS],
        "Resource": topic_arn(topic),
        "Condition": {"StringEquals": {"AWS:SourceOwner": topic.account}},
    }
    return {"Version": "2008-10-17", "Id": "__default_policy_ID", "Statement": [statement]}


def checked_subscription(given: Mapping[str, str], protocol: str, kept: Mapping[str, str]) -> dict[str, str]:
    """A subscription's attributes after a change; an empty value takes one away. Raises InvalidParameter."""
    for name, value in given.items():
        _check_subscription(name, value, protocol)
    changed = {name: value for name, value in {**kept, **given}.items() if value}
    if "FilterPolicy" in changed:
        compile_filter(changed["FilterPolicy"], changed.get("FilterPolicyScope", ATTRIBUTES))
    return changed


def _check_subscription(name: str, value: str, protocol: str) -> None:
    if name == "RawMessageDelivery":
        if value not in _TRUTH:
            raise invalid("RawMessageDelivery Reason: must be true or false")
        if value == "true" and protocol == "lambda":
            raise invalid("Attributes Reason: Delivery protocol [lambda] does not support raw message delivery.")
    elif name == "FilterPolicyScope":
        if value not in {ATTRIBUTES, BODY}:
            raise invalid(f"FilterPolicyScope Reason: must be {ATTRIBUTES} or {BODY}")
    elif name == "DeliveryPolicy":
        if value:
            retries.subscription_policy(value)
    elif name == "RedrivePolicy":
        if value:
            dead_letters(value)
    elif name != "FilterPolicy":
        raise invalid(f"AttributeName Reason: {name} is not an attribute that Clary's subscriptions have")


def dead_letters(policy: str) -> str:
    """The ARN of the queue that a RedrivePolicy names. Raises InvalidParameter."""
    try:
        document = orjson.loads(policy)
        target = document["deadLetterTargetArn"]
        if document.keys() == {"deadLetterTargetArn"} and parse_arn(target).service == "sqs":
            return str(target)
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, AwsError):
        pass
    raise invalid("RedrivePolicy Reason: it holds deadLetterTargetArn, the ARN of a queue, and nothing else")


def shown_subscription(entry: Entry[Subscription], topic: Entry[Topic] | None, *, pending: bool) -> dict[str, str]:
    """A subscription's attributes as GetSubscriptionAttributes answers them."""
    subscription = entry.value
    arn = subscription_arn(entry)
    shown = {
        "SubscriptionArn": arn,
        "TopicArn": arn.rpartition(":")[0],
        "Protocol": subscription.protocol,
        "Endpoint": subscription.endpoint,
        "Owner": subscription.owner,
        "SubscriptionPrincipal": f"arn:{arn.split(':')[1]}:iam::{subscription.owner}:root",
        "ConfirmationWasAuthenticated": str(subscription.authenticated).lower(),
        "PendingConfirmation": str(pending).lower(),
        "RawMessageDelivery": "false",
        **({"FilterPolicyScope": ATTRIBUTES} if "FilterPolicy" in subscription.attributes else {}),
        **subscription.attributes,
    }
    if subscription.protocol in {"http", "https"}:
        general = topic.value.attributes.get("DeliveryPolicy") if topic is not None else None
        policy = retries.effective(general, subscription.attributes.get("DeliveryPolicy"))
        shown["EffectiveDeliveryPolicy"] = orjson.dumps(policy).decode()
    return shown

"""One try to deliver: to a queue, a web server or a function, and what is told of how it went."""

import base64
import http.client
import socket
import ssl
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import orjson

from clary.kernel.auth import policies
from clary.kernel.auth.principals import Principal
from clary.kernel.core.arns import Arn, parse_arn
from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Platform
from clary.kernel.store import Entry
from clary.support.sns.documents import document, lambda_event, queue_attributes
from clary.support.sns.records import (
    NOTIFICATION,
    Notification,
    Subscription,
    Topic,
    subscription_arn,
    topic_arn,
)
from clary.support.sns.retries import effective

TIMEOUT_SECONDS = 15.0
_AGENT = "Amazon Simple Notification Service Agent"
_TEXT = "text/plain; charset=UTF-8"
_MOST_RESPONSE_BYTES = 64 * 1024
_MOST_QUEUE_ATTRIBUTES = 10
_TRY_AGAIN = frozenset({"RequestThrottled", "ThrottlingException", "TooManyRequestsException"})


class Failure(NamedTuple):
    """Why a try failed; a final one would fail again."""

    reason: str
    final: bool


def to_queue(
    platform: Platform,
    topic: Entry[Topic] | None,
    entry: Entry[Subscription],
    batch: Sequence[Notification],
    *,
    target: str | None = None,
) -> list[Failure | None]:
    """Send up to ten notifications to the subscription's queue, or to `target`, its dead letters; how each went."""
    queue = parse_arn(target or entry.value.endpoint)
    refusal = _refusal(platform, topic, queue, entry)
    if refusal is not None:
        return [refusal] * len(batch)
    messages = [_message(platform, topic, entry, each, queue) for each in batch]
    sendable = {str(number): message for number, message in enumerate(messages) if isinstance(message, dict)}
    failed: dict[str, Failure] = {
        str(number): message for number, message in enumerate(messages) if isinstance(message, Failure)
    }
    if sendable:
        entries = [{"Id": number, **message} for number, message in sendable.items()]
        try:
            answer: Any = platform.call(
                queue.account, queue.region, "sqs", "SendMessageBatch", QueueUrl=_path(queue), Entries=entries
            )
        except AwsError as error:
            failed |= dict.fromkeys(sendable, _failure(error))
        else:
            for each in answer["Failed"]:
                failed[each["Id"]] = Failure(f"{each['Code']}: {each['Message']}", each["SenderFault"])
    return [failed.get(str(number)) for number in range(len(batch))]


def _path(queue: Arn) -> str:
    return f"/{queue.account}/{queue.resource}"


def _message(
    platform: Platform, topic: Entry[Topic] | None, entry: Entry[Subscription], notification: Notification, queue: Arn
) -> dict[str, Any] | Failure:
    message: dict[str, Any] = {}
    if entry.value.is_raw and notification.kind == NOTIFICATION:
        if len(notification.attributes) > _MOST_QUEUE_ATTRIBUTES:
            return Failure("a queue's message has at most ten attributes", True)
        message["MessageBody"] = notification.body(entry.value.protocol)
        message["MessageAttributes"] = queue_attributes(notification)
    else:
        message["MessageBody"] = orjson.dumps(document(platform, topic, entry, notification)).decode()
    if notification.group:
        message["MessageGroupId"] = notification.group
    if queue.resource.endswith(".fifo"):
        message["MessageDeduplicationId"] = notification.deduplication_id or notification.id
        message.setdefault("MessageGroupId", notification.id)
    return message


def _refusal(platform: Platform, topic: Entry[Topic] | None, queue: Arn, entry: Entry[Subscription]) -> Failure | None:
    """Why another account's queue may not be sent to; one's own always may."""
    if topic is None or queue.account == entry.account:
        return None
    try:
        answer: Any = platform.call(
            queue.account, queue.region, "sqs", "GetQueueAttributes", QueueUrl=_path(queue), AttributeNames=["Policy"]
        )
    except AwsError as error:
        return _failure(error)
    policy = answer.get("Attributes", {}).get("Policy")
    arn, about = str(queue), {"aws:sourcearn": topic_arn(topic), "aws:sourceaccount": topic.account}
    action = "sqs:SendMessage"
    if policy is not None and (
        policies.trusts_service(policy, "sns.amazonaws.com", action, arn, about)
        or policies.trusts(policy, Principal("root", topic.account), action, about, resource=arn).allowed
    ):
        return None
    return Failure(f"the policy of {arn} does not let sns.amazonaws.com send messages for {topic_arn(topic)}", True)


def to_function(
    platform: Platform, topic: Entry[Topic] | None, entry: Entry[Subscription], notification: Notification
) -> Failure | None:
    """Invoke the subscription's function, asynchronously."""
    function = parse_arn(entry.value.endpoint)
    try:
        platform.call(
            function.account,
            function.region,
            "lambda",
            "Invoke",
            FunctionName=entry.value.endpoint,
            InvocationType="Event",
            Payload=lambda_event(platform, topic, entry, notification),
        )
    except AwsError as error:
        return _failure(error)
    return None


def to_web_server(
    platform: Platform, topic: Entry[Topic] | None, entry: Entry[Subscription], notification: Notification
) -> Failure | None:
    """Post a notification to the subscription's URL."""
    subscription = entry.value
    raw = subscription.is_raw and notification.kind == NOTIFICATION
    body = (
        notification.body(subscription.protocol).encode()
        if raw
        else orjson.dumps(document(platform, topic, entry, notification), option=orjson.OPT_INDENT_2)
    )
    general = topic.value.attributes.get("DeliveryPolicy") if topic is not None else None
    policy = effective(general, subscription.attributes.get("DeliveryPolicy"))
    headers = {
        "User-Agent": _AGENT,
        "Content-Type": policy["requestPolicy"].get("headerContentType", _TEXT),
        "x-amz-sns-message-type": notification.kind,
        "x-amz-sns-message-id": notification.id,
        "x-amz-sns-topic-arn": notification.topic_arn,
    }
    if notification.kind == NOTIFICATION:
        headers["x-amz-sns-subscription-arn"] = subscription_arn(entry)
    if raw:
        headers["x-amz-sns-rawdelivery"] = "true"
    try:
        status = _post(subscription.endpoint, body, headers)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Failure(f"{type(error).__name__}: {error}", isinstance(error, ssl.SSLCertVerificationError))
    if 200 <= status < 300:
        return None
    return Failure(f"the server answered {status}", 400 <= status < 500 and status != 429)


def _post(url: str, body: bytes, headers: dict[str, str]) -> int:
    """Post and return the status. Redirections are not followed, as on AWS."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=TIMEOUT_SECONDS, context=ssl.create_default_context()
        )
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS)
    try:
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            headers = {**headers, "Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target, body, headers)
        response = connection.getresponse()
        response.read(_MOST_RESPONSE_BYTES)
        return response.status
    except socket.gaierror as error:
        raise OSError(f"cannot find {parts.hostname}: {error}") from error
    finally:
        connection.close()


def _failure(error: AwsError) -> Failure:
    passing = error.code in _TRY_AGAIN or ((error.status or 400) >= 500 and error.status != 501)
    return Failure(str(error), not passing)

"""Carries what waits for a subscription: sends, settles, tries again later, and puts dead letters aside."""

import random
import threading
from collections.abc import Sequence
from typing import Any

import orjson

from clary.kernel.core.clock import iso
from clary.kernel.rooms import Platform
from clary.kernel.store import Entry
from clary.support.sns import retries
from clary.support.sns.attributes import dead_letters
from clary.support.sns.lookup import delivery_key
from clary.support.sns.outbox import Outbox
from clary.support.sns.records import (
    CONFIRMED,
    NOTIFICATION,
    Delivery,
    Notification,
    Subscription,
    Topic,
)
from clary.support.sns.senders import Failure, to_function, to_queue, to_web_server

_BATCH = 10
_DEAD_LETTERS_AGAIN_SECONDS = 20.0
_CLIENTS = {"http": "HTTP", "https": "HTTP", "sqs": "SQS", "lambda": "Lambda"}

Waiting = tuple[Delivery, Notification]


def find(platform: Platform, key: str) -> Entry[Subscription] | None:
    """The subscription that the outbox calls `key`."""
    account, region, name = key.split("/", 2)
    return platform.records(Subscription).within(account, region).get(name)


def carry(platform: Platform, key: str) -> None:
    """Deliver everything that is due to one subscription. Blocks for as long as its endpoint does."""
    outbox = Outbox(platform)
    while (entry := find(platform, key)) is not None:
        due = outbox.due(key, _BATCH if entry.value.protocol == "sqs" else 1)
        if not due:
            return
        topic = platform.records(Topic).within(entry.account, entry.region).get(entry.value.topic)
        unwanted = [delivery for delivery, notification in due if not _wants(entry, notification)]
        if unwanted:
            outbox.settle(key, unwanted, ())
            continue
        outcomes = _send(platform, topic, entry, [notification for _, notification in due])
        _settle(platform, outbox, topic, entry, due, outcomes)
        _pause(platform, topic, entry)
    outbox.drop(key)


def _wants(entry: Entry[Subscription], notification: Notification) -> bool:
    """Whether a subscription is still in the state that a delivery is for."""
    return (entry.status == CONFIRMED) == (notification.kind == NOTIFICATION)


def _send(
    platform: Platform, topic: Entry[Topic] | None, entry: Entry[Subscription], batch: Sequence[Notification]
) -> list[Failure | None]:
    if entry.value.protocol == "sqs":
        return to_queue(platform, topic, entry, batch)
    send = to_function if entry.value.protocol == "lambda" else to_web_server
    return [send(platform, topic, entry, notification) for notification in batch]


def _settle(
    platform: Platform,
    outbox: Outbox,
    topic: Entry[Topic] | None,
    entry: Entry[Subscription],
    due: Sequence[Waiting],
    outcomes: Sequence[Failure | None],
) -> None:
    policy = _retry_policy(topic, entry)
    now = platform.clock.now()
    done: list[Delivery] = []
    again: list[tuple[Delivery, float]] = []
    for (delivery, notification), failure in zip(due, outcomes, strict=True):
        wait = None if failure is None or failure.final else retries.retry_after(policy, delivery.tries + 1)
        if failure is not None and wait is None and not _put_aside(platform, topic, entry, notification):
            wait = _DEAD_LETTERS_AGAIN_SECONDS
        if wait is not None:
            again.append((delivery, now + wait))
        else:
            done.append(delivery)
            _report(platform, topic, entry, notification, delivery.tries + 1, failure)
    outbox.settle(delivery_key(entry), done, again)


def _retry_policy(topic: Entry[Topic] | None, entry: Entry[Subscription]) -> Any:
    if entry.value.protocol not in {"http", "https"}:
        return retries.MANAGED
    general = topic.value.attributes.get("DeliveryPolicy") if topic is not None else None
    return retries.effective(general, entry.value.attributes.get("DeliveryPolicy"))["healthyRetryPolicy"]


def _put_aside(
    platform: Platform, topic: Entry[Topic] | None, entry: Entry[Subscription], notification: Notification
) -> bool:
    """Send what cannot be delivered to the subscription's dead-letter queue; False when that must be tried again."""
    policy = entry.value.attributes.get("RedrivePolicy")
    if policy is None or notification.kind != NOTIFICATION:
        return True
    (failure,) = to_queue(platform, topic, entry, [notification], target=dead_letters(policy))
    return failure is None or failure.final


def _report(
    platform: Platform,
    topic: Entry[Topic] | None,
    entry: Entry[Subscription],
    notification: Notification,
    tries: int,
    failure: Failure | None,
) -> None:
    """Log how a delivery ended: failures always, successes as often as the topic asks for."""
    client = _CLIENTS[entry.value.protocol]
    kept = topic.value.attributes if topic is not None else {}
    if failure is None:
        rate = int(kept.get(f"{client}SuccessFeedbackSampleRate") or 0)
        if f"{client}SuccessFeedbackRoleArn" not in kept or random.random() * 100 >= rate:
            return
    now = platform.clock.now()
    event = {
        "notification": {
            "messageId": notification.id,
            "topicArn": notification.topic_arn,
            "timestamp": iso(notification.published_at),
        },
        "delivery": {
            "deliveryId": delivery_key(entry).rpartition("/")[2],
            "destination": entry.value.endpoint,
            "providerResponse": failure.reason if failure is not None else "delivered",
            "dwellTimeMs": int((now - notification.published_at) * 1000),
            "attempts": tries,
        },
        "status": "FAILURE" if failure is not None else "SUCCESS",
    }
    group = f"sns/{entry.region}/{entry.account}/{entry.value.topic}" + ("/Failure" if failure is not None else "")
    line = (int(now * 1000), orjson.dumps(event).decode())
    platform.logs.append(entry.account, entry.region, group, entry.name, [line])


def _pause(platform: Platform, topic: Entry[Topic] | None, entry: Entry[Subscription]) -> None:
    """Keep to the rate that a web server's policy allows."""
    if entry.value.protocol not in {"http", "https"}:
        return
    general = topic.value.attributes.get("DeliveryPolicy") if topic is not None else None
    rate = retries.effective(general, entry.value.attributes.get("DeliveryPolicy"))["throttlePolicy"]
    if rate:
        platform.clock.wait(threading.Event(), 1 / rate["maxReceivesPerSecond"])

"""Events come to a bus: matched by its rules, stored for their targets, and delivered from there."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from clary.kernel.core.clock import iso
from clary.kernel.rooms import Platform
from clary.support.eventbridge.book import book_of
from clary.support.eventbridge.names import Bus
from clary.support.eventbridge.outbox import Outbox, Post
from clary.support.eventbridge.records import Delivery

TOPIC = "events"

Event = Mapping[str, Any]


def event_of(
    bus: Bus,
    *,
    id: str,
    source: str,
    detail_type: str,
    time: float,
    resources: Sequence[str],
    detail: Any,
) -> dict[str, Any]:
    """An event as rules match it and targets are sent it. `time` is in epoch seconds."""
    return {
        "version": "0",
        "id": id,
        "detail-type": detail_type,
        "source": source,
        "account": bus.account,
        "time": f"{iso(time)[:19]}Z",
        "region": bus.region,
        "resources": list(resources),
        "detail": detail,
    }


def publish(
    platform: Platform,
    bus: Bus,
    events: Sequence[Event],
    *,
    forwarded: bool = False,
    only: frozenset[str] = frozenset(),
) -> None:
    """Store events for the targets of the rules that match them, durably and all together, and wake the delivery.

    What another bus has `forwarded` is, as on AWS, not sent on to a third. A replay may be for rules of these ARNs
    `only`.
    """
    rules = book_of(platform).rules(bus)
    now = platform.clock.now()
    posts = []
    for event in events:
        matching = [listed for listed in rules.matching(event) if not only or listed.arn in only]
        deliveries = [
            delivery
            for listed in matching
            for delivery in deliveries_of(listed.arn, listed.rule.targets, listed.rule.roles, now, forwarded=forwarded)
        ]
        archives = rules.archiving(event)
        moment = datetime.fromisoformat(event["time"]).timestamp() if archives else now
        posts.append(Post(orjson.dumps(event), deliveries, archives, moment))
    Outbox(platform).post(posts)
    for lane in {delivery.lane for post in posts for delivery in post.deliveries}:
        platform.wake(TOPIC, lane)


def deliveries_of(
    source: str,
    targets: Mapping[str, dict[str, Any]],
    roles: Mapping[str, str],
    now: float,
    *,
    forwarded: bool = False,
) -> list[Delivery]:
    """What one rule that has matched makes of an event."""
    wanted = [(id, target) for id, target in targets.items() if not (forwarded and ":event-bus/" in target["Arn"])]
    return [
        Delivery(source, target, roles.get(id, ""), now, now, leads=place == 0)
        for place, (id, target) in enumerate(wanted)
    ]

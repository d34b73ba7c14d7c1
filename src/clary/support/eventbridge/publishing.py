"""Events come to a bus: matched by its rules, stored for their targets, and delivered from there."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from clary.kernel.core.clock import iso
from clary.kernel.rooms import Platform
from clary.support.eventbridge.book import Listed, book_of
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


def publish(platform: Platform, bus: Bus, events: Sequence[Event], *, forwarded: bool = False) -> None:
    """Store events for the targets of the rules that match them, durably and all together, and wake the delivery.

    What another bus has `forwarded` is, as on AWS, not sent on to a third.
    """
    rules = book_of(platform).rules(bus)
    now = platform.clock.now()
    posts = [
        Post(orjson.dumps(event), _deliveries(list(rules.matching(event)), now, forwarded=forwarded))
        for event in events
    ]
    Outbox(platform).post(posts)
    for lane in {delivery.lane for post in posts for delivery in post.deliveries}:
        platform.wake(TOPIC, lane)


def _deliveries(matching: Sequence[Listed], now: float, *, forwarded: bool) -> list[Delivery]:
    return [
        delivery
        for listed in matching
        for delivery in deliveries_of(listed.arn, listed.rule.targets, listed.rule.roles, now, forwarded=forwarded)
    ]


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

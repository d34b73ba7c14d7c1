"""Carries what waits in a lane: sends, settles, tries again later, and puts dead letters aside."""

import random
from collections.abc import Sequence
from typing import Any

import orjson

from clary.kernel.core.clock import iso
from clary.kernel.rooms import Platform
from clary.support.eventbridge.dead_letters import put_aside
from clary.support.eventbridge.inputs import Facts, rendered
from clary.support.eventbridge.measures import measures_of
from clary.support.eventbridge.outbox import Outbox
from clary.support.eventbridge.records import Delivery
from clary.support.eventbridge.schedule_targets import schedule_text
from clary.support.eventbridge.senders import Failure, Parcel, batch_of, send

MOST_TRIES = 185
LONGEST_AGE_SECONDS = 86_400
_SOON_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 900.0
_DEAD_LETTERS_AGAIN_SECONDS = 20.0


def carry(platform: Platform, lane: str) -> float | None:
    """Deliver everything that is due in a lane; return the seconds until the next is, None when nothing waits."""
    outbox = Outbox(platform)
    limit: int | None = None
    while True:
        due = outbox.due(lane, limit or 1)
        if not due:
            break
        if limit is None:
            limit = batch_of(due[0][0].target["Arn"])
            if limit > 1:
                continue  # look again for as many as go together
        same = [pair for pair in due if pair[0].target == due[0][0].target and pair[0].role == due[0][0].role]
        parcels = [_parcel(delivery, event) for delivery, event in same]
        _settle(platform, outbox, parcels, send(platform, parcels))
    next_at = outbox.next_at(lane)
    return None if next_at is None else max(_SOON_SECONDS, next_at - platform.clock.now())


def _parcel(delivery: Delivery, event: bytes) -> Parcel:
    if delivery.is_scheduled:
        return Parcel(delivery, orjson.loads(event), schedule_text(delivery, event))
    facts = Facts(delivery.source, delivery.source.rpartition("/")[2], f"{iso(delivery.queued_at)[:19]}Z")
    return Parcel(delivery, orjson.loads(event), rendered(delivery.target, event, facts))


def _settle(platform: Platform, outbox: Outbox, parcels: Sequence[Parcel], outcomes: Sequence[Failure | None]) -> None:
    now = platform.clock.now()
    done: list[Delivery] = []
    again: list[tuple[Delivery, float]] = []
    counts: list[tuple[Delivery, dict[str, float]]] = []
    for parcel, failure in zip(parcels, outcomes, strict=True):
        delivery = parcel.delivery
        counted: dict[str, float] = {"Invocations": 1}
        if delivery.tries == 0 and delivery.leads:
            counted |= {"TriggeredRules": 1, "MatchedEvents": 1}
        if delivery.tries:
            counted["RetryInvocationAttempts"] = 1
        exhausted = None if failure is None else _exhausted(delivery, failure, now)
        if failure is None:
            done.append(delivery)
        elif exhausted is None:
            again.append((delivery, now + _pause(delivery.tries)))
        else:
            counted["FailedInvocations"] = 1
            outcome = put_aside(platform, parcel, failure, exhausted)
            if outcome is None:
                again.append((delivery, now + _DEAD_LETTERS_AGAIN_SECONDS))
                continue
            if outcome:
                counted[outcome] = 1
            done.append(delivery)
        counts.append((delivery, counted))
    outbox.settle(done, again)
    for delivery, counted in counts:
        measures_of(platform).count(delivery, counted)


def _exhausted(delivery: Delivery, failure: Failure, now: float) -> str | None:
    """Why there is to be no other try: the name of the limit, empty for a failure that is final; None to try again."""
    if failure.final:
        return ""
    policy: Any = delivery.target.get("RetryPolicy") or {}
    if delivery.tries >= policy.get("MaximumRetryAttempts", MOST_TRIES):
        return "MaximumRetryAttempts"
    if now - delivery.queued_at >= policy.get("MaximumEventAgeInSeconds", LONGEST_AGE_SECONDS):
        return "MaximumEventAgeInSeconds"
    return None


def _pause(tries: int) -> float:
    """The seconds before the next try: twice as long each time, with a jitter of a half."""
    return min(2.0 ** min(tries, 20), _LONGEST_PAUSE_SECONDS) * (0.5 + random.random() / 2)

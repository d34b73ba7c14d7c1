"""When rules and schedules are due. Pure. Times are epoch seconds."""

import hashlib
from collections.abc import Mapping
from typing import Any

from clary.kernel.core.schedules import At, Rate, parse_schedule

_JUST_BEFORE = 1e-3


def next_of_rule(expression: str, since: float, after: float) -> float | None:
    """The first time after `after` that a rule is due; its rate counts from `since`, which does not count itself.

    Raises ValueError for what is no schedule of a rule.
    """
    schedule = parse_schedule(expression, anchor=since)
    if isinstance(schedule, At):
        raise ValueError("a rule has rate(...) or cron(...)")
    return schedule.next_after(after)


def next_of_schedule(request: Mapping[str, Any], since: float, after: float) -> float | None:
    """The first time after `after` that a schedule is due, between its start and its end; None for never.

    A rate counts from its start, which counts itself: without a StartDate it is due at once. Raises ValueError.
    """
    start, end = request.get("StartDate"), request.get("EndDate")
    anchor = since if start is None else start
    schedule = parse_schedule(
        request["ScheduleExpression"], timezone=request.get("ScheduleExpressionTimezone") or "UTC", anchor=anchor
    )
    if isinstance(schedule, At):
        return schedule.next_after(after)
    if start is not None and start > after:
        after = start - _JUST_BEFORE
    due = anchor if isinstance(schedule, Rate) and anchor > after else schedule.next_after(after)
    return due if due is not None and (end is None or due <= end) else None


def fires_at(request: Mapping[str, Any], arn: str, due: float) -> float:
    """When a schedule that is due is carried out: at once, or somewhere in its flexible window, always the same."""
    window = request["FlexibleTimeWindow"]
    if window["Mode"] != "FLEXIBLE":
        return due
    digest = hashlib.sha256(f"{arn} {due}".encode()).digest()
    offset: float = int.from_bytes(digest[:4], "big") / 2**32 * window["MaximumWindowInMinutes"] * 60
    return due + offset

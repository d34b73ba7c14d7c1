"""When scheduled actions are due, and what they do to bounds. Pure."""

from clary.kernel.core.schedules import parse_schedule
from clary.support.autoscaling.records import ScalableTarget, ScheduledAction


def next_due(action: ScheduledAction, created_at: float, after: float) -> float | None:
    """The first time after `after` that an action is due, between its start and its end; None for never.

    Rates are counted from the start, or from when the action was made. Raises ValueError for what is no schedule.
    """
    anchor = created_at if action.start is None else action.start
    schedule = parse_schedule(action.schedule, timezone=action.timezone or "UTC", anchor=anchor)
    if action.start is not None and action.start > after:
        rate = action.schedule.startswith("rate")
        due = action.start if rate else schedule.next_after(action.start - 1e-3)
    else:
        due = schedule.next_after(after)
    return due if due is not None and (action.end is None or due <= action.end) else None


def bounds_after(action: ScheduledAction, target: ScalableTarget) -> tuple[int, int]:
    """A target's least and greatest capacity after an action; where it gives one alone, that one pushes the other."""
    minimum = target.minimum if action.minimum is None else action.minimum
    maximum = target.maximum if action.maximum is None else action.maximum
    if minimum <= maximum:
        return minimum, maximum
    return (maximum, maximum) if action.minimum is None else (minimum, minimum)

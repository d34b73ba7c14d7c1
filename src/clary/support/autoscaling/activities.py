"""Scaling activities: what was done to a target, why, and how it went."""

import itertools
from dataclasses import replace

from clary.kernel.core.ids import new_uuid, short_id
from clary.kernel.rooms import Platform
from clary.kernel.store import Entry
from clary.support.autoscaling.records import Cooldown, ScalableTarget, ScalingActivity

PENDING = "Pending"
IN_PROGRESS = "InProgress"
SUCCESSFUL = "Successful"
FAILED = "Failed"
UNFULFILLED = "Unfulfilled"

RETRY_SECONDS = 60.0
"""How long a target is left alone after scaling it failed."""

_order = itertools.count()


def new_name(platform: Platform) -> str:
    """A name for an activity; names sort by time."""
    return f"{int(platform.clock.now() * 1000):015d}-{next(_order):010d}-{short_id()}"


def open_activity(
    platform: Platform, target: Entry[ScalableTarget], capacity: int, asked: int, cause: str, cooldown_seconds: float
) -> Entry[ScalingActivity]:
    """Note that a target is about to get another capacity. Raises Conflict when the target was changed meanwhile.

    The target names the activity before there is one, so that none is ever under way that its target does not know.
    """
    name = new_name(platform)
    platform.records(ScalableTarget).replace(target, replace(target.value, activity=name))
    activity = ScalingActivity(
        new_uuid(),
        f"Setting desired instance count to {asked}.",
        cause,
        platform.clock.now(),
        before=capacity,
        asked=asked,
        cooldown_seconds=cooldown_seconds,
    )
    table = platform.records(ScalingActivity).within(target.account, target.region)
    return table.create(name, activity, status=PENDING, parent=target.name)


def note_progress(platform: Platform, entry: Entry[ScalingActivity], message: str) -> None:
    """The resource has been asked."""
    platform.records(ScalingActivity).replace(entry, replace(entry.value, message=message), status=IN_PROGRESS)


def end_activity(
    platform: Platform, entry: Entry[ScalingActivity], status: str, message: str
) -> Entry[ScalingActivity]:
    """Note how an activity ended."""
    ended = replace(entry.value, ended_at=platform.clock.now(), message=message)
    return platform.records(ScalingActivity).replace(entry, ended, status=status)


def settle(target: ScalableTarget, activity: ScalingActivity, status: str) -> ScalableTarget:
    """A target as an activity that ended leaves it: with a cooldown, or to be left alone for a while."""
    ended_at = activity.ended_at or activity.started_at
    if status != SUCCESSFUL:
        return replace(target, activity="", not_before=ended_at + RETRY_SECONDS)
    assert activity.before is not None
    assert activity.asked is not None
    out = activity.asked > activity.before
    cooldown = Cooldown(out, _base(target, activity), ended_at + activity.cooldown_seconds)
    return replace(target, activity="", cooldown=cooldown, changed_at=ended_at)


def _base(target: ScalableTarget, activity: ScalingActivity) -> int:
    """What wishes are counted from in the cooldown after an activity.

    An activity that came within the cooldown of another, and added to it, belongs to the same base.
    """
    assert activity.before is not None
    before = target.cooldown
    if before is not None and before.scaled_out and activity.started_at < before.until:
        return min(before.base, activity.before)
    return activity.before


def note_bounds(
    platform: Platform, target: Entry[ScalableTarget], minimum: int | None, maximum: int | None, cause: str
) -> None:
    """Enter into the history that a target's bounds were set."""
    given = [f"{name} capacity to {value}" for name, value in (("min", minimum), ("max", maximum)) if value is not None]
    what, now = " and ".join(given), platform.clock.now()
    activity = ScalingActivity(new_uuid(), f"Setting {what}", cause, now, now, f"Successfully set {what}")
    table = platform.records(ScalingActivity).within(target.account, target.region)
    table.create(new_name(platform), activity, status=SUCCESSFUL, parent=target.name)

"""Give every target the capacity that its bounds, its schedule and its policies ask for.

Safe to run at any time, on any worker, twice. A run over one target does one thing: it follows a change that is under
way, or it applies scheduled actions that are due and then starts a change when one is called for.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Platform, reconciler
from clary.kernel.store import Conflict, Entry
from clary.support.autoscaling import activities
from clary.support.autoscaling.capacity import Capacity, read_capacity, set_capacity
from clary.support.autoscaling.decision import Choice, Limits, choose, correction
from clary.support.autoscaling.records import ScalableTarget, ScalingActivity, ScalingPolicy, ScheduledAction
from clary.support.autoscaling.registration import deregister
from clary.support.autoscaling.times import bounds_after, next_due
from clary.support.autoscaling.watching import wishes_of

TOPIC = "autoscaling"

_EVERY_SECONDS = 5.0
_SOON_SECONDS = 0.5
_HISTORY_SECONDS = 6 * 7 * 24 * 3600.0

_log = logging.getLogger("clary.autoscaling")


@reconciler(TOPIC, every_seconds=_EVERY_SECONDS)
def reconcile(platform: Platform, key: str | None) -> float | None:
    """Drive the target of a key `account/region/name`, or wake the drive of each."""
    if key is None:
        for entry in platform.records(ScalableTarget).all():
            platform.wake(TOPIC, f"{entry.account}/{entry.region}/{entry.name}")
        return None
    account, region, name = key.split("/", 2)
    try:
        return _Drive(platform, account, region).run(name)
    except Conflict:  # a client changed what was read: look again
        return _SOON_SECONDS


@reconciler("autoscaling_history", every_seconds=3600.0)
def sweep(platform: Platform, key: str | None) -> None:
    """Forget activities of more than six weeks ago."""
    history = platform.records(ScalingActivity)
    for entry in history.all(created_before=platform.clock.now() - _HISTORY_SECONDS):
        history.within(entry.account, entry.region).delete(entry.name)


@dataclass(frozen=True, slots=True)
class _Drive:
    """One look at a target of an account and region."""

    platform: Platform
    account: str
    region: str

    def call(self, service: str, operation: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.platform.call(self.account, self.region, service, operation, **params)

    def run(self, name: str) -> float | None:
        """Take the target as far as it will go now; return the seconds after which to look again, if soon."""
        table = self.platform.records(ScalableTarget).within(self.account, self.region)
        target = table.get(name)
        if target is None:
            return None
        capacity = read_capacity(self.call, target.value.resource)
        if capacity is None:
            deregister(self.platform, self.call, target)
            return None
        if target.value.activity:
            return self._follow(target, capacity)
        target = self._apply_schedule(target)
        now = self.platform.clock.now()
        if not capacity.settled or not capacity.present or now < target.value.not_before:
            return None
        choice = self._choice(target, capacity.desired, now)
        if choice is None:
            return None
        activity = activities.open_activity(
            self.platform, target, capacity.desired, choice.capacity, choice.cause, choice.cooldown_seconds
        )
        return self._ask(target, activity)

    def _choice(self, target: Entry[ScalableTarget], current: int, now: float) -> Choice | None:
        suspended = target.value.suspended
        limits = Limits(
            target.value.minimum,
            target.value.maximum,
            may_scale_out=not suspended.get("DynamicScalingOutSuspended", False),
            may_scale_in=not suspended.get("DynamicScalingInSuspended", False),
        )
        corrected = correction(current, limits)
        if corrected is not None:
            return corrected
        policies = self.platform.records(ScalingPolicy).within(self.account, self.region).all(parent=target.name)
        wishes = wishes_of(self.call, target.value, current, [entry.value for entry in policies], now)
        return choose(current, limits, wishes, target.value.cooldown, now)

    def _ask(self, target: Entry[ScalableTarget], activity: Entry[ScalingActivity]) -> float | None:
        """Ask the resource for the capacity of an activity."""
        assert activity.value.asked is not None
        try:
            set_capacity(self.call, target.value.resource, activity.value.asked)
        except AwsError as error:
            reason = f"Failed to set desired instance count to {activity.value.asked}. Reason: {error.message}"
            return self._end(target.name, activity, activities.FAILED, reason)
        done = f"Successfully set desired instance count to {activity.value.asked}."
        activities.note_progress(self.platform, activity, f"{done} Waiting for change to be fulfilled by sagemaker.")
        return _SOON_SECONDS

    def _follow(self, target: Entry[ScalableTarget], capacity: Capacity) -> float | None:
        """See how the change that is under way goes."""
        table = self.platform.records(ScalingActivity).within(self.account, self.region)
        activity = table.get(target.value.activity)
        if activity is None:  # a crash came before the activity was written: nothing was asked
            self._update(target.name, lambda value: replace(value, activity=""))
            return 0.0
        if activity.value.ended_at is not None:
            return self._settle(target.name, activity)
        if not capacity.settled:
            return _SOON_SECONDS
        asked = activity.value.asked
        if capacity.desired != asked:
            if activity.status == activities.PENDING:
                return self._ask(target, activity)
            reason = capacity.failure or f"It was set to {capacity.desired} meanwhile."
            message = f"Failed to set desired instance count to {asked}. Reason: {reason}"
            return self._end(target.name, activity, activities.UNFULFILLED, message)
        message = f"Successfully set desired instance count to {asked}. Change successfully fulfilled by sagemaker."
        return self._end(target.name, activity, activities.SUCCESSFUL, message)

    def _end(self, name: str, activity: Entry[ScalingActivity], status: str, message: str) -> float | None:
        return self._settle(name, activities.end_activity(self.platform, activity, status, message))

    def _settle(self, name: str, activity: Entry[ScalingActivity]) -> float | None:
        if activity.status != activities.SUCCESSFUL:
            _log.warning("scaling %s: %s", name, activity.value.message)
        self._update(name, lambda value: activities.settle(value, activity.value, activity.status))
        return 0.0

    def _update(self, name: str, change: Callable[[ScalableTarget], ScalableTarget]) -> None:
        self.platform.records(ScalableTarget).within(self.account, self.region).update(name, change)

    def _apply_schedule(self, target: Entry[ScalableTarget]) -> Entry[ScalableTarget]:
        """Set the bounds of scheduled actions that are due, in the order in which they are; suspended ones pass by."""
        now = self.platform.clock.now()
        actions = self.platform.records(ScheduledAction).within(self.account, self.region)
        due = [(entry.value.next_at, entry) for entry in actions.all(parent=target.name)]
        for _, entry in sorted(((at, entry) for at, entry in due if at is not None and at <= now), key=itemgetter(0)):
            action = entry.value
            if not target.value.suspended.get("ScheduledScalingSuspended"):
                minimum, maximum = bounds_after(action, target.value)
                bounded = replace(target.value, minimum=minimum, maximum=maximum)
                target = self.platform.records(ScalableTarget).replace(target, bounded)
                cause = f"scheduled action name {action.name} was triggered"
                activities.note_bounds(self.platform, target, action.minimum, action.maximum, cause)
            actions.replace(entry, replace(action, next_at=next_due(action, entry.created_at, now)))
        return target

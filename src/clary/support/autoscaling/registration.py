"""Taking away what belongs to a target: its policies with their alarms, its scheduled actions, its tags."""

import contextlib

from clary.kernel.core.arns import partition_of
from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Platform
from clary.kernel.rooms.tags import tags_without
from clary.kernel.store import Conflict, Entry
from clary.support.autoscaling.activities import UNFULFILLED, end_activity
from clary.support.autoscaling.capacity import Call
from clary.support.autoscaling.records import ScalableTarget, ScalingActivity, ScalingPolicy, ScheduledAction

_MAX_TRIES = 20


def deregister(platform: Platform, call: Call, target: Entry[ScalableTarget]) -> None:
    """Forget a target and all that belongs to it; nothing happens when it is gone already."""
    account, region = target.account, target.region
    targets = platform.records(ScalableTarget).within(account, region)
    policies = platform.records(ScalingPolicy).within(account, region)
    actions = platform.records(ScheduledAction).within(account, region)
    identity = target.value.id
    arn = f"arn:{partition_of(region)}:application-autoscaling:{region}:{account}:scalable-target/{identity}"
    for _ in range(_MAX_TRIES):
        owned = policies.all(parent=target.name)
        parts = [
            *(policies.deletion(entry.name) for entry in owned),
            *(actions.deletion(entry.name) for entry in actions.all(parent=target.name)),
        ]
        try:
            targets.delete(target.name, also=[*parts, *tags_without(platform, arn)])
        except Conflict:
            if targets.get(target.name) is None:
                return
            continue
        for policy in owned:
            delete_alarms(call, policy.value)
        _give_up(platform, target)
        return
    raise Conflict(arn)


def _give_up(platform: Platform, target: Entry[ScalableTarget]) -> None:
    """End the activity that was under way, if any: nobody will see how it goes."""
    table = platform.records(ScalingActivity).within(target.account, target.region)
    activity = table.get(target.value.activity) if target.value.activity else None
    if activity is not None and activity.value.ended_at is None:
        with contextlib.suppress(Conflict):  # it ended just now
            end_activity(platform, activity, UNFULFILLED, "The scalable target was deregistered meanwhile.")


def delete_alarms(call: Call, policy: ScalingPolicy) -> None:
    """Delete the alarms a policy made, as far as they are still there."""
    for name in policy.alarms:
        try:
            call("cloudwatch", "DeleteAlarms", {"AlarmNames": [name]})
        except AwsError as error:
            if error.code != "ResourceNotFound":
                raise

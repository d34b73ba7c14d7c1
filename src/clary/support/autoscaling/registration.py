"""Taking away what belongs to a target: its policies with their alarms, its scheduled actions, its tags."""

from clary.kernel.core.arns import partition_of
from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Platform
from clary.kernel.rooms.tags import tags_without
from clary.kernel.store import Conflict, Entry
from clary.support.autoscaling.capacity import Call
from clary.support.autoscaling.records import ScalableTarget, ScalingPolicy, ScheduledAction

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
        return
    raise Conflict(arn)


def delete_alarms(call: Call, policy: ScalingPolicy) -> None:
    """Delete the alarms a policy made, as far as they are still there."""
    for name in policy.alarms:
        try:
            call("cloudwatch", "DeleteAlarms", {"AlarmNames": [name]})
        except AwsError as error:
            if error.code != "ResourceNotFound":
                raise

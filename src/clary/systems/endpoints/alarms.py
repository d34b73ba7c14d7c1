"""The CloudWatch alarms that watch over a deployment, asked on the account's behalf, whoever deploys."""

from collections.abc import Collection
from typing import Any

from clary.kernel.core.errors import validation
from clary.kernel.rooms import Platform


def check_alarms(platform: Platform, account: str, region: str, names: Collection[str]) -> None:
    """Raise ValidationException when there is no alarm of one of the names."""
    found = _describe(platform, account, region, names)
    missing = [name for name in names if name not in found]
    if missing:
        raise validation(
            f'Could not find CloudWatch alarm "{missing[0]}" of AutoRollbackConfiguration in {region}: '
            "create it before the update, or leave it out."
        )


def gone_off(platform: Platform, account: str, region: str, names: Collection[str]) -> str:
    """Why the alarms call for a rollback; empty while they do not. One that was deleted calls for it too."""
    found = _describe(platform, account, region, names)
    for name in names:
        alarm = found.get(name)
        if alarm is None:
            return f'CloudWatch alarm "{name}", which watches the deployment, does not exist any more.'
        if alarm["StateValue"] == "ALARM":
            return f'CloudWatch alarm "{name}" is in state ALARM: {alarm.get("StateReason", "")}'.rstrip(": ")
    return ""


def _describe(platform: Platform, account: str, region: str, names: Collection[str]) -> dict[str, dict[str, Any]]:
    if not names:
        return {}
    types = ["MetricAlarm", "CompositeAlarm"]
    answer: dict[str, Any] = platform.call(
        account, region, "cloudwatch", "DescribeAlarms", AlarmNames=list(names), AlarmTypes=types
    )
    listed = [*answer.get("MetricAlarms", ()), *answer.get("CompositeAlarms", ())]
    return {alarm["AlarmName"]: alarm for alarm in listed}

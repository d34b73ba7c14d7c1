"""Changes of an alarm's state: written down, entered into its history, and told to whoever is to know."""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from clary.kernel.core.arns import parse_arn, partition_of
from clary.kernel.core.clock import iso
from clary.kernel.core.errors import AwsError
from clary.kernel.core.ids import short_id
from clary.kernel.rooms import Platform
from clary.kernel.store import Entry
from clary.support.cloudwatch.records import Alarm, AlarmHistoryItem

_order = itertools.count()
_ACTIONS = {"OK": "OKActions", "ALARM": "AlarmActions", "INSUFFICIENT_DATA": "InsufficientDataActions"}


def alarm_arn(account: str, region: str, name: str) -> str:
    return f"arn:{partition_of(region)}:cloudwatch:{region}:{account}:alarm:{name}"


def transition(
    platform: Platform, account: str, region: str, name: str, state: str, reason: str, reason_data: str
) -> bool:
    """Put an alarm into a state, and note which actions that asks for. False when there is no such alarm.

    The actions are written with the state, so that they run even when this process dies now.
    """
    now = platform.clock.now()
    before = ""

    def change(alarm: Alarm) -> Alarm:
        nonlocal before
        before = alarm.state
        moved = state != alarm.state
        actions = list(alarm.settings.get(_ACTIONS[state], ())) if moved and alarm.settings["ActionsEnabled"] else []
        return replace(
            alarm,
            state=state,
            reason=reason,
            reason_data=reason_data,
            updated_at=now,
            transitioned_at=now if moved else alarm.transitioned_at,
            previous=alarm.state if moved else alarm.previous,
            to_notify=[*alarm.to_notify, *actions],
        )

    table = platform.records(Alarm).within(account, region)
    if table.update(name, change, status=lambda alarm: alarm.state) is None:
        return False
    if before != state:
        data = {
            "version": "1.0",
            "oldState": {"stateValue": before},
            "newState": {"stateValue": state, "stateReason": reason},
        }
        add_history(platform, account, region, name, "StateUpdate", f"Alarm updated from {before} to {state}", data)
    return True


def notify(platform: Platform, entry: Entry[Alarm]) -> None:
    """Carry out the actions that an alarm still owes, and enter into its history how each went."""
    for action in entry.value.to_notify:
        failure = _carry_out(platform, entry, action)
        summary = (
            f"Successfully executed action {action}"
            if failure is None
            else f"Failed to execute action {action}. Received error: {failure}"
        )
        data = {"actionState": "Succeeded" if failure is None else "Failed", "notificationResource": action}
        add_history(platform, entry.account, entry.region, entry.name, "Action", summary, data | {"error": failure})
    owed = entry.value.to_notify

    def settle(alarm: Alarm) -> Alarm | None:
        paid = alarm.to_notify[: len(owed)] == owed
        return replace(alarm, to_notify=alarm.to_notify[len(owed) :]) if paid else None

    platform.records(Alarm).within(entry.account, entry.region).update(entry.name, settle)


def record_configuration(platform: Platform, account: str, region: str, name: str, what: str) -> None:
    """Enter into an alarm's history that it was created, updated or deleted."""
    add_history(platform, account, region, name, "ConfigurationUpdate", f'Alarm "{name}" {what}', {"version": "1.0"})


def add_history(
    platform: Platform, account: str, region: str, alarm: str, kind: str, summary: str, data: Mapping[str, Any]
) -> None:
    """Write a history item, whose name sorts by the time of what happened."""
    name = f"{int(platform.clock.now() * 1000):015d}-{next(_order):010d}-{short_id()}"
    item = AlarmHistoryItem(alarm, kind, summary, dict(data))
    platform.records(AlarmHistoryItem).within(account, region).create(name, item, parent=alarm)


def _carry_out(platform: Platform, entry: Entry[Alarm], action: str) -> str | None:
    """Run one action; the error in words when it failed."""
    try:
        target = parse_arn(action)
        message = orjson.dumps(_notification(entry)).decode()
        if target.service == "sns":
            subject = f'{entry.value.state}: "{entry.name}" in {entry.region}'[:100]
            platform.call(
                entry.account, target.region, "sns", "Publish", TopicArn=action, Subject=subject, Message=message
            )
        elif target.service == "lambda":
            platform.call(
                entry.account,
                target.region,
                "lambda",
                "Invoke",
                FunctionName=action,
                InvocationType="Event",
                Payload=message.encode(),
            )
        elif target.service == "autoscaling" and target.resource.startswith("scalingPolicy:"):
            platform.wake("autoscaling")  # it looks at its policies' alarms itself
        else:
            named = target.service or action
            return f"Clary has no action of {named}: use an SNS topic, a Lambda function or a scaling policy."
    except AwsError as error:
        return str(error)
    return None


def _notification(entry: Entry[Alarm]) -> dict[str, Any]:
    alarm = entry.value
    left_out = {"AlarmDescription", "ActionsEnabled", *_ACTIONS.values()}
    return {
        "AlarmName": entry.name,
        "AlarmDescription": alarm.settings.get("AlarmDescription"),
        "AWSAccountId": entry.account,
        "AlarmConfigurationUpdatedTimestamp": iso(alarm.configured_at),
        "NewStateValue": alarm.state,
        "NewStateReason": alarm.reason,
        "StateChangeTime": iso(alarm.transitioned_at),
        "Region": entry.region,
        "AlarmArn": alarm_arn(entry.account, entry.region, entry.name),
        "OldStateValue": alarm.previous,
        **{name: alarm.settings.get(name, []) for name in _ACTIONS.values()},
        "Trigger": {name: value for name, value in alarm.settings.items() if name not in left_out},
    }

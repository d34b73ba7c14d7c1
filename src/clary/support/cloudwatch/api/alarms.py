"""Alarms: put, describe, delete, set a state, turn actions on and off. `reconcile` evaluates them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.tags import read_tags, tags_with
from clary.kernel.store import AlreadyExists, Entry
from clary.support.cloudwatch.alarm_settings import check_settings, invalid, watches
from clary.support.cloudwatch.evaluation import INSUFFICIENT_DATA
from clary.support.cloudwatch.reading import dimensions_of
from clary.support.cloudwatch.records import Alarm
from clary.support.cloudwatch.tagged import forget
from clary.support.cloudwatch.tokens import read_token, write_token
from clary.support.cloudwatch.transitions import alarm_arn, record_configuration, transition

_DEFAULT_RECORDS = 50


@operation("cloudwatch", "PutMetricAlarm", resource="alarm:{AlarmName}")
def put_metric_alarm(
    ctx: Context,
    AlarmName: str,
    AlarmDescription: str | None = None,
    ActionsEnabled: bool | None = None,
    OKActions: Sequence[str] | None = None,
    AlarmActions: Sequence[str] | None = None,
    InsufficientDataActions: Sequence[str] | None = None,
    MetricName: str | None = None,
    Namespace: str | None = None,
    Statistic: str | None = None,
    ExtendedStatistic: str | None = None,
    Dimensions: Sequence[Mapping[str, str]] | None = None,
    Period: int | None = None,
    Unit: str | None = None,
    EvaluationPeriods: int | None = None,
    DatapointsToAlarm: int | None = None,
    Threshold: float | None = None,
    ComparisonOperator: str | None = None,
    TreatMissingData: str | None = None,
    EvaluateLowSampleCountPercentile: str | None = None,
    Metrics: Sequence[Mapping[str, Any]] | None = None,
    Tags: Sequence[Mapping[str, str]] | None = None,
) -> None:
    """Create an alarm, or overwrite the settings of one and leave its state. Tags count at creation alone."""
    given = {
        "ActionsEnabled": ActionsEnabled is not False,
        "AlarmDescription": AlarmDescription,
        "OKActions": list(OKActions or ()),
        "AlarmActions": list(AlarmActions or ()),
        "InsufficientDataActions": list(InsufficientDataActions or ()),
        "MetricName": MetricName,
        "Namespace": Namespace,
        "Statistic": Statistic,
        "ExtendedStatistic": ExtendedStatistic,
        "Dimensions": list(Dimensions) if Dimensions else None,
        "Period": Period,
        "Unit": Unit,
        "EvaluationPeriods": EvaluationPeriods,
        "DatapointsToAlarm": DatapointsToAlarm,
        "Threshold": Threshold,
        "ComparisonOperator": ComparisonOperator,
        "TreatMissingData": TreatMissingData,
        "EvaluateLowSampleCountPercentile": EvaluateLowSampleCountPercentile,
        "Metrics": list(Metrics) if Metrics else None,
    }
    settings = {name: value for name, value in given.items() if value is not None}
    check_settings(settings)
    now = ctx.platform.clock.now()
    fresh = Alarm(settings, INSUFFICIENT_DATA, "Unchecked: Initial alarm creation", "", now, now, now)
    alarms = ctx.records(Alarm)
    arn = alarm_arn(ctx.account, ctx.region, AlarmName)
    while True:
        changed = alarms.update(AlarmName, lambda alarm: replace(alarm, settings=settings, configured_at=now))
        if changed is not None:
            break
        try:
            alarms.create(AlarmName, fresh, status=fresh.state, also=tags_with(ctx, arn, read_tags(Tags)))
            break
        except AlreadyExists:
            continue
    record_configuration(ctx.platform, ctx.account, ctx.region, AlarmName, "updated" if changed else "created")
    ctx.platform.wake("cloudwatch_alarms")


@operation("cloudwatch", "DescribeAlarms")
def describe_alarms(
    ctx: Context,
    AlarmNames: Sequence[str] | None = None,
    AlarmNamePrefix: str | None = None,
    AlarmTypes: Sequence[str] | None = None,
    StateValue: str | None = None,
    ActionPrefix: str | None = None,
    MaxRecords: int | None = None,
    NextToken: str | None = None,
) -> dict[str, Any]:
    """Alarms by name. There are metric alarms alone, so other types are lists without elements."""
    if AlarmNames and AlarmNamePrefix:
        raise invalid("Specify either AlarmNames or AlarmNamePrefix, and not both.")
    if AlarmTypes and "MetricAlarm" not in AlarmTypes:
        return {"MetricAlarms": [], "CompositeAlarms": [], "LogAlarms": []}
    after = (read_token(NextToken) or b"").decode(errors="replace")
    listed = ctx.records(Alarm).all(name_prefix=AlarmNamePrefix, status=StateValue)
    found = [
        entry
        for entry in listed
        if entry.name > after
        and (not AlarmNames or entry.name in AlarmNames)
        and (not ActionPrefix or any(action.startswith(ActionPrefix) for action in _actions(entry.value)))
    ]
    count = MaxRecords or _DEFAULT_RECORDS
    return {
        "MetricAlarms": [describe(entry) for entry in found[:count]],
        "CompositeAlarms": [],
        "LogAlarms": [],
        "NextToken": write_token(found[count - 1].name.encode()) if len(found) > count else None,
    }


@operation("cloudwatch", "DescribeAlarmsForMetric")
def describe_alarms_for_metric(
    ctx: Context,
    MetricName: str,
    Namespace: str,
    Statistic: str | None = None,
    ExtendedStatistic: str | None = None,
    Dimensions: Sequence[Mapping[str, str]] | None = None,
    Period: int | None = None,
    Unit: str | None = None,
) -> dict[str, Any]:
    """Alarms on a metric; of alarms on expressions, those that name it whatever its dimensions."""
    wanted = {
        "Statistic": Statistic,
        "ExtendedStatistic": ExtendedStatistic,
        "Period": Period,
        "Unit": Unit,
    }

    def matches(settings: Mapping[str, Any]) -> bool:
        if not watches(settings, Namespace, MetricName):
            return False
        if settings.get("Metrics"):
            return all(value is None for value in wanted.values())
        same = all(value is None or settings.get(name) == value for name, value in wanted.items())
        return same and dimensions_of(settings.get("Dimensions")) == dimensions_of(Dimensions)

    return {"MetricAlarms": [describe(entry) for entry in ctx.records(Alarm).all() if matches(entry.value.settings)]}


@operation("cloudwatch", "DeleteAlarms")
def delete_alarms(ctx: Context, AlarmNames: Sequence[str]) -> None:
    """Remove alarms; like AWS, none of them when one is missing. Their history stays."""
    alarms = ctx.records(Alarm)
    missing = [name for name in AlarmNames if alarms.get(name) is None]
    if missing:
        raise AwsError("ResourceNotFound", f"Unknown alarm: {missing[0]}", status=404)
    for name in AlarmNames:
        forget(ctx, alarms, name, alarm_arn(ctx.account, ctx.region, name))
        record_configuration(ctx.platform, ctx.account, ctx.region, name, "deleted")


@operation("cloudwatch", "SetAlarmState", resource="alarm:{AlarmName}")
def set_alarm_state(
    ctx: Context, AlarmName: str, StateValue: str, StateReason: str, StateReasonData: str | None = None
) -> None:
    """Put an alarm into a state until its next evaluation; actions run as for any change of state."""
    if not transition(ctx.platform, ctx.account, ctx.region, AlarmName, StateValue, StateReason, StateReasonData or ""):
        raise AwsError("ResourceNotFound", f"Unknown alarm: {AlarmName}", status=404)
    ctx.platform.wake("cloudwatch_alarms", f"{ctx.account}/{ctx.region}/{AlarmName}")


@operation("cloudwatch", "EnableAlarmActions")
def enable_alarm_actions(ctx: Context, AlarmNames: Sequence[str]) -> None:
    """Let changes of state run actions; names that are not there are no error."""
    _change_settings(ctx, AlarmNames, lambda settings: {**settings, "ActionsEnabled": True})


@operation("cloudwatch", "DisableAlarmActions")
def disable_alarm_actions(ctx: Context, AlarmNames: Sequence[str]) -> None:
    """Keep changes of state from running actions; names that are not there are no error."""
    _change_settings(ctx, AlarmNames, lambda settings: {**settings, "ActionsEnabled": False})


def describe(entry: Entry[Alarm]) -> dict[str, Any]:
    """An alarm as clients see it."""
    alarm = entry.value
    return {
        **alarm.settings,
        "AlarmName": entry.name,
        "AlarmArn": alarm_arn(entry.account, entry.region, entry.name),
        "AlarmConfigurationUpdatedTimestamp": alarm.configured_at,
        "StateValue": alarm.state,
        "StateReason": alarm.reason,
        "StateReasonData": alarm.reason_data or None,
        "StateUpdatedTimestamp": alarm.updated_at,
        "StateTransitionedTimestamp": alarm.transitioned_at,
        "Dimensions": alarm.settings.get("Dimensions", [] if not alarm.settings.get("Metrics") else None),
    }


def _actions(alarm: Alarm) -> list[str]:
    names = ("OKActions", "AlarmActions", "InsufficientDataActions")
    return [action for name in names for action in alarm.settings.get(name, ())]


def _change_settings(ctx: Context, names: Sequence[str], change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    for name in names:
        ctx.records(Alarm).update(name, lambda alarm: replace(alarm, settings=change(alarm.settings)))

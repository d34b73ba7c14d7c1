"""What policies wish, from the metrics and alarms they follow."""

from collections.abc import Mapping, Sequence
from typing import Any

from clary.support.autoscaling import tracking
from clary.support.autoscaling.adjustments import Adjustment, Keep, Share, aggregated, step_for
from clary.support.autoscaling.capacity import Call
from clary.support.autoscaling.decision import Wish
from clary.support.autoscaling.records import ScalableTarget, ScalingPolicy

DEFAULT_STEP_COOLDOWN_SECONDS = 300.0


def alarms_of(call: Call, policy_arn: str, prefix: str = "") -> list[Mapping[str, Any]]:
    """The alarms that have a policy among their actions, and begin with `prefix`, as DescribeAlarms shows them."""
    asked = {"ActionPrefix": policy_arn, **({"AlarmNamePrefix": prefix} if prefix else {})}
    found: list[Mapping[str, Any]] = []
    token: dict[str, Any] = {}
    while True:
        page = call("cloudwatch", "DescribeAlarms", {**asked, **token})
        found += page["MetricAlarms"]
        if not page.get("NextToken"):
            return found
        token = {"NextToken": page["NextToken"]}


def wishes_of(
    call: Call, target: ScalableTarget, current: int, policies: Sequence[ScalingPolicy], now: float
) -> list[Wish]:
    """What each policy of a target with a capacity wishes now; those with nothing to say are left out."""
    wishes: list[Wish] = []
    for policy in policies:
        if policy.kind == "TargetTrackingScaling":
            wishes.append(_tracking_wish(call, target, current, policy, now))
        else:
            wishes += _step_wishes(call, policy, now)
    return wishes


def _tracking_wish(call: Call, target: ScalableTarget, current: int, policy: ScalingPolicy, now: float) -> Wish:
    settings = policy.settings
    adjustment, cause = _track(call, target, current, policy, now)
    return Wish(
        cause,
        adjustment,
        settings.get("ScaleOutCooldown", tracking.DEFAULT_COOLDOWN_SECONDS),
        settings.get("ScaleInCooldown", tracking.DEFAULT_COOLDOWN_SECONDS),
        tracks=not settings.get("DisableScaleIn"),
        is_current=tracking.is_shared(settings),
    )


def _track(
    call: Call, target: ScalableTarget, current: int, policy: ScalingPolicy, now: float
) -> tuple[Adjustment, str]:
    """What a policy makes of its metric now, and why. It takes capacity away while its low alarm goes off."""
    wanted = policy.settings["TargetValue"]
    metric = tracking.metric_of(policy.settings, target.resource)
    points = _points(call, tracking.queries_of(metric), now - 3 * tracking.PERIOD, now)
    high = tracking.load(points, metric, wanted, target.changed_at, now, only_grows=current == 0)
    if high > wanted:
        return Share(high / wanted), f"policy {policy.name}: its metric is {high:g}, above the target of {wanted:g}"
    value = tracking.whole(points, target.changed_at, now)
    if value is None or current <= target.minimum or policy.settings.get("DisableScaleIn"):
        return Keep(), ""
    low = _going_off(call, policy, tracking.alarm_name(target.resource, tracking.LOW, ""))
    return (Share(value / wanted), _cause(low[0], policy)) if low else (Keep(), "")


def _step_wishes(call: Call, policy: ScalingPolicy, now: float) -> list[Wish]:
    settings = policy.settings
    wishes = []
    for alarm in _going_off(call, policy):
        period = alarm.get("Period") or tracking.PERIOD
        step = step_for(settings, _breach(call, alarm, settings, period, now), below=_is_below(alarm))
        if step is None:
            continue
        # An alarm speaks once a period, however short the cooldown is.
        wait = max(settings.get("Cooldown", DEFAULT_STEP_COOLDOWN_SECONDS), period)
        wishes.append(Wish(_cause(alarm, policy), step, wait, wait))
    return wishes


def _cause(alarm: Mapping[str, Any], policy: ScalingPolicy) -> str:
    return f"monitor alarm {alarm['AlarmName']} in state {alarm['StateValue']} triggered policy {policy.name}"


def _going_off(call: Call, policy: ScalingPolicy, prefix: str = "") -> list[Mapping[str, Any]]:
    """The alarms that ask for a policy in the state they are in."""
    actions = {"ALARM": "AlarmActions", "OK": "OKActions", "INSUFFICIENT_DATA": "InsufficientDataActions"}
    return [
        alarm
        for alarm in alarms_of(call, policy.arn, prefix)
        if alarm["ActionsEnabled"] and policy.arn in (alarm.get(actions[alarm["StateValue"]]) or ())
    ]


def _breach(call: Call, alarm: Mapping[str, Any], settings: Mapping[str, Any], period: int, now: float) -> float:
    """How far an alarm's metric is above its threshold; 0 when there are no data, as when its state was set by hand."""
    end = now // period * period
    points = _points(call, tracking.queries_of(alarm), end - alarm["EvaluationPeriods"] * period, end)
    if not points:
        return 0.0
    value = aggregated(list(points.values()), settings.get("MetricAggregationType", "Average"))
    breach = value - float(alarm["Threshold"])
    return min(breach, 0.0) if _is_below(alarm) else max(breach, 0.0)


def _is_below(alarm: Mapping[str, Any]) -> bool:
    return str(alarm["ComparisonOperator"]).startswith("LessThan")


def _points(call: Call, queries: Sequence[Mapping[str, Any]], start: float, end: float) -> dict[float, float]:
    """The points of the one query that returns data, by the beginning of their period."""
    params = {"MetricDataQueries": queries, "StartTime": start, "EndTime": end}
    results = call("cloudwatch", "GetMetricData", params)["MetricDataResults"]
    if not results:
        return {}
    return dict(zip(results[0]["Timestamps"], results[0]["Values"], strict=True))

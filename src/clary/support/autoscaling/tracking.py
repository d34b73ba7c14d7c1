"""Target tracking: the metric a policy follows, the alarms it makes, and what the metric says. Pure.

The alarms are AWS's: the high one after three periods above the target, the low one after fifteen below nine tenths of
it. Scaling out does not wait for the high one: see `load`.
"""

from collections.abc import Mapping
from typing import Any

from clary.kernel.core.errors import not_supported, validation
from clary.support.autoscaling.names import COPIES, INSTANCES, scaled

PERIOD = 60
HIGH, LOW = "AlarmHigh", "AlarmLow"
DEFAULT_COOLDOWN_SECONDS = 300

_INVOCATIONS = {
    INSTANCES: "SageMakerVariantInvocationsPerInstance",
    COPIES: "SageMakerInferenceComponentInvocationsPerCopy",
}
_EVALUATED_PERIODS = {HIGH: 3, LOW: 15}
_LOW_SHARE = 0.9
_SUMS = frozenset({"Sum", "SampleCount"})
_SHORTEST_SECONDS = PERIOD / 3
_ONE_METRIC = ("MetricName", "Namespace", "Dimensions", "Statistic", "Unit")


def check_tracking(settings: Mapping[str, Any], dimension: str) -> None:
    """Raise ValidationException unless a TargetTrackingScalingPolicyConfiguration can be followed."""
    if settings["TargetValue"] <= 0:
        raise validation(f"TargetValue must be greater than 0; got {settings['TargetValue']:g}.")
    for name in ("ScaleOutCooldown", "ScaleInCooldown"):
        if settings.get(name, 0) < 0:
            raise validation(f"{name} must not be negative; got {settings[name]}.")
    predefined = settings.get("PredefinedMetricSpecification")
    customized = settings.get("CustomizedMetricSpecification")
    if (predefined is None) == (customized is None):
        raise validation(
            "Give either PredefinedMetricSpecification or CustomizedMetricSpecification: a policy follows one metric."
        )
    if predefined is not None:
        _check_predefined(predefined, _INVOCATIONS[dimension])
    elif customized is not None:
        _check_customized(customized)


def _check_predefined(given: Mapping[str, Any], known: str) -> None:
    kind = given["PredefinedMetricType"]
    if not kind.startswith("SageMaker"):
        raise validation(f"PredefinedMetricType {kind} does not belong to the service namespace sagemaker.")
    if kind != known:
        raise not_supported(f"PredefinedMetricType {kind}", f"give {known}, or a customized metric.")
    if "ResourceLabel" in given:
        raise validation(f"ResourceLabel does not go with PredefinedMetricType {kind}.")


def _check_customized(given: Mapping[str, Any]) -> None:
    if not given.get("Metrics"):
        for name in ("MetricName", "Namespace", "Statistic"):
            if not given.get(name):
                raise validation(f"CustomizedMetricSpecification needs {name}, or Metrics.")
        return
    both = [name for name in _ONE_METRIC if given.get(name)]
    if both:
        raise validation(f"CustomizedMetricSpecification must not have both {both[0]} and Metrics.")
    returning = [query for query in given["Metrics"] if query.get("ReturnData", True)]
    if len(returning) != 1:
        raise validation(f"Exactly one element of Metrics must return data; {len(returning)} do.")


def is_shared(settings: Mapping[str, Any]) -> bool:
    """Whether the metric is what each instance got of a whole, so that it tells at once what more instances change."""
    return "PredefinedMetricSpecification" in settings


def metric_of(settings: Mapping[str, Any], resource: str) -> dict[str, Any]:
    """The metric that a policy follows, with the members of PutMetricAlarm."""
    customized = settings.get("CustomizedMetricSpecification")
    if customized is None:
        names = scaled(resource)
        each, dimensions = "Instance", {"EndpointName": names.endpoint, "VariantName": names.variant}
        if names.component:
            each, dimensions = "Copy", {"InferenceComponentName": names.component}
        return {
            "Namespace": "AWS/SageMaker",
            "MetricName": f"InvocationsPer{each}",
            "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
            "Statistic": "Sum",
            "Period": PERIOD,
        }
    if customized.get("Metrics"):
        return {"Metrics": [_with_period(query) for query in customized["Metrics"]]}
    return {**{name: customized[name] for name in _ONE_METRIC if name in customized}, "Period": PERIOD}


def _with_period(query: Mapping[str, Any]) -> dict[str, Any]:
    if "MetricStat" in query:
        return {**query, "MetricStat": {**query["MetricStat"], "Period": PERIOD}}
    return {**query, "Period": PERIOD}


def queries_of(metric: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The queries of GetMetricData for a metric as an alarm has it."""
    if metric.get("Metrics"):
        return list(metric["Metrics"])
    named = {name: metric[name] for name in ("Namespace", "MetricName", "Dimensions") if name in metric}
    stat = {"Metric": named, "Period": metric["Period"], "Stat": metric.get("Statistic") or metric["ExtendedStatistic"]}
    if metric.get("Unit"):
        stat["Unit"] = metric["Unit"]
    return [{"Id": "m1", "MetricStat": stat}]


def alarm_settings(settings: Mapping[str, Any], resource: str, arn: str, side: str) -> dict[str, Any]:
    """What PutMetricAlarm is asked, but for the name, for a policy's alarm of one side."""
    target = settings["TargetValue"]
    return {
        **metric_of(settings, resource),
        "AlarmDescription": f"DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {arn}.",
        "AlarmActions": [arn],
        "EvaluationPeriods": _EVALUATED_PERIODS[side],
        "Threshold": target if side == HIGH else target * _LOW_SHARE,
        "ComparisonOperator": "GreaterThanThreshold" if side == HIGH else "LessThanThreshold",
    }


def alarm_sides(settings: Mapping[str, Any]) -> list[str]:
    return [HIGH] if settings.get("DisableScaleIn") else [HIGH, LOW]


def alarm_name(resource: str, side: str, identity: str) -> str:
    return f"TargetTracking-{resource}-{side}-{identity}"


def load(
    points: Mapping[float, float],
    metric: Mapping[str, Any],
    target: float,
    since: float,
    now: float,
    *,
    only_grows: bool = False,
) -> float:
    """What a metric says, for scaling out: its last whole period, or the one under way when that is over the target.

    A sum can only grow until its period is over, so one that is over the target need not be waited for: it is taken
    to go on as it began, counted over a third of the period at least. `points` are by the beginning of their period;
    those that began before `since` do not count. 0 when there are none. A metric that `only_grows`, because there is no
    instance that could take its load, need not be waited for either, whatever was measured when.
    """
    best = whole(points, since, now) or 0.0
    start = now // PERIOD * PERIOD
    so_far = points.get(start, 0.0)
    if metric.get("Statistic") in _SUMS and start >= since and so_far > target:
        best = max(best, so_far * PERIOD / max(now - start, _SHORTEST_SECONDS))
    if only_grows and so_far > target:
        best = max(best, so_far)
    return best


def whole(points: Mapping[float, float], since: float, now: float) -> float | None:
    """What a metric says of its last whole period. None when there is none."""
    ended = [(start, value) for start, value in points.items() if since <= start <= now - PERIOD]
    return max(ended)[1] if ended else None

"""What PutMetricAlarm may be given, and what an alarm's settings mean. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.telemetry.statistics import statistic
from clary.support.cloudwatch.evaluation import COMPARISONS, Rule
from clary.support.cloudwatch.queries import check_queries
from clary.support.cloudwatch.times import check_period

_DAY = 24 * 3600
_TREATMENTS = ("breaching", "notBreaching", "ignore", "missing")
_OF_ONE_METRIC = ("MetricName", "Namespace", "Statistic", "ExtendedStatistic", "Dimensions", "Period", "Unit")


def invalid(message: str) -> AwsError:
    return AwsError("ValidationError", message)


def check_settings(settings: Mapping[str, Any]) -> None:
    """Raise ValidationError unless an alarm with these settings can be evaluated."""
    for name in ("ComparisonOperator", "EvaluationPeriods", "Threshold"):
        if settings.get(name) is None:
            raise invalid(f"The parameter {name} is required.")
    if settings["ComparisonOperator"] not in COMPARISONS:
        raise invalid(
            f"ComparisonOperator {settings['ComparisonOperator']} is not supported by Clary: it compares with anomaly "
            "detection bands."
        )
    treatment = settings.get("TreatMissingData", "missing")
    if treatment not in _TREATMENTS:
        raise invalid(f"The value {treatment} for parameter TreatMissingData must be one of {', '.join(_TREATMENTS)}.")
    if settings.get("Metrics"):
        _check_math(settings)
    else:
        _check_metric(settings)
    periods = settings["EvaluationPeriods"]
    if settings.get("DatapointsToAlarm", periods) > periods:
        raise invalid("The parameter DatapointsToAlarm must not be greater than EvaluationPeriods.")
    longest = 7 * _DAY if period_of(settings) >= 3600 else _DAY
    if periods * period_of(settings) > longest:
        raise invalid(
            f"Metrics cannot be checked across more than {longest // _DAY} day(s): EvaluationPeriods * Period is "
            f"{periods * period_of(settings)} seconds."
        )


def rule_of(settings: Mapping[str, Any]) -> Rule:
    periods = settings["EvaluationPeriods"]
    return Rule(
        settings["ComparisonOperator"],
        settings["Threshold"],
        periods,
        settings.get("DatapointsToAlarm", periods),
        settings.get("TreatMissingData", "missing"),
    )


def queries_of(settings: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The queries that give an alarm's values: its own, or one for its metric."""
    if settings.get("Metrics"):
        return list(settings["Metrics"])
    stat = {
        "Metric": {name: settings[name] for name in ("Namespace", "MetricName", "Dimensions") if name in settings},
        "Period": settings["Period"],
        "Stat": settings.get("Statistic") or settings["ExtendedStatistic"],
        "Unit": settings.get("Unit"),
    }
    return [{"Id": "m1", "MetricStat": stat}]


def period_of(settings: Mapping[str, Any]) -> int:
    """The seconds of an alarm's period: for math, the longest of its metrics or the expression's own."""
    if not settings.get("Metrics"):
        return int(settings["Period"])
    watched = next(query for query in settings["Metrics"] if query.get("ReturnData", True))
    periods = [query["MetricStat"]["Period"] for query in settings["Metrics"] if "MetricStat" in query]
    return int(watched.get("Period") or max(periods, default=60))


def watches(settings: Mapping[str, Any], namespace: str, name: str) -> bool:
    """Whether an alarm is about a metric."""
    stats = [query.get("MetricStat") for query in queries_of(settings)]
    return any(
        stat is not None and (stat["Metric"].get("Namespace"), stat["Metric"].get("MetricName")) == (namespace, name)
        for stat in stats
    )


def fewest_samples(settings: Mapping[str, Any]) -> float:
    """How many samples a percentile needs before it may change the state of an alarm; 0 where any number does."""
    percentile = settings.get("ExtendedStatistic", "")
    if settings.get("EvaluateLowSampleCountPercentile") != "ignore" or not percentile.startswith("p"):
        return 0
    share = float(percentile[1:]) / 100
    return 10 / (1 - share) if 0.5 <= share < 1 else 10 / share if 0 < share < 0.5 else 0


def _check_metric(settings: Mapping[str, Any]) -> None:
    for name in ("MetricName", "Namespace", "Period"):
        if settings.get(name) is None:
            raise invalid(f"The parameter {name} is required where there is no Metrics.")
    if bool(settings.get("Statistic")) == bool(settings.get("ExtendedStatistic")):
        raise invalid("Specify either Statistic or ExtendedStatistic, and not both.")
    check_period(settings["Period"])
    if settings.get("ExtendedStatistic"):
        try:
            statistic(settings["ExtendedStatistic"])
        except ValueError as error:
            raise invalid(f"The parameter ExtendedStatistic is not valid: {error}.") from None
    low_samples = settings.get("EvaluateLowSampleCountPercentile")
    if low_samples not in {None, "evaluate", "ignore"}:
        raise invalid("The parameter EvaluateLowSampleCountPercentile must be evaluate or ignore.")


def _check_math(settings: Mapping[str, Any]) -> None:
    both = [name for name in _OF_ONE_METRIC if settings.get(name)]
    if both:
        raise invalid(f"The parameter {both[0]} must not be given together with Metrics.")
    check_queries(settings["Metrics"])
    returning = [query for query in settings["Metrics"] if query.get("ReturnData", True)]
    if len(returning) != 1:
        raise invalid(f"Exactly one element of Metrics must return data; {len(returning)} do.")

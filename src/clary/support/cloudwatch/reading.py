"""Reading the platform's metrics as queries ask for them."""

from collections.abc import Iterable, Mapping
from typing import Any

from clary.kernel.telemetry import Metrics
from clary.kernel.telemetry.statistics import statistic
from clary.support.cloudwatch.queries import ReadMetric


def dimensions_of(given: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    """Dimensions of a request as a mapping."""
    return {dimension["Name"]: dimension["Value"] for dimension in given or ()}


def metric_reader(metrics: Metrics, account: str, region: str) -> ReadMetric:
    """What reads a MetricStat's points for one account and region. Data of all units count unless one is named."""

    def read(stat: Mapping[str, Any], start: float, end: float) -> dict[float, float]:
        metric = stat["Metric"]
        work_out = statistic(stat["Stat"])
        buckets = metrics.buckets(
            account,
            region,
            metric["Namespace"],
            metric["MetricName"],
            dimensions_of(metric.get("Dimensions")),
            start=start,
            end=end,
            period=stat["Period"],
            unit=stat.get("Unit"),
        )
        values = ((bucket.start, work_out(bucket.samples)) for bucket in buckets)
        return {moment: value for moment, value in values if value is not None}

    return read

"""Metrics: put, statistics of one, list."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation
from clary.kernel.telemetry.metrics import Bucket, Series
from clary.kernel.telemetry.statistics import statistic
from clary.support.cloudwatch.data import MOST_DATA, invalid_value, read_datum
from clary.support.cloudwatch.reading import dimensions_of
from clary.support.cloudwatch.times import check_period, check_range, epoch, rounded_start
from clary.support.cloudwatch.tokens import read_token, write_token

_MOST_POINTS = 1_440
_METRICS_A_PAGE = 500
_LISTED_SECONDS = 14 * 24 * 3600
_RECENT_SECONDS = 3 * 3600


@operation("cloudwatch", "PutMetricData")
def put_metric_data(ctx: Context, Namespace: str, MetricData: Sequence[Mapping[str, Any]] | None = None) -> None:
    """Add up to 1,000 data, all or none."""
    if Namespace.startswith("AWS/"):
        raise invalid_value(f"The value {Namespace} for parameter Namespace is invalid: AWS/ is reserved.")
    if not MetricData:
        raise AwsError("MissingParameter", "The parameter MetricData is required.")
    if len(MetricData) > MOST_DATA:
        raise invalid_value(f"The collection MetricData must not have a size greater than {MOST_DATA}.")
    now = ctx.platform.clock.now()
    data = [read_datum(datum, f"MetricData.member.{number}", now) for number, datum in enumerate(MetricData, 1)]
    ctx.platform.metrics.put(ctx.account, ctx.region, Namespace, data)


@operation("cloudwatch", "GetMetricStatistics")
def get_metric_statistics(
    ctx: Context,
    Namespace: str,
    MetricName: str,
    StartTime: float,
    EndTime: float,
    Period: int,
    Dimensions: Sequence[Mapping[str, str]] | None = None,
    Statistics: Sequence[str] | None = None,
    ExtendedStatistics: Sequence[str] | None = None,
    Unit: str | None = None,
) -> dict[str, Any]:
    """Statistics of a metric by period; without a unit, of every unit on its own."""
    if bool(Statistics) == bool(ExtendedStatistics):
        raise AwsError("InvalidParameterCombination", "Specify either Statistics or ExtendedStatistics, and not both.")
    check_period(Period)
    start, end = epoch(StartTime), epoch(EndTime)
    check_range(start, end)
    start = rounded_start(start, Period, ctx.platform.clock.now())
    points = int(-(-(end - start) // Period))
    if points > _MOST_POINTS:
        raise AwsError(
            "InvalidParameterCombination",
            f"You have requested up to {points:,} datapoints, which exceeds the limit of {_MOST_POINTS:,}. You may "
            "reduce the datapoints requested by increasing Period, or decreasing the time range.",
        )
    for name in ExtendedStatistics or ():
        _check_extended(name)
    buckets = ctx.platform.metrics.buckets(
        ctx.account,
        ctx.region,
        Namespace,
        MetricName,
        dimensions_of(Dimensions),
        start=start,
        end=end,
        period=Period,
        unit=Unit,
        split_units=True,
    )
    described = (_datapoint(bucket, Statistics or (), ExtendedStatistics or ()) for bucket in buckets)
    return {"Label": MetricName, "Datapoints": [point for point in described if point is not None]}


@operation("cloudwatch", "ListMetrics")
def list_metrics(
    ctx: Context,
    Namespace: str | None = None,
    MetricName: str | None = None,
    Dimensions: Sequence[Mapping[str, str]] | None = None,
    RecentlyActive: str | None = None,
    NextToken: str | None = None,
    IncludeLinkedAccounts: bool | None = None,
    OwningAccount: str | None = None,
) -> dict[str, Any]:
    """Metrics with data of the last two weeks (three hours with RecentlyActive), 500 a page."""
    if IncludeLinkedAccounts:
        raise invalid_value("IncludeLinkedAccounts is not supported by Clary: its accounts are not linked.")
    if OwningAccount not in {None, ctx.account}:
        return {"Metrics": []}
    after = read_token(NextToken)
    seconds = _RECENT_SECONDS if RecentlyActive else _LISTED_SECONDS
    since = ctx.platform.clock.now() - seconds
    listed = ctx.platform.metrics.series(ctx.account, ctx.region, namespace=Namespace, name=MetricName, after=after)
    found = list(islice(_wanted(ctx, listed, Dimensions or (), since), _METRICS_A_PAGE + 1))
    page = found[:_METRICS_A_PAGE]
    return {
        "Metrics": [
            {
                "Namespace": series.namespace,
                "MetricName": series.name,
                "Dimensions": [{"Name": name, "Value": value} for name, value in series.dimensions.items()],
            }
            for _, series in page
        ],
        "NextToken": write_token(page[-1][0]) if len(found) > len(page) else None,
    }


def _wanted(
    ctx: Context, listed: Iterator[tuple[bytes, Series]], filters: Sequence[Mapping[str, str]], since: float
) -> Iterator[tuple[bytes, Series]]:
    for key, series in listed:
        matches = all(
            each["Name"] in series.dimensions and each.get("Value") in {None, series.dimensions[each["Name"]]}
            for each in filters
        )
        if matches and (ctx.platform.metrics.last_time(series) or 0) >= since:
            yield key, series


def _check_extended(name: str) -> None:
    try:
        statistic(name)
    except ValueError as error:
        raise invalid_value(f"The value {name} for parameter ExtendedStatistics is not valid: {error}.") from None


def _datapoint(bucket: Bucket, names: Sequence[str], extended: Sequence[str]) -> dict[str, Any] | None:
    """One point; None where percentiles are asked for and only summaries are known."""
    point: dict[str, Any] = {"Timestamp": bucket.start, "Unit": bucket.unit}
    for name in names:
        point[name] = statistic(name)(bucket.samples)
    if extended:
        values = {name: statistic(name)(bucket.samples) for name in extended}
        known = {name: value for name, value in values.items() if value is not None}
        if not known:
            return None
        point["ExtendedStatistics"] = known
    return point

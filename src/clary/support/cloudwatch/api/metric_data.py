"""GetMetricData: many metrics and expressions over them in one call."""

from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation
from clary.support.cloudwatch.queries import Range, Result, check_queries, run_queries
from clary.support.cloudwatch.reading import metric_reader
from clary.support.cloudwatch.times import check_range, epoch
from clary.support.cloudwatch.tokens import read_number, write_token
from clary.support.cloudwatch.values import Series

_MOST_POINTS = 100_800


@operation("cloudwatch", "GetMetricData")
def get_metric_data(
    ctx: Context,
    MetricDataQueries: Sequence[Mapping[str, Any]],
    StartTime: float,
    EndTime: float,
    NextToken: str | None = None,
    ScanBy: str | None = None,
    MaxDatapoints: int | None = None,
) -> dict[str, Any]:
    """Work out every query that returns data. Newest points first, unless told otherwise.

    A page holds MaxDatapoints points; results go on in the next page under the same id, as they do on AWS.
    """
    check_queries(MetricDataQueries)
    for query in MetricDataQueries:
        if query.get("AccountId") not in {None, ctx.account}:
            raise AwsError("ValidationError", f"Account {query['AccountId']} is not linked to account {ctx.account}.")
    start, end = epoch(StartTime), epoch(EndTime)
    check_range(start, end)
    span = Range(start, end, ctx.platform.clock.now())
    results = run_queries(MetricDataQueries, metric_reader(ctx.platform.metrics, ctx.account, ctx.region), span)
    return _page(results, ScanBy == "TimestampAscending", read_number(NextToken), MaxDatapoints or _MOST_POINTS)


def _page(results: Sequence[Result], ascending: bool, skip: int, most: int) -> dict[str, Any]:
    """The points `skip` to `skip + most` of all results, laid end to end."""
    described = []
    at = 0
    for result in results:
        for series in result.series:
            points = list(series.points.items())
            if not ascending:
                points.reverse()
            first, last = max(skip - at, 0), skip + most - at
            at += len(points)
            chosen = points[first : max(last, first)]
            if chosen or (not points and skip == 0):
                described.append(_described(result, series, chosen, complete=not points or last >= len(points)))
    return {
        "MetricDataResults": described,
        "Messages": [],
        "NextToken": write_token(b"%d" % (skip + most)) if at > skip + most else None,
    }


def _described(result: Result, series: Series, points: Sequence[tuple[float, float]], complete: bool) -> dict[str, Any]:
    label = f"{result.label} {series.label}".strip() if result.is_array else result.label
    return {
        "Id": result.id,
        "Label": label,
        "Timestamps": [moment for moment, _ in points],
        "Values": [value for _, value in points],
        "StatusCode": "Complete" if complete else "PartialData",
    }

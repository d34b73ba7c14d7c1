"""Metric filters: put, list, delete and try out. `reconcile` applies them to what comes in."""

from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation
from clary.kernel.store import Entry
from clary.support.logs.api.events import compiled
from clary.support.logs.lookup import find_group, invalid
from clary.support.logs.records import MetricFilter
from clary.support.logs.tokens import page_token, read_page_token
from clary.support.logs.transformations import check_transformation

_DEFAULT_LIMIT = 50
_MOST_FILTERS = 100


@operation("logs", "PutMetricFilter", resource="log-group:{logGroupName}")
def put_metric_filter(
    ctx: Context,
    logGroupName: str,
    filterName: str,
    filterPattern: str,
    metricTransformations: Sequence[Mapping[str, Any]],
) -> None:
    """Turn matching events that come in from now on into metric data."""
    group = find_group(ctx, logGroupName)
    compiled(filterPattern)
    transformation = dict(metricTransformations[0])
    check_transformation(transformation)
    table = ctx.records(MetricFilter)
    name = _name(logGroupName, filterName)
    if table.get(name) is None and table.count(parent=logGroupName) >= _MOST_FILTERS:
        raise AwsError("LimitExceededException", "Resource limit exceeded.")
    applied = ctx.platform.logs.last_arrival(group)
    put = MetricFilter(logGroupName, group.id, filterName, filterPattern, transformation, applied)
    table.put(name, put, parent=logGroupName)


@operation("logs", "DescribeMetricFilters", resource="log-group:{logGroupName}")
def describe_metric_filters(
    ctx: Context,
    logGroupName: str | None = None,
    filterNamePrefix: str | None = None,
    metricName: str | None = None,
    metricNamespace: str | None = None,
    nextToken: str | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """Metric filters of a group, or of all groups, by name; or those that feed one metric."""
    if (metricName is None) != (metricNamespace is None):
        raise invalid("Specify metricName and metricNamespace together.")
    if logGroupName is not None:
        find_group(ctx, logGroupName)
    place = read_page_token(nextToken, str)
    count = limit or _DEFAULT_LIMIT
    found = [
        entry
        for entry in ctx.records(MetricFilter).all(**({} if logGroupName is None else {"parent": logGroupName}))
        if (place is None or entry.name > place[0])
        and entry.value.filter_name.startswith(filterNamePrefix or "")
        and (metricName is None or _feeds(entry.value, metricName, metricNamespace or ""))
    ]
    return {
        "metricFilters": [_describe(entry) for entry in found[:count]],
        "nextToken": page_token(found[count - 1].name) if len(found) > count else None,
    }


@operation("logs", "DeleteMetricFilter", resource="log-group:{logGroupName}")
def delete_metric_filter(ctx: Context, logGroupName: str, filterName: str) -> None:
    """Stop turning events into metric data; what there is stays."""
    find_group(ctx, logGroupName)
    if not ctx.records(MetricFilter).delete(_name(logGroupName, filterName)):
        raise AwsError("ResourceNotFoundException", "The specified metric filter does not exist.")


@operation("logs", "TestMetricFilter")
def test_metric_filter(ctx: Context, filterPattern: str, logEventMessages: Sequence[str]) -> dict[str, Any]:
    """Which of the messages a pattern matches, and the values of the fields it names."""
    pattern = compiled(filterPattern)
    found = ((number, message, pattern.match(message)) for number, message in enumerate(logEventMessages, 1))
    return {
        "matches": [
            {"eventNumber": number, "eventMessage": message, "extractedValues": dict(values)}
            for number, message, values in found
            if values is not None
        ]
    }


def _name(group: str, filter_name: str) -> str:
    return f"{group}:{filter_name}"


def _feeds(kept: MetricFilter, metric: str, namespace: str) -> bool:
    return (kept.transformation["metricName"], kept.transformation["metricNamespace"]) == (metric, namespace)


def _describe(entry: Entry[MetricFilter]) -> dict[str, Any]:
    return {
        "filterName": entry.value.filter_name,
        "filterPattern": entry.value.pattern,
        "metricTransformations": [entry.value.transformation],
        "creationTime": int(entry.created_at * 1000),
        "logGroupName": entry.value.group_name,
    }

"""Scaling activities: what was done, the newest first."""

from typing import Any

from clary.kernel.core.errors import not_supported, validation
from clary.kernel.rooms import Context, operation
from clary.kernel.store import Entry
from clary.kernel.wire import paginate
from clary.support.autoscaling.names import NAMESPACE, check_namespace, scaled, target_name
from clary.support.autoscaling.pages import page_members
from clary.support.autoscaling.records import ScalingActivity


@operation("application-autoscaling", "DescribeScalingActivities")
def describe_scaling_activities(
    ctx: Context,
    *,
    ServiceNamespace: str,
    ResourceId: str | None = None,
    ScalableDimension: str | None = None,
    MaxResults: int | None = None,
    NextToken: str | None = None,
    IncludeNotScaledActivities: bool | None = None,
) -> dict[str, Any]:
    """What was done in the last six weeks, also to targets that are registered no more."""
    check_namespace(ServiceNamespace, ScalableDimension)
    if ScalableDimension and not ResourceId:
        raise validation("ScalableDimension needs ResourceId.")
    if IncludeNotScaledActivities:
        raise not_supported("IncludeNotScaledActivities", "what was not done is not recorded.")
    parent = target_name(NAMESPACE, ResourceId, scaled(ResourceId).dimension) if ResourceId else None
    found = ctx.records(ScalingActivity).all(parent=parent, descending=True)
    page = paginate(ctx.operation, page_members(MaxResults, NextToken), [_describe(entry) for entry in found])
    return page


def _describe(entry: Entry[ScalingActivity]) -> dict[str, Any]:
    activity = entry.value
    dimension, _, resource = entry.parent.partition("/")
    return {
        "ActivityId": activity.id,
        "ServiceNamespace": NAMESPACE,
        "ResourceId": resource,
        "ScalableDimension": dimension,
        "Description": activity.description,
        "Cause": activity.cause,
        "StartTime": activity.started_at,
        "EndTime": activity.ended_at,
        "StatusCode": entry.status,
        "StatusMessage": activity.message or None,
    }

"""The status-change events of SageMaker, from what happened to the records of its rooms.

Details are what the resource's Describe operation answers, its times in epoch milliseconds, with its tags. Source:
"Events that SageMaker AI emits to EventBridge" of the SageMaker developer guide.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from clary.kernel.core.arns import partition_of
from clary.kernel.rooms import Context, Platform
from clary.kernel.rooms.tags import tags_of
from clary.kernel.store import Change
from clary.kernel.wire import Shape
from clary.support.eventbridge import pipelines
from clary.support.eventbridge.names import Bus
from clary.support.eventbridge.publishing import event_of

SOURCE = "aws.sagemaker"


class _Kind(NamedTuple):
    """How changes of one kind of record are told: the detail type, and the operation whose answer the detail is."""

    detail_type: str
    describe: str
    adjust: Callable[[dict[str, Any]], dict[str, Any]] = lambda detail: detail


def _as_endpoint(detail: dict[str, Any]) -> dict[str, Any]:
    """Endpoints alone tell their status in capitals: IN_SERVICE."""
    status = "".join(f"_{letter}" if letter.isupper() else letter for letter in detail["EndpointStatus"])
    return {**detail, "EndpointStatus": status.lstrip("_").upper()}


_KINDS: Mapping[str, _Kind] = {
    "training_job": _Kind("SageMaker Training Job State Change", "DescribeTrainingJob"),
    "processing_job": _Kind("SageMaker Processing Job State Change", "DescribeProcessingJob"),
    "transform_job": _Kind("SageMaker Transform Job State Change", "DescribeTransformJob"),
    "endpoint": _Kind("SageMaker Endpoint State Change", "DescribeEndpoint", _as_endpoint),
    "model": _Kind("SageMaker Model State Change", "DescribeModel"),
    "model_package": _Kind("SageMaker Model Package State Change", "DescribeModelPackage"),
    "feature_group": _Kind("SageMaker Feature Group State Change", "DescribeFeatureGroup"),
    "endpoint_config": _Kind("SageMaker Endpoint Config State Change", "DescribeEndpointConfig"),
}

KINDS = frozenset((*_KINDS, *pipelines.DETAIL_TYPES))


def of_change(platform: Platform, bus: Bus, change: Change) -> dict[str, Any] | None:
    """The event of a change; the same change makes the same event. None where there is nothing left to tell."""
    if change.kind in pipelines.DETAIL_TYPES:
        return _pipeline_event(platform, bus, change)
    return _event(platform, bus, change)


def _pipeline_event(platform: Platform, bus: Bus, change: Change) -> dict[str, Any] | None:
    prefix = f"arn:{partition_of(bus.region)}:sagemaker:{bus.region}:{bus.account}"
    told = pipelines.told(platform, change, prefix)
    if told is None:
        return None
    return event_of(
        bus,
        id=change.uid,
        source=SOURCE,
        detail_type=pipelines.DETAIL_TYPES[change.kind],
        time=change.updated_at,
        resources=told.resources,
        detail=told.detail,
    )


def _event(platform: Platform, bus: Bus, change: Change) -> dict[str, Any]:
    kind = _KINDS[change.kind]
    ctx = platform.acting_as_root(change.account, change.region, "sagemaker", kind.describe)
    resource = platform.registry.resource_of(change.kind)
    arn = resource.arn(ctx, change.name)
    return event_of(
        bus,
        id=change.uid,
        source=SOURCE,
        detail_type=kind.detail_type,
        time=change.updated_at,
        resources=[arn],
        detail=kind.adjust(_detail(ctx, resource.document, change, resource.record, arn)),
    )


def _detail(
    ctx: Context, document: Callable[[Context, Any], dict[str, Any]] | None, change: Change, record: type, arn: str
) -> dict[str, Any]:
    if document is None:
        raise TypeError(f"{change.kind} has no document: declare it of its Resource")
    shape = ctx.operation.output
    assert shape is not None
    described = _in_milliseconds(document(ctx, change.entry(record)), shape)
    return {**described, "Tags": tags_of(ctx.platform, arn)}


def _in_milliseconds(value: Any, shape: Shape) -> Any:
    """A value of a shape as events show it: without what is None, times in epoch milliseconds."""
    if shape.type == "structure" and isinstance(value, Mapping):
        return {
            name: _in_milliseconds(inner, shape.members[name].shape)
            for name, inner in value.items()
            if inner is not None and name in shape.members
        }
    if shape.type == "list" and isinstance(value, list | tuple):
        return [_in_milliseconds(inner, shape.member.shape) for inner in value]
    if shape.type == "map" and isinstance(value, Mapping):
        return {name: _in_milliseconds(inner, shape.value.shape) for name, inner in value.items()}
    if shape.type == "timestamp":
        return int((value.timestamp() if isinstance(value, datetime) else float(value)) * 1000)
    return value

"""Scalable targets: register, describe, deregister."""

from dataclasses import replace
from typing import Any

from clary.kernel.core.errors import validation
from clary.kernel.core.ids import new_id
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.tags import refuse_tags, tags_with
from clary.kernel.store import AlreadyExists
from clary.kernel.wire import paginate
from clary.support.autoscaling.bounds import check_bounds
from clary.support.autoscaling.capacity import read_capacity
from clary.support.autoscaling.names import NAMESPACE, check_namespace, find_target, target_arn, target_name
from clary.support.autoscaling.pages import page_members
from clary.support.autoscaling.records import ScalableTarget
from clary.support.autoscaling.registration import deregister

_SUSPENDED = ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended")


@operation("application-autoscaling", "RegisterScalableTarget")
def register_scalable_target(
    ctx: Context,
    *,
    ServiceNamespace: str,
    ResourceId: str,
    ScalableDimension: str,
    MinCapacity: int | None = None,
    MaxCapacity: int | None = None,
    RoleARN: str | None = None,
    SuspendedState: dict[str, bool] | None = None,
    Tags: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Let a variant be scaled, or change its bounds; its count is brought within them at once.

    As on AWS, RoleARN has no effect: the service acts by a role of its own.
    """
    name = target_name(ServiceNamespace, ResourceId, ScalableDimension)
    refuse_tags(Tags or {})
    table = ctx.records(ScalableTarget)
    before = table.get(name)
    if before is not None and Tags:
        raise validation(f"{ResourceId} is registered already: tags go with the first registration, or TagResource.")
    capacity = read_capacity(ctx.call, ResourceId)
    if capacity is None or not capacity.present:
        raise validation(
            f"{ResourceId} was not found, or is serverless: register a variant of an endpoint that has instances."
        )

    def change(target: ScalableTarget) -> ScalableTarget:
        minimum = target.minimum if MinCapacity is None else MinCapacity
        maximum = target.maximum if MaxCapacity is None else MaxCapacity
        check_bounds(minimum, maximum, may_be_zero=capacity.may_be_zero)
        suspended = target.suspended if SuspendedState is None else SuspendedState
        return replace(target, minimum=minimum, maximum=maximum, suspended=suspended)

    entry = table.update(name, change)
    if entry is None:
        if MinCapacity is None or MaxCapacity is None:
            raise validation("MinCapacity and MaxCapacity are required to register a new scalable target.")
        check_bounds(MinCapacity, MaxCapacity, may_be_zero=capacity.may_be_zero)
        target = ScalableTarget(
            ResourceId, ScalableDimension, new_id(), MinCapacity, MaxCapacity, dict(SuspendedState or {})
        )
        try:
            entry = table.create(name, target, also=tags_with(ctx, target_arn(ctx, target.id), Tags or {}))
        except AlreadyExists:
            entry = table.update(name, change)
            assert entry is not None
    ctx.platform.wake("autoscaling", f"{ctx.account}/{ctx.region}/{name}")
    return {"ScalableTargetARN": target_arn(ctx, entry.value.id)}


@operation("application-autoscaling", "DescribeScalableTargets")
def describe_scalable_targets(
    ctx: Context,
    *,
    ServiceNamespace: str,
    ResourceIds: list[str] | None = None,
    ScalableDimension: str | None = None,
    MaxResults: int | None = None,
    NextToken: str | None = None,
) -> dict[str, Any]:
    """Registered targets, all or those of some resources."""
    check_namespace(ServiceNamespace, ScalableDimension)
    if ScalableDimension and not ResourceIds:
        raise validation("ScalableDimension needs ResourceIds.")
    shown = [
        {
            "ServiceNamespace": NAMESPACE,
            "ResourceId": entry.value.resource,
            "ScalableDimension": entry.value.dimension,
            "MinCapacity": entry.value.minimum,
            "MaxCapacity": entry.value.maximum,
            "RoleARN": _role_arn(ctx),
            "CreationTime": entry.created_at,
            "SuspendedState": {part: entry.value.suspended.get(part, False) for part in _SUSPENDED},
            "ScalableTargetARN": target_arn(ctx, entry.value.id),
        }
        for entry in ctx.records(ScalableTarget).all()
        if not ResourceIds or entry.value.resource in ResourceIds
    ]
    return paginate(ctx.operation, page_members(MaxResults, NextToken), shown, key=lambda target: target["ResourceId"])


@operation("application-autoscaling", "DeregisterScalableTarget")
def deregister_scalable_target(ctx: Context, ServiceNamespace: str, ResourceId: str, ScalableDimension: str) -> None:
    """Forget a target with its policies, their alarms, and its scheduled actions; its count stays as it is."""
    deregister(ctx.platform, ctx.call, find_target(ctx, ServiceNamespace, ResourceId, ScalableDimension))


def _role_arn(ctx: Context) -> str:
    service, name = "sagemaker.application-autoscaling.amazonaws.com", "SageMakerEndpoint"
    role = f"role/aws-service-role/{service}/AWSServiceRoleForApplicationAutoScaling_{name}"
    return ctx.arn(role, service="iam", region="")

"""Scaling policies: put, describe, delete. `reconcile` carries them out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from clary.kernel.core.errors import AwsError, not_supported, validation
from clary.kernel.core.ids import new_uuid
from clary.kernel.rooms import Context, operation
from clary.kernel.store import Entry
from clary.kernel.wire import paginate
from clary.support.autoscaling import tracking
from clary.support.autoscaling.adjustments import check_steps
from clary.support.autoscaling.names import (
    NAMESPACE,
    check_namespace,
    find_target,
    missing,
    part_arn,
    scaled,
    target_name,
)
from clary.support.autoscaling.pages import page_members
from clary.support.autoscaling.records import ScalableTarget, ScalingPolicy
from clary.support.autoscaling.registration import delete_alarms
from clary.support.autoscaling.watching import alarms_of

_MOST_POLICIES = 50
_STEP, _TRACKING = "StepScaling", "TargetTrackingScaling"
_CONFIGURATION = {_STEP: "StepScalingPolicyConfiguration", _TRACKING: "TargetTrackingScalingPolicyConfiguration"}


@operation("application-autoscaling", "PutScalingPolicy")
def put_scaling_policy(
    ctx: Context,
    *,
    PolicyName: str,
    ServiceNamespace: str,
    ResourceId: str,
    ScalableDimension: str,
    PolicyType: str | None = None,
    StepScalingPolicyConfiguration: dict[str, Any] | None = None,
    TargetTrackingScalingPolicyConfiguration: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Create a policy, or overwrite its configuration. Target tracking gets its alarms, as on AWS."""
    target = find_target(ctx, ServiceNamespace, ResourceId, ScalableDimension)
    table = ctx.records(ScalingPolicy)
    name = f"{target.name}/{PolicyName}"
    before = table.get(name)
    given = {_STEP: StepScalingPolicyConfiguration, _TRACKING: TargetTrackingScalingPolicyConfiguration}
    kind = PolicyType or (before.value.kind if before else _STEP)
    _check_kind(kind, before, given)
    settings = given[kind] or (before.value.settings if before else None)
    if settings is None:
        raise validation(f"{_CONFIGURATION[kind]} is required to create a policy of type {kind}.")
    others = [entry.value for entry in table.all(parent=target.name) if entry.name != name]
    if len(others) >= _MOST_POLICIES:
        raise AwsError("LimitExceededException", f"{ResourceId} has {_MOST_POLICIES} policies already; delete one.")
    arn = (
        before.value.arn if before else part_arn(ctx, "scalingPolicy", new_uuid(), ResourceId, "policyName", PolicyName)
    )
    policy = ScalingPolicy(PolicyName, arn, kind, settings, list(before.value.alarms) if before else [])
    if kind == _STEP:
        check_steps(settings)
    else:
        tracking.check_tracking(settings, ScalableDimension)
        _refuse_same_metric(target.value, policy, others)
        policy = _put_alarms(ctx, target.value, policy)
    table.put(name, policy, parent=target.name)
    ctx.platform.wake("autoscaling", f"{ctx.account}/{ctx.region}/{target.name}")
    return {"PolicyARN": arn, "Alarms": _alarms(ctx, policy)}


@operation("application-autoscaling", "DescribeScalingPolicies")
def describe_scaling_policies(
    ctx: Context,
    *,
    ServiceNamespace: str,
    PolicyNames: list[str] | None = None,
    ResourceId: str | None = None,
    ScalableDimension: str | None = None,
    MaxResults: int | None = None,
    NextToken: str | None = None,
) -> dict[str, Any]:
    """Policies with their alarms, all or those of a resource."""
    check_namespace(ServiceNamespace, ScalableDimension)
    if ScalableDimension and not ResourceId:
        raise validation("ScalableDimension needs ResourceId.")
    parent = target_name(NAMESPACE, ResourceId, scaled(ResourceId).dimension) if ResourceId else None
    found = [
        entry
        for entry in ctx.records(ScalingPolicy).all(parent=parent)
        if not PolicyNames or entry.value.name in PolicyNames
    ]
    page = paginate(ctx.operation, page_members(MaxResults, NextToken), found, key=lambda entry: entry.name)
    return {**page, "ScalingPolicies": [_describe(ctx, entry) for entry in page["ScalingPolicies"]]}


@operation("application-autoscaling", "DeleteScalingPolicy")
def delete_scaling_policy(
    ctx: Context, PolicyName: str, ServiceNamespace: str, ResourceId: str, ScalableDimension: str
) -> None:
    """Delete a policy and the alarms it made; alarms of one's own stay."""
    table = ctx.records(ScalingPolicy)
    name = f"{target_name(ServiceNamespace, ResourceId, ScalableDimension)}/{PolicyName}"
    entry = table.get(name)
    if entry is None or not table.delete(name):
        raise missing(f"scaling policy named {PolicyName}", ServiceNamespace, ResourceId, ScalableDimension)
    delete_alarms(ctx.call, entry.value)


def _check_kind(kind: str, before: Entry[ScalingPolicy] | None, given: Mapping[str, Any]) -> None:
    if kind not in _CONFIGURATION:
        raise not_supported(f"PolicyType {kind}", f"give {_TRACKING} or {_STEP}.")
    if before is not None and before.value.kind != kind:
        raise validation(
            f"Policy {before.value.name} is of type {before.value.kind}, which cannot be changed to {kind}: delete it "
            "first."
        )
    for other, configuration in given.items():
        if other != kind and configuration is not None:
            raise validation(f"{_CONFIGURATION[other]} does not go with PolicyType {kind}.")


def _refuse_same_metric(target: ScalableTarget, policy: ScalingPolicy, others: Sequence[ScalingPolicy]) -> None:
    """Raise ValidationException when another policy follows the same metric already."""
    metric = tracking.metric_of(policy.settings, target.resource)
    for other in others:
        if other.kind == _TRACKING and tracking.metric_of(other.settings, target.resource) == metric:
            raise validation(f"Policy {other.name} of {target.resource} follows the same metric already.")


def _put_alarms(ctx: Context, target: ScalableTarget, policy: ScalingPolicy) -> ScalingPolicy:
    """Put the alarms of a target tracking policy, under the names they have where it has been put before."""
    names = []
    for side in (tracking.HIGH, tracking.LOW):
        named = partial(tracking.alarm_name, target.resource, side)
        name = next((alarm for alarm in policy.alarms if alarm.startswith(named(""))), None) or named(new_uuid())
        if side in tracking.alarm_sides(policy.settings):
            settings = tracking.alarm_settings(policy.settings, target.resource, policy.arn, side)
            ctx.call("cloudwatch", "PutMetricAlarm", {"AlarmName": name, **settings})
            names.append(name)
    delete_alarms(ctx.call, replace(policy, alarms=[alarm for alarm in policy.alarms if alarm not in names]))
    return replace(policy, alarms=names)


def _describe(ctx: Context, entry: Entry[ScalingPolicy]) -> dict[str, Any]:
    dimension, _, rest = entry.name.partition("/")
    resource = rest.removesuffix(f"/{entry.value.name}")
    return {
        "PolicyARN": entry.value.arn,
        "PolicyName": entry.value.name,
        "ServiceNamespace": NAMESPACE,
        "ResourceId": resource,
        "ScalableDimension": dimension,
        "PolicyType": entry.value.kind,
        _CONFIGURATION[entry.value.kind]: entry.value.settings,
        "Alarms": _alarms(ctx, entry.value),
        "CreationTime": entry.created_at,
    }


def _alarms(ctx: Context, policy: ScalingPolicy) -> list[dict[str, str]]:
    found = alarms_of(ctx.call, policy.arn)
    return [{"AlarmName": alarm["AlarmName"], "AlarmARN": alarm["AlarmArn"]} for alarm in found]

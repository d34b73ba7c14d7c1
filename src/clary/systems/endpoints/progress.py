"""What DescribeEndpoint tells of a deployment under way: how far each of the two fleets is. Pure."""

from typing import Any

from clary.systems.endpoints import shifting
from clary.systems.endpoints.deployments import Plan, read_plan
from clary.systems.endpoints.fleets import summaries
from clary.systems.endpoints.instances import is_healthy
from clary.systems.endpoints.records import Endpoint, Fleet, Shift


def serving_variants(endpoint: Endpoint) -> list[dict[str, Any]]:
    """ProductionVariantSummary of every variant that serves, or that is to serve when none does."""
    fleet = endpoint.serving or endpoint.deploying
    if fleet is None:
        return []
    if endpoint.serving is None:
        return _with_status(fleet, shifting.CREATING, _ready(fleet), fleet.created_at) if endpoint.deploying else []
    shift, share = endpoint.shift, endpoint.shift.share if endpoint.shift else 0.0
    if endpoint.status == shifting.ROLLING_BACK and shift is not None:
        told = f"Taking the update back. {_traffic('this', 1 - share)} {_ready(fleet)}"
        return _with_status(fleet, "Updating", told, shift.since)
    if endpoint.deploying is not None and shift is not None:
        status = shifting.LEAVING if share == 1 else "Updating"
        return _with_status(fleet, status, _traffic("this", 1 - share), shift.since)
    if endpoint.unscaled:
        return _with_status(fleet, "Updating", _ready(fleet), None)
    return summaries(fleet)


def pending(endpoint: Endpoint) -> dict[str, Any] | None:
    """PendingDeploymentSummary: the fleet that is being deployed."""
    fleet = endpoint.deploying
    if fleet is None:
        return None
    shift = shifting.shift_of(endpoint)
    status, told = _stage(endpoint, fleet, shift, read_plan(endpoint.deployment))
    variants = _with_status(fleet, status, told, shift.since)
    shadows = _with_status(fleet, status, told, shift.since, shadow=True)
    types = {variant.name: variant.instance_type for variant in fleet.variants if variant.instance_type}
    for summary in (*variants, *shadows):
        if summary["VariantName"] in types:
            summary["InstanceType"] = types[summary["VariantName"]]
    shown = {"ProductionVariants": variants} | ({"ShadowProductionVariants": shadows} if shadows else {})
    return {"EndpointConfigName": fleet.config, **shown, "StartTime": fleet.created_at}


def _stage(endpoint: Endpoint, fleet: Fleet, shift: Shift, plan: Plan) -> tuple[str, str]:
    """A VariantStatus of the new fleet, with a message."""
    traffic = _traffic("the new", shift.share)
    if endpoint.status == shifting.ROLLING_BACK:
        return "Deleting", traffic
    if shift.stage == shifting.BAKING:
        alarms = f" Watching {', '.join(plan.alarms)}." if plan.alarms else ""
        return shifting.BAKING, f"{traffic} It bakes for {plan.wait_seconds:g} s.{alarms}"
    if shift.stage == shifting.LEAVING:
        return shifting.BAKING, f"{traffic} The old fleet stays for {plan.termination_wait_seconds:g} s."
    if shift.stage == shifting.ACTIVATING:
        return shifting.ACTIVATING, traffic
    return shifting.CREATING, f"{traffic} {_ready(fleet)}" if shift.share else _ready(fleet)


def _with_status(
    fleet: Fleet, status: str, told: str, since: float | None, *, shadow: bool = False
) -> list[dict[str, Any]]:
    shown = {"Status": status, "StatusMessage": told} | ({"StartTime": since} if since else {})
    return [{**summary, "VariantStatus": [shown]} for summary in summaries(fleet, shadow=shadow)]


def _traffic(which: str, share: float) -> str:
    return f"{100 * share:.3g} % of the traffic goes to {which} fleet."


def _ready(fleet: Fleet) -> str:
    ready = sum(is_healthy(instance) for instance in fleet.instances)
    return f"{ready} of {len(fleet.instances)} servers are ready."

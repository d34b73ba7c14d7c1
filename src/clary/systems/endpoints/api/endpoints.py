"""Endpoints: record what is asked, and wake the reconciler that makes it so."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clary.kernel.core.errors import validation
from clary.kernel.core.ids import new_id
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.lists import list_output
from clary.kernel.rooms.tags import read_tags
from clary.kernel.store import Entry
from clary.systems.endpoints import deploy
from clary.systems.endpoints.alarms import check_alarms
from clary.systems.endpoints.asynchronous import require_instances
from clary.systems.endpoints.deployments import check_deployment, check_fleets, first_batch, read_plan
from clary.systems.endpoints.fleets import build_fleet, check_captured, retain
from clary.systems.endpoints.progress import pending
from clary.systems.endpoints.records import Endpoint, Fleet, InferenceComponent, Variant
from clary.systems.endpoints.refusals import check_serverless
from clary.systems.endpoints.resources import CONFIGS, ENDPOINTS, MODELS, endpoint_document

_TOPIC = "endpoints"


@operation("sagemaker", "CreateEndpoint", resource="endpoint/{EndpointName}")
def create_endpoint(
    ctx: Context,
    *,
    EndpointName: str,
    EndpointConfigName: str,
    DeploymentConfig: dict[str, Any] | None = None,
    Tags: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    """Ask for an endpoint that serves a configuration. Its DeploymentConfig is kept for updates that retain it."""
    check_deployment(DeploymentConfig)
    endpoint = Endpoint(
        config=EndpointConfigName,
        status=deploy.CREATING,
        revision=new_id(),
        deploying=_fleet(ctx, EndpointConfigName),
        deployment=DeploymentConfig,
    )
    ENDPOINTS.create(ctx, EndpointName, endpoint, tags=read_tags(Tags), status=endpoint.status)
    return _accepted(ctx, EndpointName)


@operation("sagemaker", "UpdateEndpoint", resource="endpoint/{EndpointName}")
def update_endpoint(
    ctx: Context,
    *,
    EndpointName: str,
    EndpointConfigName: str,
    RetainAllVariantProperties: bool | None = None,
    ExcludeRetainedVariantProperties: list[dict[str, str]] | None = None,
    DeploymentConfig: dict[str, Any] | None = None,
    RetainDeploymentConfig: bool | None = None,
) -> dict[str, Any]:
    """Ask for another configuration. The traffic moves to it as DeploymentConfig says, all at once by default."""
    check_deployment(DeploymentConfig)
    if DeploymentConfig and RetainDeploymentConfig:
        raise validation("Give either DeploymentConfig or RetainDeploymentConfig, not both.")
    if ExcludeRetainedVariantProperties and not RetainAllVariantProperties:
        raise validation("ExcludeRetainedVariantProperties needs RetainAllVariantProperties to be true.")
    fleet = _fleet(ctx, EndpointConfigName)
    excluded = {item["VariantPropertyType"] for item in ExcludeRetainedVariantProperties or ()}

    def change(endpoint: Endpoint) -> Endpoint:
        serving = _require_in_service(ctx, EndpointName, endpoint, mixed=True)
        wanted = retain(fleet, serving, excluded) if RetainAllVariantProperties else fleet
        check_captured(wanted)
        deployment = endpoint.last_deployment if RetainDeploymentConfig else DeploymentConfig
        plan = read_plan(deployment)
        check_fleets(deployment, serving, wanted)
        check_alarms(ctx.platform, ctx.account, ctx.region, plan.alarms)
        return replace(
            endpoint,
            status=deploy.UPDATING,
            failure_reason="",
            deploying=first_batch(plan, wanted),
            deployment=deployment,
        )

    return _change(ctx, EndpointName, change)


@operation("sagemaker", "UpdateEndpointWeightsAndCapacities", resource="endpoint/{EndpointName}")
def update_endpoint_weights_and_capacities(
    ctx: Context, EndpointName: str, DesiredWeightsAndCapacities: list[dict[str, Any]]
) -> dict[str, Any]:
    """Ask for other weights and instance counts of the variants that serve."""
    wanted = {item["VariantName"]: item for item in DesiredWeightsAndCapacities}
    if len(wanted) < len(DesiredWeightsAndCapacities):
        raise validation("DesiredWeightsAndCapacities must name each variant once.")

    def ask(variant: Variant) -> Variant:
        item = wanted.get(variant.name, {})
        if variant.serverless:
            return _resize(variant, item)
        if "ServerlessUpdateConfig" in item:
            raise validation(f"Variant {variant.name} is not serverless: leave out ServerlessUpdateConfig.")
        return replace(
            variant,
            desired_weight=item.get("DesiredWeight", variant.desired_weight),
            desired_count=item.get("DesiredInstanceCount", variant.desired_count),
        )

    def change(endpoint: Endpoint) -> Endpoint:
        serving = _require_in_service(ctx, EndpointName, endpoint)
        unknown = sorted(wanted.keys() - {variant.name for variant in serving.variants})
        if unknown:
            raise validation(f'Variant "{unknown[0]}" was not found on endpoint "{EndpointName}".')
        if serving.asynchronous is None:
            require_instances(wanted)
        unscaled = {
            one.name: {
                "desired_count": one.desired_count,
                "desired_weight": one.desired_weight,
                "serverless": one.serverless,
            }
            for one in serving.variants
        }
        serving = replace(serving, variants=[ask(variant) for variant in serving.variants])
        return replace(endpoint, status=deploy.UPDATING, failure_reason="", serving=serving, unscaled=unscaled)

    return _change(ctx, EndpointName, change)


@operation("sagemaker", "DescribeEndpoint", resource="endpoint/{EndpointName}")
def describe_endpoint(ctx: Context, EndpointName: str) -> dict[str, Any]:
    entry = ENDPOINTS.get(ctx, EndpointName)
    endpoint = entry.value
    return {
        **endpoint_document(ctx, entry),
        "LastDeploymentConfig": endpoint.last_deployment,
        "PendingDeploymentSummary": pending(endpoint),
    }


@operation("sagemaker", "ListEndpoints")
def list_endpoints(ctx: Context, **request: Any) -> dict[str, Any]:
    def show(entry: Entry[Endpoint]) -> dict[str, Any]:
        return {
            "EndpointName": entry.name,
            "EndpointArn": ENDPOINTS.arn(ctx, entry.name),
            "CreationTime": entry.created_at,
            "LastModifiedTime": entry.updated_at,
            "EndpointStatus": entry.status,
        }

    return list_output(ctx, Endpoint, request, show, sort_order="Descending")


@operation("sagemaker", "DeleteEndpoint", resource="endpoint/{EndpointName}")
def delete_endpoint(ctx: Context, EndpointName: str) -> None:
    """Ask for the endpoint's end: it takes no more requests, and is gone when its servers are.

    Like AWS, refuse while there are inference components on it.
    """
    components = ctx.records(InferenceComponent).page(1, parent=EndpointName).entries
    if components:
        raise validation(
            f'Cannot delete endpoint "{ENDPOINTS.arn(ctx, EndpointName)}" while it has inference components, such as '
            f'"{components[0].name}". Delete those first.'
        )
    _change(ctx, EndpointName, lambda endpoint: replace(endpoint, status=deploy.DELETING, failure_reason=""))


def _resize(variant: Variant, item: Mapping[str, Any]) -> Variant:
    """A serverless variant with other concurrencies; what is not given stays."""
    if "DesiredInstanceCount" in item:
        raise validation(
            f"Variant {variant.name} is serverless: give ServerlessUpdateConfig, not DesiredInstanceCount."
        )
    config = {**(variant.serverless or {}), **item.get("ServerlessUpdateConfig", {})}
    check_serverless(config, variant.name)
    return replace(variant, serverless=config)


def _fleet(ctx: Context, config_name: str) -> Fleet:
    config = CONFIGS.get(ctx, config_name).value
    variants = (*config.definition["ProductionVariants"], *config.definition.get("ShadowProductionVariants", ()))
    names = {variant["ModelName"] for variant in variants if "ModelName" in variant}
    models = {name: MODELS.get(ctx, name).value for name in names}
    return build_fleet(config_name, config, models, ctx.platform.clock.now())


def _change(ctx: Context, name: str, change: Any) -> dict[str, Any]:
    changed = ctx.records(Endpoint).update(name, change, status=lambda endpoint: endpoint.status)
    if changed is None:
        raise ENDPOINTS.not_found(ctx, name)
    return _accepted(ctx, name)


def _accepted(ctx: Context, name: str) -> dict[str, Any]:
    ctx.platform.wake(_TOPIC, f"{ctx.account}/{ctx.region}/{name}")
    return {"EndpointArn": ENDPOINTS.arn(ctx, name)}


def _require_in_service(ctx: Context, name: str, endpoint: Endpoint, *, mixed: bool = False) -> Fleet:
    """What serves; with `mixed`, also when it is what a failed rollback has left."""
    arn = ENDPOINTS.arn(ctx, name)
    if endpoint.status == deploy.FAILED:
        raise validation(f'Cannot update endpoint "{arn}": it has failed. Delete it and create it anew.')
    if endpoint.status == deploy.UPDATE_ROLLBACK_FAILED and not mixed:
        raise validation(f'Cannot update endpoint "{arn}": its rollback failed. Deploy a configuration to it first.')
    usable = {deploy.IN_SERVICE, deploy.UPDATE_ROLLBACK_FAILED}
    if endpoint.status not in usable or endpoint.serving is None:
        raise validation(f'Cannot update in-progress endpoint "{arn}".')
    return endpoint.serving

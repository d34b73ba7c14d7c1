"""Endpoint configurations: which models an endpoint serves, on how many instances, with which share of the traffic."""

from typing import Any

from clary.kernel.core.errors import validation
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.lists import list_output
from clary.kernel.rooms.roles import acting_role
from clary.kernel.rooms.tags import read_tags
from clary.kernel.store import Entry
from clary.systems.endpoints.asynchronous import check_asynchronous, refuse_copies
from clary.systems.endpoints.records import EndpointConfig, Model
from clary.systems.endpoints.refusals import check_config
from clary.systems.endpoints.resources import CONFIGS, MODELS, config_document
from clary.systems.endpoints.servers import serves_many


@operation("sagemaker", "CreateEndpointConfig", resource="endpoint-config/{EndpointConfigName}")
def create_endpoint_config(
    ctx: Context,
    *,
    EndpointConfigName: str,
    ProductionVariants: list[dict[str, Any]],
    ShadowProductionVariants: list[dict[str, Any]] | None = None,
    DataCaptureConfig: dict[str, Any] | None = None,
    AsyncInferenceConfig: dict[str, Any] | None = None,
    Tags: list[dict[str, str]] | None = None,
    KmsKeyId: str | None = None,
    ExecutionRoleArn: str | None = None,
    VpcConfig: dict[str, Any] | None = None,
    EnableNetworkIsolation: bool | None = None,
) -> dict[str, Any]:
    """Record a configuration. Every model it names must exist."""
    shadows = ShadowProductionVariants or []
    check_config(ProductionVariants, DataCaptureConfig, shadows)
    models: dict[str, Model] = {}
    for variant in (*ProductionVariants, *shadows):
        if "ModelName" not in variant:
            _check_host(variant, ExecutionRoleArn)
            continue
        model = models[variant["VariantName"]] = MODELS.get(ctx, variant["ModelName"]).value
        if "ServerlessConfig" in variant and len(model.containers) > 1:
            raise validation(f"Model {variant['ModelName']} has several containers: serverless variants have one.")
        if "ServerlessConfig" in variant and serves_many(model.containers[0]):
            raise validation(f"Model {variant['ModelName']} is of Mode MultiModel: serverless variants have one model.")
        if shadows and any(serves_many(container) for container in model.containers):
            raise validation(f"Model {variant['ModelName']} is of Mode MultiModel, which cannot have or be a shadow.")
    if AsyncInferenceConfig is not None:
        refuse_copies(shadows, DataCaptureConfig)
        check_asynchronous(AsyncInferenceConfig, ProductionVariants, models)
    members = {
        "ProductionVariants": [_with_defaults(variant) for variant in ProductionVariants],
        "ShadowProductionVariants": [_with_defaults(variant) for variant in shadows] or None,
        "DataCaptureConfig": DataCaptureConfig,
        "AsyncInferenceConfig": AsyncInferenceConfig,
        "KmsKeyId": KmsKeyId,
        "ExecutionRoleArn": ExecutionRoleArn,
        "VpcConfig": VpcConfig,
        "EnableNetworkIsolation": EnableNetworkIsolation,
    }
    definition = {name: value for name, value in members.items() if value is not None}
    role = acting_role(ctx, ExecutionRoleArn) if ExecutionRoleArn else ""
    CONFIGS.create(ctx, EndpointConfigName, EndpointConfig(definition, role), tags=read_tags(Tags))
    return {"EndpointConfigArn": CONFIGS.arn(ctx, EndpointConfigName)}


@operation("sagemaker", "DescribeEndpointConfig", resource="endpoint-config/{EndpointConfigName}")
def describe_endpoint_config(ctx: Context, EndpointConfigName: str) -> dict[str, Any]:
    return config_document(ctx, CONFIGS.get(ctx, EndpointConfigName))


@operation("sagemaker", "ListEndpointConfigs")
def list_endpoint_configs(ctx: Context, **request: Any) -> dict[str, Any]:
    def show(entry: Entry[EndpointConfig]) -> dict[str, Any]:
        return {
            "EndpointConfigName": entry.name,
            "EndpointConfigArn": CONFIGS.arn(ctx, entry.name),
            "CreationTime": entry.created_at,
        }

    return list_output(ctx, EndpointConfig, request, show, sort_order="Descending")


@operation("sagemaker", "DeleteEndpointConfig", resource="endpoint-config/{EndpointConfigName}")
def delete_endpoint_config(ctx: Context, EndpointConfigName: str) -> None:
    """Forget a configuration; endpoints deployed from it stay as they are."""
    CONFIGS.delete(ctx, EndpointConfigName)


def _check_host(variant: dict[str, Any], role: str | None) -> None:
    """Raise ValidationException unless the variant, which names no model, can hold inference components."""
    name = variant["VariantName"]
    if "ServerlessConfig" in variant:
        raise validation(f"Serverless variant {name} needs a ModelName.")
    if role is None:
        raise validation(f"Variant {name} names no ModelName, for inference components: give ExecutionRoleArn, too.")


def _with_defaults(variant: dict[str, Any]) -> dict[str, Any]:
    """A variant as DescribeEndpointConfig shows it: with the count and weight it has when none were given."""
    if "ServerlessConfig" in variant:
        return {"InitialVariantWeight": 1.0, **variant}
    return {"InitialInstanceCount": 1, "InitialVariantWeight": 1.0, **variant}

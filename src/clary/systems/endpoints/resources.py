"""The kinds of resource of this room, with the errors AWS answers for names that are missing or taken."""

from typing import Any

from clary.kernel.rooms import Context, Resource
from clary.kernel.store import Entry
from clary.systems.endpoints.capture_config import capture_summary
from clary.systems.endpoints.fleets import summaries
from clary.systems.endpoints.progress import serving_variants
from clary.systems.endpoints.records import Endpoint, EndpointConfig, InferenceComponent, Model

_CODE = "ValidationException"


def endpoint_document(ctx: Context, entry: Entry[Endpoint]) -> dict[str, Any]:
    """What DescribeEndpoint and Search both say of an endpoint."""
    endpoint = entry.value
    fleet = endpoint.serving or endpoint.deploying
    document = {
        "EndpointName": entry.name,
        "EndpointArn": ENDPOINTS.arn(ctx, entry.name),
        "EndpointConfigName": endpoint.config,
        "ProductionVariants": serving_variants(endpoint) or None,
        "ShadowProductionVariants": (summaries(fleet, shadow=True) or None) if fleet else None,
        "DataCaptureConfig": capture_summary(fleet.capture, serving=fleet is endpoint.serving) if fleet else None,
        "AsyncInferenceConfig": fleet.asynchronous if fleet else None,
        "EndpointStatus": endpoint.status,
        "FailureReason": endpoint.failure_reason or None,
        "CreationTime": entry.created_at,
        "LastModifiedTime": entry.updated_at,
    }
    return {member: value for member, value in document.items() if value is not None}


def model_document(ctx: Context, entry: Entry[Model]) -> dict[str, Any]:
    """What DescribeModel says of a model."""
    return {
        **entry.value.definition,
        "EnableNetworkIsolation": entry.value.definition.get("EnableNetworkIsolation", False),
        "ModelName": entry.name,
        "ModelArn": MODELS.arn(ctx, entry.name),
        "CreationTime": entry.created_at,
    }


def config_document(ctx: Context, entry: Entry[EndpointConfig]) -> dict[str, Any]:
    """What DescribeEndpointConfig says of an endpoint configuration."""
    return {
        **entry.value.definition,
        "EnableNetworkIsolation": entry.value.definition.get("EnableNetworkIsolation", False),
        "EndpointConfigName": entry.name,
        "EndpointConfigArn": CONFIGS.arn(ctx, entry.name),
        "CreationTime": entry.created_at,
    }


MODELS = Resource(
    "sagemaker",
    "model",
    Model,
    missing=(_CODE, 'Could not find model "{arn}".'),
    taken=(_CODE, 'Cannot create already existing model "{arn}".'),
    document=model_document,
    role=lambda model: model.role,
    containers=lambda model: model.containers,
)
CONFIGS = Resource(
    "sagemaker",
    "endpoint-config",
    EndpointConfig,
    missing=(_CODE, 'Could not find endpoint configuration "{arn}".'),
    taken=(_CODE, 'Cannot create already existing endpoint configuration "{arn}".'),
    document=config_document,
)
ENDPOINTS = Resource(
    "sagemaker",
    "endpoint",
    Endpoint,
    missing=(_CODE, 'Could not find endpoint "{arn}".'),
    taken=(_CODE, 'Cannot create already existing endpoint "{arn}".'),
    search="Endpoint",
    document=endpoint_document,
)
COMPONENTS = Resource(
    "sagemaker",
    "inference-component",
    InferenceComponent,
    missing=(_CODE, 'Could not find inference component "{arn}".'),
    taken=(_CODE, 'Cannot create already existing inference component "{arn}".'),
)

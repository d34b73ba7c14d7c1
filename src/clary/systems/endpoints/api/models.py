"""Models: a container image with the model data it serves."""

from typing import Any

from clary.kernel.core.errors import AwsError, validation
from clary.kernel.objects import parse_s3_uri
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.lists import list_output
from clary.kernel.rooms.roles import acting_role
from clary.kernel.rooms.tags import read_tags
from clary.kernel.store import Entry
from clary.systems.endpoints.records import Model
from clary.systems.endpoints.refusals import check_model
from clary.systems.endpoints.resources import MODELS
from clary.systems.endpoints.servers import serves_many


@operation("sagemaker", "CreateModel", resource="model/{ModelName}")
def create_model(
    ctx: Context,
    *,
    ModelName: str,
    PrimaryContainer: dict[str, Any] | None = None,
    Containers: list[dict[str, Any]] | None = None,
    InferenceExecutionConfig: dict[str, Any] | None = None,
    ExecutionRoleArn: str | None = None,
    Tags: list[dict[str, str]] | None = None,
    VpcConfig: dict[str, Any] | None = None,
    EnableNetworkIsolation: bool | None = None,
) -> dict[str, Any]:
    """Record a model. Like AWS, refuse one whose data is not there; whether its image runs here shows at deployment."""
    members = {
        "PrimaryContainer": PrimaryContainer,
        "Containers": Containers,
        "InferenceExecutionConfig": InferenceExecutionConfig,
        "ExecutionRoleArn": ExecutionRoleArn,
        "VpcConfig": VpcConfig,
        "EnableNetworkIsolation": EnableNetworkIsolation,
    }
    definition = {name: value for name, value in members.items() if value is not None}
    for container in check_model(definition):
        _require_model_data(ctx, container)
    role = acting_role(ctx, ExecutionRoleArn) if ExecutionRoleArn else ""
    MODELS.create(ctx, ModelName, Model(definition, role), tags=read_tags(Tags))
    return {"ModelArn": MODELS.arn(ctx, ModelName)}


@operation("sagemaker", "DescribeModel", resource="model/{ModelName}")
def describe_model(ctx: Context, ModelName: str) -> dict[str, Any]:
    entry = MODELS.get(ctx, ModelName)
    return {
        **entry.value.definition,
        "EnableNetworkIsolation": entry.value.definition.get("EnableNetworkIsolation", False),
        "ModelName": ModelName,
        "ModelArn": MODELS.arn(ctx, ModelName),
        "CreationTime": entry.created_at,
    }


@operation("sagemaker", "ListModels")
def list_models(ctx: Context, **request: Any) -> dict[str, Any]:
    def show(entry: Entry[Model]) -> dict[str, Any]:
        return {
            "ModelName": entry.name,
            "ModelArn": MODELS.arn(ctx, entry.name),
            "CreationTime": entry.created_at,
        }

    return list_output(ctx, Model, request, show, sort_order="Descending")


@operation("sagemaker", "DeleteModel", resource="model/{ModelName}")
def delete_model(ctx: Context, ModelName: str) -> None:
    """Forget a model; its data in S3 and endpoints that serve it stay as they are."""
    MODELS.delete(ctx, ModelName)


def _require_model_data(ctx: Context, container: dict[str, Any]) -> None:
    """Raise ValidationException, as AWS does, when there is no model data where the container says."""
    url, source = container.get("ModelDataUrl"), container.get("ModelDataSource", {}).get("S3DataSource")
    if url:
        _require(ctx, url, prefix=serves_many(container))
    sources = [source] if source else []
    sources += [given["S3DataSource"] for given in container.get("AdditionalModelDataSources", ())]
    for given in sources:
        _require(ctx, given["S3Uri"], prefix=given["S3DataType"] == "S3Prefix")


def _require(ctx: Context, uri: str, *, prefix: bool) -> None:
    """Raise ValidationException unless there is an object at the URI, or any below it."""
    bucket, key = parse_s3_uri(uri)
    objects = ctx.platform.objects
    try:
        if prefix:
            found = next(iter(objects.list(bucket, key, account=ctx.account)), None) is not None
        else:
            found = not objects.find(bucket, key, account=ctx.account).marker
    except AwsError as error:
        raise validation(f"Could not find model data at {uri}. {error.message}") from None
    if not found:
        raise validation(f"Could not find model data at {uri}.")

"""Models: a container image with the model data it serves."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.lists import list_output
from clary.kernel.rooms.roles import acting_role
from clary.kernel.rooms.tags import read_tags
from clary.kernel.serving.models import require_model_data
from clary.kernel.store import Entry
from clary.systems.endpoints.packages import resolved
from clary.systems.endpoints.records import Model
from clary.systems.endpoints.refusals import check_model
from clary.systems.endpoints.resources import MODELS, model_document


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
    """Record a model. Like AWS, refuse one whose data is not there, and model packages that are not approved; whether
    its image runs here shows at deployment."""
    members = {
        "PrimaryContainer": PrimaryContainer,
        "Containers": Containers,
        "InferenceExecutionConfig": InferenceExecutionConfig,
        "ExecutionRoleArn": ExecutionRoleArn,
        "VpcConfig": VpcConfig,
        "EnableNetworkIsolation": EnableNetworkIsolation,
    }
    definition = {name: value for name, value in members.items() if value is not None}
    containers, packaged = _resolved(ctx, definition)
    for container in containers:
        require_model_data(ctx.platform.objects, container, ctx.account)
    role = acting_role(ctx, ExecutionRoleArn) if ExecutionRoleArn else ""
    model = Model(definition, role, containers if packaged else None)
    MODELS.create(ctx, ModelName, model, tags=read_tags(Tags))
    return {"ModelArn": MODELS.arn(ctx, ModelName)}


@operation("sagemaker", "DescribeModel", resource="model/{ModelName}")
def describe_model(ctx: Context, ModelName: str) -> dict[str, Any]:
    return model_document(ctx, MODELS.get(ctx, ModelName))


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


def _resolved(ctx: Context, definition: Mapping[str, Any]) -> tuple[list[dict[str, Any]], bool]:
    """The containers that serve the model, checked; and whether any of them came from a model package."""
    primary, several = definition.get("PrimaryContainer"), definition.get("Containers") or []
    given = [primary] if primary else several
    if (primary and several) or not any(container.get("ModelPackageName") for container in given):
        return check_model(definition), False
    others = {name: value for name, value in definition.items() if name not in {"PrimaryContainer", "Containers"}}
    return check_model({**others, "Containers": resolved(ctx, given)}), True

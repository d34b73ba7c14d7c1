"""Actions: things that were done, such as a deployment or an approval."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.tags import read_tags
from clary.support.lineage import entities
from clary.support.lineage.records import Action
from clary.support.lineage.resources import ACTIONS, named

_WORD = "Action"


def _given(ctx: Context, params: Mapping[str, Any]) -> str:
    name = str(params["ActionName"])
    return name if name.startswith("arn:") else f"action/{name}"


@operation("sagemaker", "CreateAction", resource="action/{ActionName}")
def create_action(
    ctx: Context,
    *,
    ActionName: str,
    Source: dict[str, str],
    ActionType: str,
    Description: str = "",
    Status: str = "",
    Properties: dict[str, str] | None = None,
    MetadataProperties: dict[str, str] | None = None,
    Tags: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    identity = entities.caller(ctx)
    action = Action(
        ActionType, Source, Properties or {}, Description, MetadataProperties or {}, identity, identity, Status
    )
    ACTIONS.create(ctx, ActionName, action, parent=Source["SourceUri"], tags=read_tags(Tags))
    return {"ActionArn": ACTIONS.arn(ctx, ActionName)}


@operation("sagemaker", "DescribeAction", resource=_given)
def describe_action(ctx: Context, ActionName: str) -> dict[str, Any]:
    """Describe an action by its name or its ARN."""
    return entities.describe(ctx, _WORD, ACTIONS.get(ctx, named(ctx, ACTIONS, ActionName)))


@operation("sagemaker", "ListActions")
def list_actions(ctx: Context, **request: Any) -> dict[str, Any]:
    return entities.list_entities(ctx, _WORD, request)


@operation("sagemaker", "UpdateAction", resource="action/{ActionName}")
def update_action(
    ctx: Context,
    *,
    ActionName: str,
    Description: str | None = None,
    Status: str | None = None,
    Properties: dict[str, str] | None = None,
    PropertiesToRemove: list[str] | None = None,
) -> dict[str, Any]:
    change = entities.Change(Properties, PropertiesToRemove or (), Description, Status)
    return {"ActionArn": entities.update(ctx, ACTIONS, ActionName, change)}


@operation("sagemaker", "DeleteAction", resource="action/{ActionName}")
def delete_action(ctx: Context, ActionName: str) -> dict[str, Any]:
    """Forget an action that has no associations."""
    return {"ActionArn": entities.delete(ctx, ACTIONS, ActionName)}

"""Contexts: what groups other entities, such as an endpoint."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.tags import read_tags
from clary.support.lineage import entities
from clary.support.lineage.records import LineageContext
from clary.support.lineage.resources import CONTEXTS, named

_WORD = "Context"


def _given(ctx: Context, params: Mapping[str, Any]) -> str:
    name = str(params["ContextName"])
    return name if name.startswith("arn:") else f"context/{name}"


@operation("sagemaker", "CreateContext", resource="context/{ContextName}")
def create_context(
    ctx: Context,
    *,
    ContextName: str,
    Source: dict[str, str],
    ContextType: str,
    Description: str = "",
    Properties: dict[str, str] | None = None,
    Tags: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    identity = entities.caller(ctx)
    context = LineageContext(
        ContextType, Source, Properties or {}, Description, created_by=identity, modified_by=identity
    )
    CONTEXTS.create(ctx, ContextName, context, parent=Source["SourceUri"], tags=read_tags(Tags))
    return {"ContextArn": CONTEXTS.arn(ctx, ContextName)}


@operation("sagemaker", "DescribeContext", resource=_given)
def describe_context(ctx: Context, ContextName: str) -> dict[str, Any]:
    """Describe a context by its name or its ARN."""
    return entities.describe(ctx, _WORD, CONTEXTS.get(ctx, named(ctx, CONTEXTS, ContextName)))


@operation("sagemaker", "ListContexts")
def list_contexts(ctx: Context, **request: Any) -> dict[str, Any]:
    return entities.list_entities(ctx, _WORD, request)


@operation("sagemaker", "UpdateContext", resource="context/{ContextName}")
def update_context(
    ctx: Context,
    *,
    ContextName: str,
    Description: str | None = None,
    Properties: dict[str, str] | None = None,
    PropertiesToRemove: list[str] | None = None,
) -> dict[str, Any]:
    change = entities.Change(Properties, PropertiesToRemove or (), Description)
    return {"ContextArn": entities.update(ctx, CONTEXTS, ContextName, change)}


@operation("sagemaker", "DeleteContext", resource="context/{ContextName}")
def delete_context(ctx: Context, ContextName: str) -> dict[str, Any]:
    """Forget a context that has no associations."""
    return {"ContextArn": entities.delete(ctx, CONTEXTS, ContextName)}

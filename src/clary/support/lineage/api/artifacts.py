"""Artifacts: things with a URI, one for each source."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.core.errors import validation
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.tags import read_tags
from clary.support.lineage import entities
from clary.support.lineage.records import Artifact
from clary.support.lineage.resources import ARTIFACTS, artifact_id, named

_WORD = "Artifact"


def _of_source(ctx: Context, params: Mapping[str, Any]) -> str:
    """What is acted on: the artifact of an ARN, or of a source."""
    source = params.get("Source")
    return params.get("ArtifactArn") or (f"artifact/{artifact_id(source)}" if source else "*")


@operation("sagemaker", "CreateArtifact", resource=_of_source)
def create_artifact(
    ctx: Context,
    *,
    Source: dict[str, Any],
    ArtifactType: str,
    ArtifactName: str = "",
    Properties: dict[str, str] | None = None,
    MetadataProperties: dict[str, str] | None = None,
    Tags: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    """Record that something with a URI exists. There is one artifact of a source."""
    name, identity = artifact_id(Source), entities.caller(ctx)
    artifact = Artifact(
        ArtifactType,
        Source,
        Properties or {},
        metadata=MetadataProperties or {},
        created_by=identity,
        modified_by=identity,
        title=ArtifactName,
    )
    ARTIFACTS.create(ctx, name, artifact, parent=Source["SourceUri"], tags=read_tags(Tags))
    return {"ArtifactArn": ARTIFACTS.arn(ctx, name)}


@operation("sagemaker", "DescribeArtifact", resource="{ArtifactArn}")
def describe_artifact(ctx: Context, ArtifactArn: str) -> dict[str, Any]:
    return entities.describe(ctx, _WORD, ARTIFACTS.get(ctx, named(ctx, ARTIFACTS, ArtifactArn)))


@operation("sagemaker", "ListArtifacts")
def list_artifacts(ctx: Context, **request: Any) -> dict[str, Any]:
    return entities.list_entities(ctx, _WORD, request)


@operation("sagemaker", "UpdateArtifact", resource="{ArtifactArn}")
def update_artifact(
    ctx: Context,
    *,
    ArtifactArn: str,
    ArtifactName: str | None = None,
    Properties: dict[str, str] | None = None,
    PropertiesToRemove: list[str] | None = None,
) -> dict[str, Any]:
    """Rename it, or replace its properties."""
    change = entities.Change(Properties, PropertiesToRemove or (), title=ArtifactName)
    return {"ArtifactArn": entities.update(ctx, ARTIFACTS, named(ctx, ARTIFACTS, ArtifactArn), change)}


@operation("sagemaker", "DeleteArtifact", resource=_of_source)
def delete_artifact(
    ctx: Context, *, ArtifactArn: str | None = None, Source: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Forget an artifact that has no associations, by its ARN, its source, or both, as SDK v3 does."""
    names = {artifact_id(Source)} if Source is not None else set()
    if ArtifactArn is not None:
        names.add(named(ctx, ARTIFACTS, ArtifactArn))
    if len(names) != 1:
        said = "they are of different artifacts" if names else "neither is given"
        raise validation(f"ArtifactArn or Source must name the artifact to delete; {said}.")
    return {"ArtifactArn": entities.delete(ctx, ARTIFACTS, names.pop())}

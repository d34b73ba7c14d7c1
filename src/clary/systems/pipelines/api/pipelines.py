"""Pipelines and their versions: made, changed, described, listed, deleted."""

from dataclasses import replace
from typing import Any

from clary.kernel.core.errors import AwsError, validation
from clary.kernel.core.ids import short_id
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.lists import list_output
from clary.kernel.rooms.roles import acting_role
from clary.kernel.rooms.tags import read_tags, tags_without
from clary.kernel.store import Batch, Conflict
from clary.systems.pipelines.definitions import checked, given_definition
from clary.systems.pipelines.documents import given, pipeline_document, pipeline_summary, version_summary
from clary.systems.pipelines.records import (
    Pipeline,
    PipelineCache,
    PipelineCallback,
    PipelineExecution,
    PipelineStep,
    PipelineVersion,
)
from clary.systems.pipelines.resources import PIPELINES, pipeline_of, version_name, version_of
from clary.systems.pipelines.statuses import ACTIVE

_RESOURCE = "pipeline/{PipelineName:last}"
_MOST_ALIASES = 10
_MOST_TRIES = 20
_DEFAULT_RESULTS = 10


@operation("sagemaker", "CreatePipeline", resource=_RESOURCE)
def create_pipeline(
    ctx: Context,
    *,
    PipelineName: str,
    ClientRequestToken: str,
    RoleArn: str,
    PipelineDisplayName: str = "",
    PipelineDefinition: str | None = None,
    PipelineDefinitionS3Location: dict[str, str] | None = None,
    PipelineDescription: str = "",
    Tags: list[dict[str, str]] | None = None,
    ParallelismConfiguration: dict[str, int] | None = None,
    PipelineVersionAliases: list[str] | None = None,
) -> dict[str, Any]:
    """Check the definition and keep it as version 1. The same token answers the same, and makes nothing."""
    arn = PIPELINES.arn(ctx, PipelineName)
    found = PIPELINES.find(ctx, PipelineName)
    if found is not None and found.value.token == ClientRequestToken:
        return {"PipelineArn": arn}
    definition = given_definition(ctx, PipelineDefinition, PipelineDefinitionS3Location)
    if definition is None:
        raise validation("Provide PipelineDefinition or PipelineDefinitionS3Location.")
    if found is None:
        checked(ctx.platform, definition)
    version = PipelineVersion(PipelineName, short_id(), 1, definition)
    pipeline = Pipeline(
        uid=version.uid,
        role=RoleArn,
        acting=acting_role(ctx, RoleArn),
        token=ClientRequestToken,
        version=1,
        modified_at=ctx.platform.clock.now(),
        display_name=PipelineDisplayName,
        description=PipelineDescription,
        parallelism=_most_parallel(ParallelismConfiguration),
        aliases=dict.fromkeys(PipelineVersionAliases or (), 1),
    )
    table = ctx.records(PipelineVersion)
    first = table.insertion(version_name(PipelineName, 1), version, parent=PipelineName)
    PIPELINES.create(ctx, PipelineName, pipeline, tags=read_tags(Tags), also=[first])
    return {"PipelineArn": arn}


@operation("sagemaker", "UpdatePipeline", resource=_RESOURCE)
def update_pipeline(
    ctx: Context,
    *,
    PipelineName: str,
    PipelineDisplayName: str | None = None,
    PipelineDefinition: str | None = None,
    PipelineDefinitionS3Location: dict[str, str] | None = None,
    PipelineDescription: str | None = None,
    RoleArn: str | None = None,
    ParallelismConfiguration: dict[str, int] | None = None,
    PipelineVersionAliases: list[str] | None = None,
) -> dict[str, Any]:
    """Change a pipeline. Another definition becomes the next version; executions under way keep theirs."""
    definition = given_definition(ctx, PipelineDefinition, PipelineDefinitionS3Location)
    for _ in range(_MOST_TRIES):
        entry = PIPELINES.get(ctx, PipelineName)
        pipeline = entry.value
        batch = Batch(ctx.platform.store)
        latest = version_of(ctx, entry)
        if definition is not None and definition != latest.value.definition:
            checked(ctx.platform, definition)
            number = pipeline.version + 1
            version = PipelineVersion(PipelineName, pipeline.uid, number, definition)
            batch.create(ctx.records(PipelineVersion), version_name(PipelineName, number), version, parent=PipelineName)
            pipeline = replace(
                pipeline, version=number, aliases=_with_aliases(pipeline, number, PipelineVersionAliases or [])
            )
        elif PipelineVersionAliases:
            raise validation(
                "PipelineVersionAliases can be specified only when the update changes the pipeline definition. To "
                "change the aliases of an existing version, use UpdatePipelineVersion."
            )
        if RoleArn is not None:
            pipeline = replace(pipeline, role=RoleArn, acting=acting_role(ctx, RoleArn))
        pipeline = replace(
            pipeline,
            display_name=pipeline.display_name if PipelineDisplayName is None else PipelineDisplayName,
            description=pipeline.description if PipelineDescription is None else PipelineDescription,
            parallelism=_most_parallel(ParallelismConfiguration, pipeline.parallelism),
            modified_at=ctx.platform.clock.now(),
        )
        batch.replace(ctx.records(Pipeline), entry, pipeline)
        try:
            batch.write()
        except Conflict:
            continue
        return {"PipelineArn": PIPELINES.arn(ctx, PipelineName), "PipelineVersionId": pipeline.version}
    raise Conflict(PipelineName)


@operation("sagemaker", "DescribePipeline", resource=_RESOURCE)
def describe_pipeline(
    ctx: Context, *, PipelineName: str, PipelineVersionId: int | None = None, PipelineVersionAlias: str | None = None
) -> dict[str, Any]:
    """A pipeline with one of its versions, the latest unless asked otherwise."""
    entry = pipeline_of(ctx, PipelineName)
    version = version_of(ctx, entry, PipelineVersionId, PipelineVersionAlias).value
    return pipeline_document(ctx, entry) | given(
        {
            "PipelineDefinition": version.definition,
            "PipelineVersionDisplayName": version.display_name,
            "PipelineVersionDescription": version.description,
            "PipelineVersionAliases": entry.value.aliases_of(version.number),
        }
    )


@operation("sagemaker", "ListPipelines")
def list_pipelines(
    ctx: Context,
    *,
    PipelineNamePrefix: str | None = None,
    CreatedAfter: float | None = None,
    CreatedBefore: float | None = None,
    ManagedBy: str | None = None,
    SortBy: str | None = None,
    SortOrder: str | None = None,
    NextToken: str | None = None,
    MaxResults: int | None = None,
) -> dict[str, Any]:
    """Pipelines, the newest first unless asked otherwise. None is managed by AWS."""
    if ManagedBy == "AWS":
        return {"PipelineSummaries": []}
    request = {
        "CreationTimeAfter": CreatedAfter,
        "CreationTimeBefore": CreatedBefore,
        "SortBy": SortBy,
        "SortOrder": SortOrder,
        "NextToken": NextToken,
        "MaxResults": MaxResults,
    }
    return list_output(
        ctx,
        Pipeline,
        request,
        lambda entry: pipeline_summary(ctx, entry),
        sort_order="Descending",
        name_prefix=PipelineNamePrefix,
    )


@operation("sagemaker", "DeletePipeline", resource=_RESOURCE)
def delete_pipeline(ctx: Context, *, PipelineName: str, ClientRequestToken: str) -> dict[str, Any]:
    """Delete a pipeline with its versions, its executions and what is cached of them; what steps made stays.

    Refused while executions run. A repeated token is told the same as the first: there is no such pipeline any more.
    """
    arn = PIPELINES.arn(ctx, PipelineName)
    for _ in range(_MOST_TRIES):
        entry = PIPELINES.get(ctx, PipelineName)
        executions = ctx.records(PipelineExecution).all(parent=PipelineName)
        running = [each.name for each in executions if each.value.status in ACTIVE]
        if running:
            raise AwsError(
                "ConflictException",
                f"Pipeline {arn} has running executions ({', '.join(running[:5])}): stop them, and delete it when they "
                "have ended.",
            )
        batch = Batch(ctx.platform.store)
        steps = ctx.records(PipelineStep)
        for kind in (PipelineVersion, PipelineCache, PipelineCallback):
            table = ctx.records(kind)
            batch.add(*(table.deletion(each.name) for each in table.all(parent=PipelineName)))
        for each in executions:
            batch.add(*(steps.deletion(step.name) for step in steps.all(parent=each.name)))
            batch.add(ctx.records(PipelineExecution).deletion(each.name, version=each.version))
        batch.add(ctx.records(Pipeline).deletion(PipelineName, version=entry.version))
        batch.add(*tags_without(ctx.platform, arn))
        try:
            batch.write()
        except Conflict:
            continue
        return {"PipelineArn": arn}
    raise Conflict(PipelineName)


@operation("sagemaker", "ListPipelineVersions", resource=_RESOURCE)
def list_pipeline_versions(
    ctx: Context,
    *,
    PipelineName: str,
    CreatedAfter: float | None = None,
    CreatedBefore: float | None = None,
    SortOrder: str | None = None,
    NextToken: str | None = None,
    MaxResults: int | None = None,
) -> dict[str, Any]:
    """The versions of a pipeline, the latest first unless asked otherwise."""
    pipeline = pipeline_of(ctx, PipelineName)
    request = {
        "CreationTimeAfter": CreatedAfter,
        "CreationTimeBefore": CreatedBefore,
        "SortOrder": SortOrder,
        "NextToken": NextToken,
        "MaxResults": MaxResults,
    }
    return list_output(
        ctx,
        PipelineVersion,
        request,
        lambda entry: version_summary(ctx, pipeline, entry),
        sort_by="Name",
        sort_order="Descending",
        parent=pipeline.name,
    )


@operation("sagemaker", "UpdatePipelineVersion", resource="{PipelineArn}")
def update_pipeline_version(
    ctx: Context,
    *,
    PipelineArn: str,
    PipelineVersionId: int,
    PipelineVersionDisplayName: str | None = None,
    PipelineVersionDescription: str | None = None,
    PipelineVersionAliasOperations: dict[str, list[str]] | None = None,
) -> dict[str, Any]:
    """Say something else about a version, or give and take aliases of it."""
    operations = PipelineVersionAliasOperations or {}
    for _ in range(_MOST_TRIES):
        pipeline = pipeline_of(ctx, PipelineArn)
        entry = version_of(ctx, pipeline, PipelineVersionId)
        version = entry.value
        changed = replace(
            version,
            display_name=version.display_name if PipelineVersionDisplayName is None else PipelineVersionDisplayName,
            description=version.description if PipelineVersionDescription is None else PipelineVersionDescription,
        )
        batch = Batch(ctx.platform.store)
        batch.replace(ctx.records(PipelineVersion), entry, changed)
        if operations:
            kept = _without_aliases(pipeline.value, PipelineVersionId, operations.get("Remove", []))
            aliases = _with_aliases(kept, PipelineVersionId, operations.get("Add", []))
            batch.replace(ctx.records(Pipeline), pipeline, replace(pipeline.value, aliases=aliases))
        try:
            batch.write()
        except Conflict:
            continue
        return {"PipelineArn": PipelineArn, "PipelineVersionId": PipelineVersionId}
    raise Conflict(PipelineArn)


def _most_parallel(configuration: dict[str, int] | None, otherwise: int | None = None) -> int | None:
    return otherwise if configuration is None else configuration["MaxParallelExecutionSteps"]


def _without_aliases(pipeline: Pipeline, number: int, aliases: list[str]) -> Pipeline:
    for alias in aliases:
        if pipeline.aliases.get(alias) != number:
            raise validation(f"Version {number} has no alias '{alias}' that could be removed.")
    return replace(pipeline, aliases={name: of for name, of in pipeline.aliases.items() if name not in aliases})


def _with_aliases(pipeline: Pipeline, number: int, aliases: list[str]) -> dict[str, int]:
    for alias in aliases:
        if pipeline.aliases.get(alias, number) != number:
            raise AwsError(
                "ConflictException",
                f"The alias '{alias}' belongs to version {pipeline.aliases[alias]}: remove it there first.",
            )
    found = {**pipeline.aliases, **dict.fromkeys(aliases, number)}
    if list(found.values()).count(number) > _MOST_ALIASES:
        raise validation(f"A pipeline version has at most {_MOST_ALIASES} aliases.")
    return found

"""What the operations, Search and observers say of pipelines, executions and steps."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.core.arns import partition_of
from clary.kernel.rooms import Context
from clary.kernel.store import Entry
from clary.systems.pipelines.records import Pipeline, PipelineExecution, PipelineStep, PipelineVersion
from clary.systems.pipelines.steps import shown_metadata

Document = dict[str, Any]


def given(document: Mapping[str, Any]) -> Document:
    """A document without what there is nothing to say about."""
    return {member: value for member, value in document.items() if value not in (None, "", [], {})}


def _parallelism(most: int | None) -> Document | None:
    return None if most is None else {"MaxParallelExecutionSteps": most}


def pipeline_document(ctx: Context, entry: Entry[Pipeline]) -> Document:
    """What DescribePipeline, ListPipelines and Search have in common."""
    pipeline = entry.value
    return given(
        {
            "PipelineArn": ctx.arn(f"pipeline/{entry.name}", service="sagemaker"),
            "PipelineName": entry.name,
            "PipelineDisplayName": pipeline.display_name or entry.name,
            "PipelineDescription": pipeline.description,
            "RoleArn": pipeline.role,
            "PipelineStatus": "Active",
            "CreationTime": entry.created_at,
            "LastModifiedTime": pipeline.modified_at,
            "LastRunTime": pipeline.last_run,
            "ParallelismConfiguration": _parallelism(pipeline.parallelism),
        }
    ) | {"CreatedBy": {}, "LastModifiedBy": {}}


def pipeline_summary(ctx: Context, entry: Entry[Pipeline]) -> Document:
    document = pipeline_document(ctx, entry)
    document["LastExecutionTime"] = document.get("LastRunTime")
    shown = (
        "PipelineArn",
        "PipelineName",
        "PipelineDisplayName",
        "PipelineDescription",
        "RoleArn",
        "CreationTime",
        "LastModifiedTime",
        "LastExecutionTime",
    )
    return {member: document[member] for member in shown if document.get(member) is not None}


def version_summary(ctx: Context, pipeline: Entry[Pipeline], entry: Entry[PipelineVersion]) -> Document:
    version = entry.value
    arn = ctx.arn(f"pipeline/{pipeline.name}", service="sagemaker")
    latest = pipeline.value.latest_runs.get(str(version.number))
    return given(
        {
            "PipelineArn": arn,
            "PipelineVersionId": version.number,
            "CreationTime": entry.created_at,
            "PipelineVersionDescription": version.description,
            "PipelineVersionDisplayName": version.display_name,
            "LastExecutionPipelineExecutionArn": f"{arn}/execution/{latest}" if latest else None,
            "PipelineVersionAliases": pipeline.value.aliases_of(version.number),
        }
    )


def execution_document(ctx: Context, entry: Entry[PipelineExecution]) -> Document:
    """What DescribePipelineExecution and Search say of an execution; the former shows no parameters."""
    execution = entry.value
    place = f"arn:{partition_of(entry.region)}:sagemaker:{entry.region}:{entry.account}"
    pipeline = f"{place}:pipeline/{execution.pipeline}"
    return given(
        {
            "PipelineArn": pipeline,
            "PipelineExecutionArn": f"{pipeline}/execution/{entry.name}",
            "PipelineExecutionDisplayName": execution.display_name,
            "PipelineExecutionStatus": execution.status,
            "PipelineExecutionDescription": execution.description,
            "PipelineExperimentConfig": execution.experiment,
            "FailureReason": execution.failure_reason,
            "CreationTime": entry.created_at,
            "LastModifiedTime": execution.modified_at,
            "ParallelismConfiguration": _parallelism(execution.parallelism),
            "SelectiveExecutionConfig": execution.selective,
            "PipelineVersionId": execution.version,
            "PipelineParameters": parameter_list(execution),
        }
    ) | {"CreatedBy": {}, "LastModifiedBy": {}}


def execution_summary(ctx: Context, entry: Entry[PipelineExecution], aliases: list[str]) -> Document:
    document = execution_document(ctx, entry)
    return given(
        {
            "PipelineExecutionArn": document["PipelineExecutionArn"],
            "StartTime": entry.created_at,
            "PipelineExecutionStatus": entry.value.status,
            "PipelineExecutionDescription": entry.value.description,
            "PipelineExecutionDisplayName": entry.value.display_name,
            "PipelineExecutionFailureReason": entry.value.failure_reason,
            "PipelineVersionAliases": aliases,
        }
    )


def parameter_list(execution: PipelineExecution) -> list[dict[str, str]]:
    return [{"Name": name, "Value": as_text(value)} for name, value in execution.parameters.items()]


def as_text(value: Any) -> str:
    """A value as the wire carries parameters: `true`, not `True`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def step_document(ctx: Context, entry: Entry[PipelineStep]) -> Document:
    """A PipelineExecutionStep."""
    step = entry.value
    document = {
        "StepName": step.step,
        "StepDisplayName": step.shown.get("DisplayName"),
        "StepDescription": step.shown.get("Description"),
        "StartTime": step.started_at,
        "EndTime": step.ended_at,
        "StepStatus": step.status,
        "CacheHitResult": {"SourcePipelineExecutionArn": step.cache_hit} if step.cache_hit else None,
        "SelectiveExecutionResult": {"SourcePipelineExecutionArn": step.reused} if step.reused else None,
        "FailureReason": step.failure_reason[:1024],
        "AttemptCount": step.attempt,
        "IterationContext": _iteration(step),
    }
    return given(document) | {"Metadata": given(shown_metadata(step))}


def _iteration(step: PipelineStep) -> Document | None:
    if step.index is None:
        return None
    return {"ParentStepName": step.body_of, "Index": step.index, "Item": as_text(step.item)[:12800]}

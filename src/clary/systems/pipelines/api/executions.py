"""Executions: started, stopped, retried, changed, described, listed."""

import hashlib
from dataclasses import replace
from typing import Any

import orjson

from clary.kernel.core.errors import AwsError, validation
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.lists import list_output
from clary.kernel.store import AlreadyExists, Batch, Conflict, Entry
from clary.kernel.wire import paginate
from clary.systems.pipelines.definitions import definitions_of
from clary.systems.pipelines.documents import execution_document, execution_summary, parameter_list
from clary.systems.pipelines.names import execution_id
from clary.systems.pipelines.records import Pipeline, PipelineExecution, PipelineStep, PipelineVersion
from clary.systems.pipelines.resources import (
    PIPELINES,
    execution_arn,
    execution_of,
    execution_path,
    pipeline_of,
    version_name,
    version_of,
    wake,
)
from clary.systems.pipelines.starting import experiment_of, parameters_of, selection_of
from clary.systems.pipelines.statuses import EXECUTING, FAILED, STOPPED, STOPPING

_OF_PIPELINE = "pipeline/{PipelineName:last}"
_OF_EXECUTION = "{PipelineExecutionArn}"
_MOST_TRIES = 30


@operation("sagemaker", "StartPipelineExecution", resource=_OF_PIPELINE)
def start_pipeline_execution(
    ctx: Context,
    *,
    PipelineName: str,
    ClientRequestToken: str,
    PipelineExecutionDisplayName: str = "",
    PipelineParameters: list[dict[str, str]] | None = None,
    PipelineExecutionDescription: str = "",
    ParallelismConfiguration: dict[str, int] | None = None,
    SelectiveExecutionConfig: dict[str, Any] | None = None,
    PipelineVersionId: int | None = None,
    PipelineVersionAlias: str | None = None,
    RoleArn: str | None = None,
) -> dict[str, Any]:
    """Record an execution and wake the engine. The same token answers with the same execution, and starts none."""
    if RoleArn is not None:
        raise validation("RoleArn can't be specified for a pipeline that you created: its executions use its own role.")
    asked = [PipelineExecutionDisplayName, PipelineParameters, PipelineExecutionDescription, ParallelismConfiguration]
    request = _fingerprint([*asked, SelectiveExecutionConfig, PipelineVersionId, PipelineVersionAlias])
    for _ in range(_MOST_TRIES):
        pipeline = pipeline_of(ctx, PipelineName)
        name = execution_id(ctx.account, ctx.region, pipeline.value.uid, ClientRequestToken)
        found = ctx.records(PipelineExecution).get(name)
        if found is not None:
            return _the_same(found, request)
        version = version_of(ctx, pipeline, PipelineVersionId, PipelineVersionAlias).value
        most = (ParallelismConfiguration or {}).get("MaxParallelExecutionSteps", pipeline.value.parallelism)
        execution = PipelineExecution(
            pipeline=pipeline.name,
            uid=pipeline.value.uid,
            version=version.number,
            acting=pipeline.value.acting,
            status=EXECUTING,
            modified_at=ctx.platform.clock.now(),
            parameters={},
            request=request,
            asked={"start": ClientRequestToken},
            display_name=PipelineExecutionDisplayName,
            description=PipelineExecutionDescription,
            parallelism=most,
        )
        execution = _checked(ctx, name, execution, PipelineParameters or [], SelectiveExecutionConfig)
        begun = replace(
            pipeline.value,
            last_run=execution.modified_at,
            latest_runs={**pipeline.value.latest_runs, str(version.number): name},
        )
        batch = Batch(ctx.platform.store)
        batch.create(
            ctx.records(PipelineExecution), name, execution, status=execution.status, parent=execution.pipeline
        )
        batch.replace(ctx.records(Pipeline), pipeline, begun)
        try:
            batch.write()
        except (AlreadyExists, Conflict):
            continue
        wake(ctx, name)
        return {"PipelineExecutionArn": ctx.arn(execution_path(pipeline.name, name), service="sagemaker")}
    raise Conflict(PipelineName)


@operation("sagemaker", "StopPipelineExecution", resource=_OF_EXECUTION)
def stop_pipeline_execution(ctx: Context, *, PipelineExecutionArn: str, ClientRequestToken: str) -> dict[str, Any]:
    """Ask an execution to stop. Jobs that run are stopped; functions and callbacks are waited for, as on AWS."""
    now = ctx.platform.clock.now()

    def stop(execution: PipelineExecution) -> PipelineExecution | None:
        if execution.status == STOPPING or execution.asked.get("stop") == ClientRequestToken:
            return None
        if execution.status != EXECUTING:
            raise _conflict(PipelineExecutionArn, execution, "only one that is Executing can be stopped")
        asked = {**execution.asked, "stop": ClientRequestToken}
        return replace(execution, status=STOPPING, asked=asked, modified_at=now)

    _change(ctx, PipelineExecutionArn, stop)
    return {"PipelineExecutionArn": PipelineExecutionArn}


@operation("sagemaker", "RetryPipelineExecution", resource=_OF_EXECUTION)
def retry_pipeline_execution(
    ctx: Context,
    *,
    PipelineExecutionArn: str,
    ClientRequestToken: str,
    ParallelismConfiguration: dict[str, int] | None = None,
) -> dict[str, Any]:
    """Run what failed or was stopped once more, and what waits for it; what succeeded is kept."""
    for _ in range(_MOST_TRIES):
        entry = execution_of(ctx, PipelineExecutionArn)
        execution = entry.value
        if execution.asked.get("retry") == ClientRequestToken:
            break
        if execution.status not in (FAILED, STOPPED):
            raise _conflict(PipelineExecutionArn, execution, "only one that has Failed or was Stopped can be retried")
        batch = Batch(ctx.platform.store)
        steps = ctx.records(PipelineStep)
        again = steps.all(parent=entry.name, status=(FAILED, STOPPED))
        batch.add(*(steps.deletion(each.name, version=each.version) for each in again))
        changed = replace(
            execution,
            status=EXECUTING,
            failure_reason="",
            run=execution.run + 1,
            asked={**execution.asked, "retry": ClientRequestToken},
            parallelism=(ParallelismConfiguration or {}).get("MaxParallelExecutionSteps", execution.parallelism),
            modified_at=ctx.platform.clock.now(),
        )
        batch.replace(ctx.records(PipelineExecution), entry, changed, status=changed.status)
        try:
            batch.write()
        except Conflict:
            continue
        wake(ctx, entry.name)
        break
    return {"PipelineExecutionArn": PipelineExecutionArn}


@operation("sagemaker", "UpdatePipelineExecution", resource=_OF_EXECUTION)
def update_pipeline_execution(
    ctx: Context,
    *,
    PipelineExecutionArn: str,
    PipelineExecutionDescription: str | None = None,
    PipelineExecutionDisplayName: str | None = None,
    ParallelismConfiguration: dict[str, int] | None = None,
) -> dict[str, Any]:
    """Say something else about an execution, or let more or fewer of its steps run at once."""
    now = ctx.platform.clock.now()

    def change(execution: PipelineExecution) -> PipelineExecution:
        described, displayed = PipelineExecutionDescription, PipelineExecutionDisplayName
        return replace(
            execution,
            description=execution.description if described is None else described,
            display_name=execution.display_name if displayed is None else displayed,
            parallelism=(ParallelismConfiguration or {}).get("MaxParallelExecutionSteps", execution.parallelism),
            modified_at=now,
        )

    _change(ctx, PipelineExecutionArn, change)
    return {"PipelineExecutionArn": PipelineExecutionArn}


@operation("sagemaker", "DescribePipelineExecution", resource=_OF_EXECUTION)
def describe_pipeline_execution(ctx: Context, *, PipelineExecutionArn: str) -> dict[str, Any]:
    entry = execution_of(ctx, PipelineExecutionArn)
    document = execution_document(ctx, entry)
    document.pop("PipelineParameters", None)
    aliases = _aliases(ctx, entry)
    return document | ({"PipelineVersionAliases": aliases} if aliases else {})


@operation("sagemaker", "ListPipelineExecutions", resource=_OF_PIPELINE)
def list_pipeline_executions(
    ctx: Context,
    *,
    PipelineName: str,
    PipelineVersionAlias: str | None = None,
    CreatedAfter: float | None = None,
    CreatedBefore: float | None = None,
    SortBy: str | None = None,
    SortOrder: str | None = None,
    NextToken: str | None = None,
    MaxResults: int | None = None,
) -> dict[str, Any]:
    """The executions of a pipeline, the newest first unless asked otherwise."""
    pipeline = pipeline_of(ctx, PipelineName)
    number = version_of(ctx, pipeline, alias=PipelineVersionAlias).value.number if PipelineVersionAlias else None
    request = {
        "CreationTimeAfter": CreatedAfter,
        "CreationTimeBefore": CreatedBefore,
        "SortBy": "Name" if SortBy == "PipelineExecutionArn" else SortBy,
        "SortOrder": SortOrder,
        "NextToken": NextToken,
        "MaxResults": MaxResults,
    }

    def show(entry: Entry[PipelineExecution]) -> dict[str, Any]:
        return execution_summary(ctx, entry, pipeline.value.aliases_of(entry.value.version))

    return list_output(
        ctx,
        PipelineExecution,
        request,
        show,
        sort_order="Descending",
        parent=pipeline.name,
        keep=None if number is None else lambda entry: entry.value.version == number,
    )


@operation("sagemaker", "ListPipelineParametersForExecution", resource=_OF_EXECUTION)
def list_pipeline_parameters_for_execution(
    ctx: Context, *, PipelineExecutionArn: str, NextToken: str | None = None, MaxResults: int | None = None
) -> dict[str, Any]:
    """The parameters of an execution, those with default values too."""
    parameters = parameter_list(execution_of(ctx, PipelineExecutionArn).value)
    return paginate(ctx.operation, {"NextToken": NextToken, "MaxResults": MaxResults}, parameters)


@operation("sagemaker", "DescribePipelineDefinitionForExecution", resource=_OF_EXECUTION)
def describe_pipeline_definition_for_execution(ctx: Context, *, PipelineExecutionArn: str) -> dict[str, Any]:
    """The definition that an execution runs, whatever the pipeline's is by now."""
    execution = execution_of(ctx, PipelineExecutionArn).value
    entry = ctx.records(PipelineVersion).get(version_name(execution.pipeline, execution.version))
    if entry is None:
        raise AwsError("ResourceNotFound", f"Pipeline execution '{PipelineExecutionArn}' does not exist.")
    return {"PipelineDefinition": entry.value.definition, "CreationTime": entry.created_at}


def _checked(
    ctx: Context,
    name: str,
    execution: PipelineExecution,
    parameters: list[dict[str, str]],
    selective: dict[str, Any] | None,
) -> PipelineExecution:
    """The execution with what its definition makes of the request. Raises ValidationException."""
    now = ctx.platform.clock.now()
    entry = Entry(execution, name, ctx.account, ctx.region, EXECUTING, execution.pipeline, now, now, 0)
    definition = definitions_of(ctx.platform).of(entry)
    execution = replace(execution, parameters=parameters_of(definition, parameters))
    entry = replace(entry, value=execution)
    return replace(
        execution,
        experiment=experiment_of(definition, entry),
        selective=selection_of(ctx, definition, entry, selective),
    )


def _the_same(found: Entry[PipelineExecution], request: str) -> dict[str, Any]:
    if found.value.request != request:
        raise AwsError(
            "ConflictException",
            f"ClientRequestToken was already used for {execution_arn(found)}, which was started in another way.",
        )
    return {"PipelineExecutionArn": execution_arn(found)}


def _change(ctx: Context, arn: str, change: Any) -> None:
    """Change an execution, and have the engine look at it."""
    name = execution_of(ctx, arn).name
    ctx.records(PipelineExecution).update(name, change, status=lambda execution: execution.status)
    wake(ctx, name)


def _conflict(arn: str, execution: PipelineExecution, rule: str) -> AwsError:
    return AwsError("ConflictException", f"Pipeline execution '{arn}' is {execution.status}: {rule}.")


def _aliases(ctx: Context, entry: Entry[PipelineExecution]) -> list[str]:
    pipeline = PIPELINES.find(ctx, entry.value.pipeline)
    return [] if pipeline is None else pipeline.value.aliases_of(entry.value.version)


def _fingerprint(members: list[Any]) -> str:
    return hashlib.sha256(orjson.dumps(members, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]

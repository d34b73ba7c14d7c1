"""Steps of executions: listed, and answered where they wait for a callback."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clary.kernel.core.errors import AwsError, validation
from clary.kernel.rooms import Context, operation
from clary.kernel.store import Entry
from clary.kernel.wire import bad_token, page_asked, page_output
from clary.systems.pipelines.documents import step_document
from clary.systems.pipelines.records import PipelineCallback, PipelineExecution, PipelineStep
from clary.systems.pipelines.resources import EXECUTIONS, execution_arn, execution_of, wake
from clary.systems.pipelines.statuses import FAILED, SUCCEEDED, UNDER_WAY

_DEFAULT_RESULTS = 10


@operation("sagemaker", "ListPipelineExecutionSteps", resource="{PipelineExecutionArn}")
def list_pipeline_execution_steps(
    ctx: Context,
    *,
    PipelineExecutionArn: str | None = None,
    NextToken: str | None = None,
    MaxResults: int | None = None,
    SortOrder: str | None = None,
) -> dict[str, Any]:
    """The steps that an execution has begun, the last first unless asked otherwise."""
    if PipelineExecutionArn is None:
        raise validation("Provide PipelineExecutionArn.")
    execution = execution_of(ctx, PipelineExecutionArn)
    asked = {"NextToken": NextToken, "MaxResults": MaxResults}
    limit, position = page_asked(ctx.operation, asked, _DEFAULT_RESULTS)
    descending = SortOrder != "Ascending"
    found = sorted(ctx.records(PipelineStep).all(parent=execution.name), key=_place, reverse=descending)
    if position is not None:
        try:
            found = [one for one in found if (_place(one) < position if descending else _place(one) > position)]
        except TypeError:
            raise bad_token(ctx.operation) from None
    more = _place(found[limit - 1]) if len(found) > limit else None
    return page_output(ctx.operation, [step_document(ctx, entry) for entry in found[:limit]], more)


def _answered(ctx: Context, params: Mapping[str, Any]) -> str:
    """The execution that waits for a token, for authorisation."""
    callback = ctx.records(PipelineCallback).get(params.get("CallbackToken", ""))
    execution = None if callback is None else EXECUTIONS.find(ctx, callback.value.execution)
    return "*" if execution is None else execution_arn(execution)


@operation("sagemaker", "SendPipelineExecutionStepSuccess", resource=_answered)
def send_pipeline_execution_step_success(
    ctx: Context,
    *,
    CallbackToken: str,
    OutputParameters: list[dict[str, str]] | None = None,
    ClientRequestToken: str | None = None,
) -> dict[str, Any]:
    """Let a callback step succeed, with its output parameters."""
    outputs = {each["Name"]: each["Value"] for each in OutputParameters or ()}
    return _answer(ctx, CallbackToken, ClientRequestToken, {"status": SUCCEEDED, "outputs": outputs})


@operation("sagemaker", "SendPipelineExecutionStepFailure", resource=_answered)
def send_pipeline_execution_step_failure(
    ctx: Context, *, CallbackToken: str, FailureReason: str = "", ClientRequestToken: str | None = None
) -> dict[str, Any]:
    """Let a callback step fail, and say why."""
    return _answer(ctx, CallbackToken, ClientRequestToken, {"status": FAILED, "reason": FailureReason})


def _answer(ctx: Context, token: str, asked: str | None, answer: dict[str, Any]) -> dict[str, Any]:
    """Keep the first answer to a token; the step takes it. A repeated request changes nothing."""
    callbacks = ctx.records(PipelineCallback)
    entry = callbacks.get(token)
    execution = None if entry is None else EXECUTIONS.find(ctx, entry.value.execution)
    if entry is None or execution is None:
        raise AwsError("ResourceNotFound", f"No callback step waits for the token '{token}'.")

    def take(callback: PipelineCallback) -> PipelineCallback | None:
        if callback.answer is not None:
            if asked is not None and callback.asked == asked and callback.answer == answer:
                return None
            raise validation(f"The callback step of the token '{token}' was answered already: {callback.answer}.")
        _waits(ctx, execution, callback, token)
        return replace(callback, asked=asked or "", answer=answer)

    callbacks.update(token, take)
    wake(ctx, execution.name)
    return {"PipelineExecutionArn": execution_arn(execution)}


def _waits(ctx: Context, execution: Entry[PipelineExecution], callback: PipelineCallback, token: str) -> None:
    step = ctx.records(PipelineStep).get(f"{execution.name}/{callback.step}")
    if step is None or step.value.token != token or step.value.status not in UNDER_WAY:
        raise validation(f"The callback step '{callback.step}' does not wait for the token '{token}' any more.")


def _place(entry: Entry[PipelineStep]) -> list[Any]:
    return [entry.value.started_at, entry.value.number, entry.name]

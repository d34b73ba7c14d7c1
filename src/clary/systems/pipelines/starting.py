"""What a request to start an execution comes to by the definition: its parameters, its experiment, its selection."""

from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.core.errors import validation
from clary.kernel.rooms import Context
from clary.kernel.store import Entry
from clary.systems.pipelines.language.definition import Definition
from clary.systems.pipelines.language.errors import Unresolvable
from clary.systems.pipelines.language.parameters import ParameterError, effective
from clary.systems.pipelines.language.scheduling import StepState
from clary.systems.pipelines.language.selection import SelectionError, check_source, select
from clary.systems.pipelines.language.values import resolved_experiment
from clary.systems.pipelines.records import PipelineExecution, PipelineStep
from clary.systems.pipelines.resources import execution_of
from clary.systems.pipelines.scope import Variables


def parameters_of(definition: Definition, given: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """The value of each parameter. Raises ValidationException."""
    values = {each["Name"]: each["Value"] for each in given}
    if len(values) < len(given):
        raise validation("PipelineParameters names a parameter twice.")
    try:
        return effective(definition, values)
    except ParameterError as error:
        raise validation(str(error)) from None


def experiment_of(definition: Definition, entry: Entry[PipelineExecution]) -> dict[str, str] | None:
    """The names of the execution's experiment and trial, which are recorded: there are no experiments here yet."""
    try:
        return resolved_experiment(definition, Variables(entry))
    except Unresolvable as error:
        raise validation(f"PipelineExperimentConfig: {error}") from None


def selection_of(
    ctx: Context, definition: Definition, entry: Entry[PipelineExecution], asked: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """A SelectiveExecutionConfig that can be followed. Raises ValidationException for one that cannot."""
    if asked is None:
        return None
    arn = asked.get("SourcePipelineExecutionArn")
    states = None
    if arn is not None:
        source = execution_of(ctx, arn)
        if source.value.uid != entry.value.uid:
            raise validation(f"SourcePipelineExecutionArn {arn} is no execution of pipeline '{entry.value.pipeline}'.")
        steps = ctx.records(PipelineStep).all(parent=source.name)
        states = {step.value.step: state_of(step.value) for step in steps}
    try:
        selection = select(definition, [each["StepName"] for each in asked["SelectedSteps"]])
        check_source(definition, selection, states)
    except SelectionError as error:
        raise validation(str(error)) from None
    return dict(asked)


def state_of(record: PipelineStep) -> StepState:
    """A step as the planner sees it."""
    outcome = record.outcome == "True" if record.outcome else None
    iterations = len(record.item) if record.type == "ForEach" and record.item is not None else None
    return StepState(record.status, outcome, iterations)

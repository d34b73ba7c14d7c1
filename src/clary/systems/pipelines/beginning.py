"""Begin a step: what it comes to before anything is asked of others. Its values, its name, and whether it is cached.

Conditions and Fail steps end here; a ForEach learns its items. What cannot be resolved fails the step.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from clary.kernel.core.clock import Clock
from clary.kernel.core.errors import AwsError
from clary.kernel.store import Entry
from clary.systems.pipelines.language.caching import cache_key, fresh, is_cached
from clary.systems.pipelines.language.compound import child_of
from clary.systems.pipelines.language.conditions import holds
from clary.systems.pipelines.language.definition import Definition, Step
from clary.systems.pipelines.language.errors import Unresolvable
from clary.systems.pipelines.language.step_types import CALLBACK, CONDITION, FAIL, FOR_EACH
from clary.systems.pipelines.language.values import items_of, resolve, resolved_arguments, resolved_siblings
from clary.systems.pipelines.names import callback_token, job_name
from clary.systems.pipelines.records import PipelineCache, PipelineExecution, PipelineStep
from clary.systems.pipelines.resources import execution_path
from clary.systems.pipelines.scope import StepScope, World
from clary.systems.pipelines.statuses import EXECUTING, FAILED, STARTING, SUCCEEDED
from clary.systems.pipelines.steps import DRIVERS

_LONGEST_REASON = 1024


@dataclass(frozen=True, slots=True)
class Ready:
    """A step whose record can be written and whose driver can then be asked to start it."""

    record: PipelineStep
    arguments: Mapping[str, Any]
    siblings: Mapping[str, Any]


def step_of(definition: Definition, name: str) -> Step:
    """The step of the definition that a step of an execution is; children are named `<step>-<number>`."""
    if name in definition:
        return definition.step(name)
    child = child_of(name)
    if child is None:
        raise KeyError(name)
    return definition.step(child[0])


def first_record(
    world: World, entry: Entry[PipelineExecution], name: str, begun: Mapping[str, PipelineStep], now: float
) -> PipelineStep:
    """The record of a step that is about to begin, after others, the ForEach whose child it may be among them."""
    step = step_of(world.definition, name)
    shown = {"DisplayName": step.display_name, "Description": step.description}
    record = PipelineStep(
        step=name,
        type=step.type,
        status=STARTING,
        run=entry.value.run,
        started_at=now,
        number=len(begun),
        shown={member: text for member, text in shown.items() if text},
    )
    child = child_of(name) if name not in world.definition else None
    if child is None:
        return record
    loop = world.definition.iterated[child[0]]
    return replace(record, body_of=loop, index=child[1], item=begun[loop].item[child[1]])


class Beginning:
    """Begins steps of one execution."""

    def __init__(self, world: World, entry: Entry[PipelineExecution], clock: Clock) -> None:
        self._world = world
        self._entry = entry
        self._clock = clock

    def begin(self, record: PipelineStep) -> Ready | PipelineStep:
        """What is to be started, or the record of a step that needs no starting: it has ended, or it iterates."""
        step = step_of(self._world.definition, record.step)
        scope = StepScope(self._entry, self._world, record)
        try:
            if step.type == CONDITION:
                outcome = holds(step.arguments.get("Conditions", ()), scope)
                return replace(record, status=SUCCEEDED, ended_at=self._clock.now(), outcome=str(outcome))
            if step.type == FAIL:
                message = str(resolve(step.arguments.get("ErrorMessage", ""), scope))
                return self._failed(record, message, ErrorMessage=message)
            if step.type == FOR_EACH:
                items = items_of(resolve(step.arguments["IterableItems"], scope))
                return replace(record, status=EXECUTING, item=items)
            return self._ready(step, record)
        except Unresolvable as error:
            return self._failed(record, f"ClientError: {error}")
        except AwsError as error:
            return self._failed(record, f"ClientError: {error.message}")

    def again(self, record: PipelineStep) -> Ready | PipelineStep:
        """What is to be started once more, under the name that was recorded: it may have been started already."""
        step = step_of(self._world.definition, record.step)
        scope = StepScope(self._entry, self._world, record)
        try:
            return Ready(record, resolved_arguments(step, scope), resolved_siblings(step, scope))
        except Unresolvable as error:
            return self._failed(record, f"ClientError: {error}")

    def _ready(self, step: Step, record: PipelineStep) -> Ready | PipelineStep:
        """Names are chosen first, since arguments may hold them."""
        record = self._named(step, record)
        scope = StepScope(self._entry, self._world, record)
        arguments, siblings = resolved_arguments(step, scope), resolved_siblings(step, scope)
        if step.type == CALLBACK:
            token = callback_token(self._entry.name, record.step, record.run, record.attempt)
            record = replace(record, token=token, queue=str(siblings["SqsQueueUrl"]))
        if is_cached(step):
            record = replace(record, cache_key=cache_key(step, arguments, siblings))
            hit = self._cached(step, record)
            if hit is not None:
                return hit
        return Ready(record, arguments, siblings)

    def _named(self, step: Step, record: PipelineStep) -> PipelineStep:
        driver = DRIVERS[step.type]
        if not driver.named:
            return record
        given = step.arguments.get(driver.named)
        base = "" if given is None else str(resolve(given, StepScope(self._entry, self._world, record)))
        if base and driver.exact_name:
            return replace(record, job=base)
        name = job_name(self._entry.name, record.step, record.run, record.attempt, base=base)
        return replace(record, job=name)

    def _cached(self, step: Step, record: PipelineStep) -> PipelineStep | None:
        """The record of a step whose work was done before, by a run that is fresh enough and still there."""
        own, execution = self._world.own, self._entry.value
        entry = own.records(PipelineCache).get(cache_name(execution.pipeline, step.name, record.cache_key))
        if entry is None or step.cache is None or not fresh(step.cache, entry.value.ended_at, self._clock.now()):
            return None
        source = own.records(PipelineStep).get(f"{entry.value.execution}/{entry.value.step}")
        if source is None or source.value.status != SUCCEEDED:
            return None
        if not DRIVERS[step.type].is_kept(own, source.value):
            return None
        arn = own.arn(execution_path(execution.pipeline, entry.value.execution), service="sagemaker")
        return replace(taken_from(source.value, record), ended_at=self._clock.now(), cache_hit=arn)

    def _failed(self, record: PipelineStep, reason: str, **shown: str) -> PipelineStep:
        return replace(
            record,
            status=FAILED,
            ended_at=self._clock.now(),
            failure_reason=reason[:_LONGEST_REASON],
            shown={**record.shown, **shown},
        )


def taken_from(source: PipelineStep, record: PipelineStep) -> PipelineStep:
    """A step whose work another execution has done."""
    return replace(
        record,
        status=SUCCEEDED,
        job=source.job,
        arn=source.arn,
        outcome=source.outcome,
        outputs=source.outputs,
        token=source.token,
        queue=source.queue,
        item=source.item if record.index is None else record.item,
        shown={**source.shown, **record.shown},
    )


def cache_name(pipeline: str, step: str, key: str) -> str:
    return f"{pipeline}/{step}/{key}"

"""What drives the steps of each type, and what is said of them. Conditions, Fail and ForEach need no driver."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.rooms import OnePerPlatform, Platform
from clary.systems.pipelines.language.step_types import (
    CALLBACK,
    CONDITION,
    FAIL,
    FOR_EACH,
    LAMBDA,
    LINEAGE,
    STEP_TYPES,
    StepType,
)
from clary.systems.pipelines.records import PipelineStep
from clary.systems.pipelines.statuses import UNDER_WAY
from clary.systems.pipelines.steps.callbacks import Callback
from clary.systems.pipelines.steps.cleanup import Cleanup
from clary.systems.pipelines.steps.contract import Driver
from clary.systems.pipelines.steps.endpoints import Endpoint, InferenceComponent
from clary.systems.pipelines.steps.functions import Lambda
from clary.systems.pipelines.steps.jobs import ENDPOINT_CONFIG, MODEL, PROCESSING, TRAINING, TRANSFORM
from clary.systems.pipelines.steps.lineage import Lineage
from clary.systems.pipelines.steps.packages import RegisterModel

DRIVERS: Mapping[str, Driver] = {
    "Training": TRAINING,
    "Processing": PROCESSING,
    "Transform": TRANSFORM,
    "Model": MODEL,
    "RegisterModel": RegisterModel(),
    "EndpointConfig": ENDPOINT_CONFIG,
    "Endpoint": Endpoint(),
    "InferenceComponent": InferenceComponent(),
    LAMBDA: Lambda(),
    CALLBACK: Callback(),
    "Cleanup": Cleanup(),
    LINEAGE: Lineage(),
}
"""By type of step."""

_UNDRIVEN = (CONDITION, FAIL, FOR_EACH)


def _available(platform: Platform) -> dict[str, StepType]:
    """The types of steps that can run here: those whose operations some room has."""
    return {
        name: type_
        for name, type_ in STEP_TYPES.items()
        if name in _UNDRIVEN
        or (
            name in DRIVERS
            and all(
                (type_.service, operation) in platform.registry.handlers
                for operation in (*((type_.create,) if type_.create else ()), *type_.parts.values())
            )
        )
    }


step_types = OnePerPlatform(_available)


def shown_metadata(record: PipelineStep) -> dict[str, Any]:
    """A step's PipelineExecutionStepMetadata."""
    if record.type == CONDITION:
        return {"Condition": {"Outcome": record.outcome}} if record.outcome else {}
    if record.type == FAIL:
        return {"Fail": {"ErrorMessage": record.shown.get("ErrorMessage", "")}}
    if record.type == FOR_EACH:
        said = {name: value for name, value in record.shown.items() if name in _OF_FOR_EACH}
        return {} if record.status in UNDER_WAY else {"ForEach": said}
    return DRIVERS[record.type].metadata(record)


_OF_FOR_EACH = (
    "Status",
    "InputItemCount",
    "TotalStepCount",
    "SucceededStepCount",
    "FailedStepCount",
    "StoppedStepCount",
    "Selector",
)

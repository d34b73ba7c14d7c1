"""What pipelines' events say: the details that SageMaker documents for executions and their steps.

Executions and steps are no resources with a document of their own, so that these are made from what the records hold.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from clary.kernel.core.clock import iso
from clary.kernel.rooms import Platform
from clary.kernel.store import Change
from clary.kernel.store.contract import Key

EXECUTION, STEP = "pipeline_execution", "pipeline_step"
DETAIL_TYPES = {
    EXECUTION: "SageMaker Model Building Pipeline Execution Status Change",
    STEP: "SageMaker Model Building Pipeline Execution Step Status Change",
}
_ACTIVE = ("Executing", "Stopping")
_MADE = {
    "Training": "trainingJob",
    "Processing": "processingJob",
    "Transform": "transformJob",
    "Tuning": "tuningJob",
    "Model": "model",
    "RegisterModel": "registerModel",
    "AutoML": "autoMLJob",
    "Lambda": "lambda",
    "QualityCheck": "qualityCheck",
    "ClarifyCheck": "clarifyCheck",
    "EMR": "emr",
    "Endpoint": "endpoint",
    "EndpointConfig": "endpointConfig",
}
"""The member of a step's metadata that holds the ARN of what it made, by its type."""


class Told(NamedTuple):
    """What an event is about, and its detail."""

    resources: list[str]
    detail: dict[str, Any]


def told(platform: Platform, change: Change, prefix: str) -> Told | None:
    """What to tell of a change; None when its execution is gone. `prefix` begins ARNs, up to the account."""
    if change.kind == EXECUTION:
        return _of_execution(change, prefix)
    execution, _, _ = change.name.partition("/")
    row = platform.store.get(Key(EXECUTION, change.account, change.region, execution))
    if row is None:
        return None
    return _of_step(change, f"{prefix}:pipeline/{orjson.loads(row.body)['pipeline']}", execution)


def _of_execution(change: Change, prefix: str) -> Told:
    document = change.document
    pipeline = f"{prefix}:pipeline/{document['pipeline']}"
    execution = f"{pipeline}/execution/{change.name}"
    detail = {
        "pipelineArn": pipeline,
        "pipelineExecutionArn": execution,
        "pipelineExecutionDisplayName": document.get("display_name"),
        "pipelineExecutionDescription": document.get("description"),
        "currentPipelineExecutionStatus": change.status,
        "previousPipelineExecutionStatus": change.was,
        "executionStartTime": _time(change.created_at),
        "executionEndTime": None if change.status in _ACTIVE else _time(document.get("modified_at")),
        "failureReason": document.get("failure_reason"),
    }
    return Told([pipeline, execution], _given(detail))


def _of_step(change: Change, pipeline: str, execution_id: str) -> Told:
    document = change.document
    execution = f"{pipeline}/execution/{execution_id}"
    cached = document.get("cache_hit")
    detail = {
        "metadata": _metadata(document),
        "stepStartTime": _time(document.get("started_at")),
        "stepEndTime": _time(document.get("ended_at")),
        "stepName": document["step"],
        "stepType": document["type"],
        "previousStepStatus": change.was,
        "currentStepStatus": change.status,
        "cacheHitResult": {"sourcePipelineExecutionArn": cached} if cached else None,
        "failureReason": document.get("failure_reason"),
        "pipelineArn": pipeline,
        "pipelineExecutionArn": execution,
    }
    return Told([pipeline, execution], _given(detail))


def _metadata(document: Mapping[str, Any]) -> dict[str, Any]:
    if document["type"] == "Condition" and document.get("outcome"):
        return {"condition": {"outcome": document["outcome"]}}
    made = _MADE.get(document["type"])
    return {made: {"arn": document["arn"]}} if made and document.get("arn") else {}


def _given(detail: Mapping[str, Any]) -> dict[str, Any]:
    return {member: value for member, value in detail.items() if value not in (None, "") or member == "metadata"}


def _time(moment: float | None) -> str | None:
    return None if moment is None else f"{iso(moment)[:19]}Z"

"""What drives a step of one type: the contract, and how things that others report are read.

A driver is asked to start a step whose record, with the name of what it makes, was written before; to look at one that
was started; to stop one; and afterwards to show what it made. Drivers hold nothing of a step in memory that is not in
its record, but for calls of functions under way.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context
from clary.kernel.store import Entry
from clary.kernel.store.contract import Change
from clary.systems.pipelines.language.definition import Step
from clary.systems.pipelines.records import PipelineExecution, PipelineStep
from clary.systems.pipelines.statuses import FAILED

SERVICE_FAULT = "Step.SERVICE_FAULT"
THROTTLING = "Step.THROTTLING"
INTERNAL_ERROR = "SageMaker.JOB_INTERNAL_ERROR"
CAPACITY_ERROR = "SageMaker.CAPACITY_ERROR"
RESOURCE_LIMIT = "SageMaker.RESOURCE_LIMIT"

_THROTTLED = frozenset({"ThrottlingException", "Throttling", "TooManyRequestsException", "RequestThrottled"})
_LIMITS = frozenset({"ResourceLimitExceeded", "LimitExceededException"})
_OUR_FAULT = 500


@dataclass(frozen=True, slots=True)
class Work:
    """A step to be driven. `role` acts as the pipeline's role, `own` as the platform; `record` is the step's by now.

    `siblings` are the members beside Arguments, resolved, where the step is about to start.
    """

    role: Context
    own: Context
    execution: Entry[PipelineExecution]
    execution_arn: str
    step: Step
    record: PipelineStep
    siblings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a step is. `failure` is what retry policies know a failure by; `shown` what metadata tells besides."""

    status: str
    arn: str = ""
    reason: str = ""
    failure: str = ""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    shown: Mapping[str, Any] = field(default_factory=dict)


class Driver(ABC):
    """Steps of one type. `named` is the member of the arguments that may name what the step makes."""

    named: str = ""
    exact_name: bool = False
    """Whether that member is the name itself, and not what the name begins with."""
    kind: str = ""
    """The kind of record whose changes tell that there is something new; empty for what is looked at each time."""

    def also(self, work: Work) -> Sequence[Change]:
        """What is to be written together with the record of a step that is about to start."""
        return ()

    @abstractmethod
    def start(self, work: Work, arguments: Mapping[str, Any], *, repeated: bool) -> Progress:
        """Start the step. `repeated`: it may have been started already, before a crash. AwsError fails the step."""

    @abstractmethod
    def observe(self, work: Work) -> Progress | None:
        """How far a step is that was started; None when there is nothing new."""

    def stop(self, work: Work) -> bool:
        """Ask a step that runs to stop; False for what cannot be asked, and is waited for."""
        return False

    def forget(self, work: Work) -> bool:
        """Let go of what is held in memory of a step that has ended; whether there was anything."""
        return False

    @abstractmethod
    def metadata(self, record: PipelineStep) -> dict[str, Any]:
        """The step's part of a PipelineExecutionStepMetadata."""

    @abstractmethod
    def properties(self, own: Context, record: PipelineStep) -> Mapping[str, Any]:
        """What references read of a step that has ended. AwsError where what it made is gone."""

    def is_kept(self, own: Context, record: PipelineStep) -> bool:
        """Whether what a step made earlier is still there, so that it may be used again."""
        try:
            self.properties(own, record)
        except AwsError:
            return False
        return True


def refused(operation: str, error: AwsError) -> Progress:
    """What becomes of a step whose call was answered with an error."""
    reason = f"ClientError: Failed to invoke {operation}. Error Details: {error.message}"
    if error.code in _THROTTLED:
        return Progress(FAILED, reason=reason, failure=THROTTLING)
    if error.code in _LIMITS:
        return Progress(FAILED, reason=reason, failure=RESOURCE_LIMIT)
    if (error.status or 0) >= _OUR_FAULT:
        return Progress(FAILED, reason=reason.replace("ClientError", "InternalServerError", 1), failure=SERVICE_FAULT)
    return Progress(FAILED, reason=reason)


def failed_job(reason: str) -> Progress:
    """What becomes of a step whose job has failed for a reason."""
    for begins, failure in (
        ("InternalServerError", INTERNAL_ERROR),
        ("CapacityError", CAPACITY_ERROR),
        ("ResourceLimitExceeded", RESOURCE_LIMIT),
    ):
        if reason.startswith(begins):
            return Progress(FAILED, reason=reason, failure=failure)
    return Progress(FAILED, reason=reason if reason.startswith("ClientError") else f"ClientError: {reason}")

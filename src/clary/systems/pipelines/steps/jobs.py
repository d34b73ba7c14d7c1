"""Steps that create a SageMaker resource and wait for it: jobs of all kinds, models, configurations."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context
from clary.systems.pipelines.records import PipelineStep
from clary.systems.pipelines.statuses import EXECUTING, STOPPED, SUCCEEDED
from clary.systems.pipelines.steps.contract import Driver, Progress, Work, failed_job, refused


class Made(Driver):
    """A step that makes what `noun` names: by Create<noun>, seen by Describe<noun>.

    Without a `status` member it is done when it is made. `stops` says
    that Stop<noun> is an operation.
    """

    def __init__(self, noun: str, *, kind: str = "", status: str = "", stops: bool = False) -> None:
        self.noun = noun
        self.named = f"{noun}Name"
        self.arn = f"{noun}Arn"
        self.kind = kind
        self.status = status
        self.stops = stops

    def start(self, work: Work, arguments: Mapping[str, Any], *, repeated: bool) -> Progress:
        """Create it under the name that was recorded. Where that may have been done before, look first."""
        if repeated:
            found = self._found(work.own, work.record)
            if found is not None:
                return self._progress(found)
        operation = f"Create{self.noun}"
        try:
            answer = work.role.call("sagemaker", operation, {**arguments, self.named: work.record.job})
        except AwsError as error:
            return refused(f"sagemaker:{operation}", error)
        return Progress(EXECUTING if self.status else SUCCEEDED, arn=answer[self.arn])

    def observe(self, work: Work) -> Progress | None:
        found = self._found(work.own, work.record)
        if found is None:
            return failed_job(f"ClientError: {self.noun} {work.record.job} was deleted while the step waited for it.")
        return self._progress(found)

    def stop(self, work: Work) -> bool:
        if not self.stops:
            return False
        try:
            work.role.call("sagemaker", f"Stop{self.noun}", {self.named: work.record.job})
        except AwsError:
            return False  # it has ended in the meantime, which is seen next
        return True

    def metadata(self, record: PipelineStep) -> dict[str, Any]:
        return {self.noun: {"Arn": record.arn}} if record.arn else {}

    def properties(self, own: Context, record: PipelineStep) -> Mapping[str, Any]:
        return own.call("sagemaker", f"Describe{self.noun}", {self.named: record.job})

    def _found(self, own: Context, record: PipelineStep) -> Mapping[str, Any] | None:
        try:
            return self.properties(own, record)
        except AwsError:
            return None

    def _progress(self, found: Mapping[str, Any]) -> Progress:
        arn = found[self.arn]
        status = found[self.status] if self.status else "Completed"
        if status == "Completed":
            return Progress(SUCCEEDED, arn=arn)
        if status == "Stopped":
            return Progress(STOPPED, arn=arn)
        if status == "Failed":
            failed = failed_job(found.get("FailureReason") or f"{self.noun} failed.")
            return Progress(failed.status, arn=arn, reason=failed.reason, failure=failed.failure)
        return Progress(EXECUTING, arn=arn)


TRAINING = Made("TrainingJob", kind="training_job", status="TrainingJobStatus", stops=True)
PROCESSING = Made("ProcessingJob", kind="processing_job", status="ProcessingJobStatus", stops=True)
TRANSFORM = Made("TransformJob", kind="transform_job", status="TransformJobStatus", stops=True)
MODEL = Made("Model")
ENDPOINT_CONFIG = Made("EndpointConfig")

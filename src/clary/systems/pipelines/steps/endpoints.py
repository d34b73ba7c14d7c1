"""Endpoint and InferenceComponent: created under the name that the arguments give, or updated where there is one.

An update is asked for once: one that runs already, or is done, is recognised by what it asks for.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context
from clary.systems.pipelines.records import PipelineStep
from clary.systems.pipelines.statuses import EXECUTING, FAILED, SUCCEEDED
from clary.systems.pipelines.steps.contract import Driver, Progress, Work, failed_job, refused

_MOVING = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})


class _Upserted(Driver):
    """What is created or updated. `noun` is what the operations and the members are called by."""

    exact_name = True
    noun: str

    def start(self, work: Work, arguments: Mapping[str, Any], *, repeated: bool) -> Progress:
        name = {self.named: work.record.job}
        found = self._found(work.own, work.record)
        if found is not None and repeated and self._is_asked(found, arguments):
            return self._progress(found, arguments)
        operation = f"Create{self.noun}" if found is None else f"Update{self.noun}"
        request = {**arguments, **name} if found is None else self._update(arguments) | name
        try:
            answer = work.role.call("sagemaker", operation, request)
        except AwsError as error:
            return refused(f"sagemaker:{operation}", error)
        return Progress(EXECUTING, arn=answer[f"{self.noun}Arn"], shown=self._wanted(arguments))

    def observe(self, work: Work) -> Progress | None:
        found = self._found(work.own, work.record)
        if found is None:
            return failed_job(f"ClientError: {self.noun} {work.record.job} was deleted while the step waited for it.")
        return self._progress(found, work.record.shown)

    def metadata(self, record: PipelineStep) -> dict[str, Any]:
        return {self.noun: {"Arn": record.arn}} if record.arn else {}

    def properties(self, own: Context, record: PipelineStep) -> Mapping[str, Any]:
        return own.call("sagemaker", f"Describe{self.noun}", {self.named: record.job})

    def is_kept(self, own: Context, record: PipelineStep) -> bool:
        """Whether it is in service, and still as the step left it."""
        found = self._found(own, record)
        return found is not None and self._progress(found, record.shown).status == SUCCEEDED

    def _found(self, own: Context, record: PipelineStep) -> Mapping[str, Any] | None:
        try:
            return self.properties(own, record)
        except AwsError:
            return None

    def _progress(self, found: Mapping[str, Any], asked: Mapping[str, Any]) -> Progress:
        arn, status = found[f"{self.noun}Arn"], found[f"{self.noun}Status"]
        if status in _MOVING:
            return Progress(EXECUTING, arn=arn, shown=self._wanted(asked))
        if status == "InService" and self._is_asked(found, asked):
            return Progress(SUCCEEDED, arn=arn, shown=self._wanted(asked))
        reason = found.get("FailureReason") or f"{self.noun} is {status}, and not what the step asked for."
        return Progress(FAILED, arn=arn, reason=failed_job(reason).reason, shown=self._wanted(asked))

    @abstractmethod
    def _update(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of an update to what they would have created."""

    @abstractmethod
    def _wanted(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """What is kept of the arguments, to know by what the resource becomes as asked for."""

    @abstractmethod
    def _is_asked(self, found: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
        """Whether a resource is, or becomes, what was asked for."""


class Endpoint(_Upserted):
    noun = "Endpoint"
    named = "EndpointName"

    def _update(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in arguments.items() if name != "Tags"}

    def _wanted(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {"EndpointConfigName": arguments["EndpointConfigName"]}

    def _is_asked(self, found: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
        wanted = asked.get("EndpointConfigName")
        pending = (found.get("PendingDeploymentSummary") or {}).get("EndpointConfigName")
        return wanted in (found["EndpointConfigName"], pending)


class InferenceComponent(_Upserted):
    noun = "InferenceComponent"
    named = "InferenceComponentName"

    def _update(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        kept = ("Specification", "RuntimeConfig")
        return {name: arguments[name] for name in kept if name in arguments}

    def _wanted(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    def _is_asked(self, found: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
        """A component does not say what its specification was before: one in service is what was asked for."""
        return not found.get("FailureReason")

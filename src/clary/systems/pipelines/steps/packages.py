"""RegisterModel: a model package, made once by its ClientToken, in a group that is made where it is missing."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context
from clary.systems.pipelines.names import request_token
from clary.systems.pipelines.records import PipelineStep
from clary.systems.pipelines.statuses import EXECUTING, SUCCEEDED
from clary.systems.pipelines.steps.contract import Driver, Progress, Work, failed_job, refused

_CREATE = "sagemaker:CreateModelPackage"


class RegisterModel(Driver):
    """The package's ARN is known when it was made, and not before: the ClientToken finds it again."""

    def start(self, work: Work, arguments: Mapping[str, Any], *, repeated: bool) -> Progress:
        record = work.record
        token = request_token(work.execution.name, record.step, record.run, record.attempt)
        group = str(arguments.get("ModelPackageGroupName", ""))
        try:
            if group and not group.startswith("arn:"):
                self._make_group(work, group)
            answer = work.role.call("sagemaker", "CreateModelPackage", {**arguments, "ClientToken": token})
        except AwsError as error:
            return refused(_CREATE, error)
        arn = answer["ModelPackageArn"]
        return _progress(work.own.call("sagemaker", "DescribeModelPackage", {"ModelPackageName": arn}))

    def observe(self, work: Work) -> Progress | None:
        try:
            return _progress(self.properties(work.own, work.record))
        except AwsError:
            return failed_job(f"ClientError: {work.record.arn} was deleted while the step waited for it.")

    def metadata(self, record: PipelineStep) -> dict[str, Any]:
        return {"RegisterModel": {"Arn": record.arn}} if record.arn else {}

    def properties(self, own: Context, record: PipelineStep) -> Mapping[str, Any]:
        return own.call("sagemaker", "DescribeModelPackage", {"ModelPackageName": record.arn})

    @staticmethod
    def _make_group(work: Work, group: str) -> None:
        try:
            work.own.call("sagemaker", "DescribeModelPackageGroup", {"ModelPackageGroupName": group})
        except AwsError:
            with suppress(AwsError):  # another step made it; what else is wrong shows when the package is made
                work.role.call("sagemaker", "CreateModelPackageGroup", {"ModelPackageGroupName": group})


def _progress(found: Mapping[str, Any]) -> Progress:
    arn, status = found["ModelPackageArn"], found["ModelPackageStatus"]
    if status == "Completed":
        return Progress(SUCCEEDED, arn=arn)
    if status == "Failed":
        failed = failed_job(_why(found))
        return Progress(failed.status, arn=arn, reason=failed.reason, failure=failed.failure)
    return Progress(EXECUTING, arn=arn)


def _why(found: Mapping[str, Any]) -> str:
    details = found.get("ModelPackageStatusDetails") or {}
    reasons = [each.get("FailureReason", "") for part in details.values() for each in part or ()]
    return next((reason for reason in reasons if reason), "the model package failed validation.")

"""Cleanup: deletes what steps before it left in S3, as the pipeline's role, and says of each step how that went.

Of a training step it is the model and the output archive beside it; of processing and transform steps the objects that
the arguments name, which must lie below the step's outputs.
"""

from collections.abc import Callable, Mapping
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.objects.uri import parse_s3_uri
from clary.kernel.rooms import Context
from clary.systems.pipelines.records import PipelineStep
from clary.systems.pipelines.statuses import SUCCEEDED
from clary.systems.pipelines.steps.contract import Driver, Progress, Work

Properties = Callable[[str], Mapping[str, Any] | None]
"""What is known of a step of the same execution by now; None when it made nothing."""


class Cleanup(Driver):
    """A step that deletes objects. Doing it again changes nothing."""

    def start(self, work: Work, arguments: Mapping[str, Any], *, repeated: bool) -> Progress:
        cleaned, skipped, failed = [], [], []
        for source in arguments.get("Resources", {}).get("S3", ()):
            name = source["StepName"]
            properties = _properties(work, name)
            places = None if properties is None else _outputs(properties)
            if not places:
                skipped.append(name)
                continue
            try:
                _delete(work, _asked(source, properties or {}, places))
                cleaned.append(name)
            except _Refused as error:
                failed.append({"StepName": name, "ErrorCode": "ClientError", "ErrorMessage": str(error)[:2048]})
        said = {"CleanedSteps": cleaned, "FailedSteps": failed, "SkippedSteps": skipped}
        return Progress(SUCCEEDED, shown={name: value for name, value in said.items() if value})

    def observe(self, work: Work) -> Progress | None:
        return None

    def metadata(self, record: PipelineStep) -> dict[str, Any]:
        names = ("CleanedSteps", "FailedSteps", "SkippedSteps")
        return {"Cleanup": {name: record.shown[name] for name in names if name in record.shown}}

    def properties(self, own: Context, record: PipelineStep) -> Mapping[str, Any]:
        return {}


class _Refused(Exception):
    """What may not be deleted, and why."""


def _properties(work: Work, name: str) -> Mapping[str, Any] | None:
    from clary.systems.pipelines.steps import DRIVERS

    entry = work.own.records(PipelineStep).get(f"{work.execution.name}/{name}")
    if entry is None or entry.value.status != SUCCEEDED:
        return None
    try:
        return DRIVERS[entry.value.type].properties(work.own, entry.value)
    except AwsError:
        return None


def _outputs(properties: Mapping[str, Any]) -> list[str]:
    """Where a step's job wrote to."""
    if "TrainingJobName" in properties:
        model = (properties.get("ModelArtifacts") or {}).get("S3ModelArtifacts", "")
        return [model.rpartition("/")[0] + "/"] if model else []
    if "ProcessingJobName" in properties:
        outputs = (properties.get("ProcessingOutputConfig") or {}).get("Outputs") or ()
        return [each["S3Output"]["S3Uri"] for each in outputs if each.get("S3Output")]
    if "TransformJobName" in properties:
        return [properties["TransformOutput"]["S3OutputPath"]]
    return []


def _asked(source: Mapping[str, Any], properties: Mapping[str, Any], places: list[str]) -> list[str]:
    uris = source.get("S3Uris")
    if uris is None:
        if "TrainingJobName" not in properties:
            raise _Refused("S3Uris is needed for a step of this type.")
        return [f"{places[0]}{name}" for name in ("model.tar.gz", "output.tar.gz")]
    for uri in uris:
        if not any(uri.startswith(place.rstrip("/") + "/") for place in places):
            raise _Refused(f"{uri} does not lie below the outputs of the step.")
    return list(uris)


def _delete(work: Work, uris: list[str]) -> None:
    for uri in uris:
        try:
            bucket, key = parse_s3_uri(uri)
            work.role.call("s3", "DeleteObject", {"Bucket": bucket, "Key": key})
        except AwsError as error:
            raise _Refused(f"{uri}: {error.message}") from None

"""Lineage: makes entities and the associations between them, as the pipeline's role. One that is there already is used.

That is what makes a pipeline repeatable that records the same data and models each time, and a crash harmless.
"""

from collections.abc import Mapping
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context
from clary.systems.pipelines.language.compound import ENTITIES
from clary.systems.pipelines.records import PipelineStep
from clary.systems.pipelines.statuses import FAILED, SUCCEEDED
from clary.systems.pipelines.steps.contract import Driver, Progress, Work, refused

_MAPS = {"Action": "ActionArns", "Artifact": "ArtifactArns", "Context": "ContextArns"}
_KEPT = (*_MAPS.values(), "Associations")


class Lineage(Driver):
    """A step that is done when it was started."""

    def start(self, work: Work, arguments: Mapping[str, Any], *, repeated: bool) -> Progress:
        arns: dict[str, dict[str, str]] = {}
        for name, (type_, naming) in ENTITIES.items():
            for request in arguments.get(name) or ():
                try:
                    arn = _make(work, type_, request)
                except AwsError as error:
                    return refused(f"sagemaker:Create{type_}", error)
                arns.setdefault(_MAPS[type_], {})[str(request.get(naming) or arn)] = arn
        associations: list[dict[str, str]] = []
        for asked in arguments.get("Associations") or ():
            ends = {f"{end}Arn": _arn(asked[end], arns) for end in ("Source", "Destination")}
            missing = next((end for end, arn in ends.items() if arn is None), None)
            if missing is not None:
                said = asked[missing.removesuffix("Arn")]
                return Progress(FAILED, reason=f"ClientError: The step made no {said['Type']} named '{said['Name']}'.")
            kind = {"AssociationType": asked["AssociationType"]} if asked.get("AssociationType") else {}
            try:
                _associate(work, {**ends, **kind})
            except AwsError as error:
                return refused("sagemaker:AddAssociation", error)
            associations.append({end: str(arn) for end, arn in ends.items()})
        return Progress(SUCCEEDED, shown={**arns, **({"Associations": associations} if associations else {})})

    def observe(self, work: Work) -> Progress | None:
        return None

    def metadata(self, record: PipelineStep) -> dict[str, Any]:
        return {"Lineage": self._kept(record)}

    def properties(self, own: Context, record: PipelineStep) -> Mapping[str, Any]:
        return self._kept(record)

    @staticmethod
    def _kept(record: PipelineStep) -> dict[str, Any]:
        return {name: record.shown[name] for name in _KEPT if name in record.shown}


def _make(work: Work, type_: str, request: Mapping[str, Any]) -> str:
    """The ARN of an entity, new or not."""
    try:
        return str(work.role.call("sagemaker", f"Create{type_}", request)[f"{type_}Arn"])
    except AwsError as error:
        found = _find(work, type_, request) if error.code == "ValidationException" else None
        if found is None:
            raise
        return found


def _find(work: Work, type_: str, request: Mapping[str, Any]) -> str | None:
    """The entity of the same name, or the artifact of the same source; None where there is none."""
    if type_ != "Artifact":
        try:
            name = request[f"{type_}Name"]
            return str(work.own.call("sagemaker", f"Describe{type_}", {f"{type_}Name": name})[f"{type_}Arn"])
        except AwsError:
            return None
    source = request["Source"]
    query: dict[str, Any] = {"SourceUri": source["SourceUri"], "MaxResults": 100}
    for summary in work.own.call("sagemaker", "ListArtifacts", query)["ArtifactSummaries"]:
        if summary["Source"].get("SourceTypes", []) == source.get("SourceTypes", []):
            return str(summary["ArtifactArn"])
    return None


def _arn(end: Mapping[str, Any], arns: Mapping[str, Mapping[str, str]]) -> str | None:
    if end.get("Arn"):
        return str(end["Arn"])
    return arns.get(_MAPS[end["Type"]], {}).get(str(end["Name"]))


def _associate(work: Work, request: Mapping[str, Any]) -> None:
    """Associate two entities, if they are not yet."""
    try:
        work.role.call("sagemaker", "AddAssociation", request)
    except AwsError:
        ends = {end: request[end] for end in ("SourceArn", "DestinationArn")}
        if not work.own.call("sagemaker", "ListAssociations", ends)["AssociationSummaries"]:
            raise

"""What CreateTransformJob accepts: members refused, members checked against each other, defaults filled in. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from clary.kernel.core.errors import not_supported, validation
from clary.kernel.objects import normal_s3_uri

_MOST_MEGABYTES = 100
_MOST_INSTANCES = 100

# The documented part of JSONPath; the runtime's `transform.jsonpath` reads it.
_NAMES = r"'(?:[^'\\]|\\.)*'(?:\s*,\s*'(?:[^'\\]|\\.)*')*"
_INDEX = r"(?:(?:-?\d+)?\s*:\s*(?:-?\d+)?|-?\d+)"
_INDICES = rf"{_INDEX}(?:\s*,\s*{_INDEX})*"
_PATH = re.compile(rf"\$(?:\.[A-Za-z_][\w-]*|\.\*|\.?\[\s*(?:{_NAMES}|{_INDICES}|\*)\s*\])*")
_ROW_PATH = re.compile(rf"\$(?:\.?\[\s*(?:{_INDICES}|\*)\s*\])?")

_FORMATS = {
    "csv": ("text/csv", "application/csv", "csv"),
    "json": (
        "application/json",
        "application/jsonlines",
        "application/x-jsonlines",
        "application/json-lines",
        "json",
        "jsonlines",
    ),
}


def complete(request: Mapping[str, Any]) -> dict[str, Any]:
    """The request with AWS's defaults, as it is stored. Raises ValidationException for what cannot be honoured."""
    completed = {name: value for name, value in request.items() if name != "Tags"}
    completed["TransformInput"] = _input(completed["TransformInput"])
    output = completed["TransformOutput"]
    completed["TransformOutput"] = {
        "KmsKeyId": "",
        "AssembleWith": "None",
        **output,
        "S3OutputPath": normal_s3_uri(output["S3OutputPath"], "TransformOutput.S3OutputPath"),
    }
    count = completed["TransformResources"]["InstanceCount"]
    if count > _MOST_INSTANCES:
        raise validation(f"InstanceCount must be at most {_MOST_INSTANCES}, not {count}.")
    _check_payload(completed.get("MaxConcurrentTransforms"), completed.get("MaxPayloadInMB"))
    processing = {"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None", **completed.get("DataProcessing", {})}
    _check_processing(processing, completed["TransformInput"], completed["TransformOutput"])
    completed["DataProcessing"] = processing
    if "DataCaptureConfig" in completed:
        completed["DataCaptureConfig"] = _capture(completed)
    return completed


def check_containers(containers: list[dict[str, Any]], mode: str | None) -> list[dict[str, Any]]:
    """The containers of a model, in the order in which they are asked; `mode` is that of its execution.

    Raises ValidationException for a model that answers no single request with all of them.
    """
    if any(container.get("Mode") == "MultiModel" for container in containers):
        raise not_supported("Mode MultiModel", "batch transform needs a model of its own; AWS refuses this, too.")
    if len(containers) > 1 and mode == "Direct":
        raise not_supported(
            "InferenceExecutionConfig Mode Direct", "batch transform asks all containers in turn, as Serial does."
        )
    return containers


def _input(given: Mapping[str, Any]) -> dict[str, Any]:
    source = given["DataSource"]["S3DataSource"]
    kind = source["S3DataType"]
    if kind not in {"S3Prefix", "ManifestFile"}:
        raise validation(f"S3DataType {kind} is not compatible with batch transform: use S3Prefix or ManifestFile.")
    uri = normal_s3_uri(source["S3Uri"], "TransformInput.DataSource.S3DataSource.S3Uri")
    return {
        "CompressionType": "None",
        "SplitType": "None",
        **given,
        "DataSource": {"S3DataSource": {**source, "S3Uri": uri}},
    }


def _capture(request: Mapping[str, Any]) -> dict[str, Any]:
    config = request["DataCaptureConfig"]
    if config.get("GenerateInferenceId"):
        source, output = request["TransformInput"], request["TransformOutput"]
        _format("TransformOutput.Accept", output.get("Accept") or source.get("ContentType", ""), "GenerateInferenceId")
    uri = normal_s3_uri(config["DestinationS3Uri"], "DataCaptureConfig.DestinationS3Uri")
    return {"KmsKeyId": "", "GenerateInferenceId": False, **config, "DestinationS3Uri": uri}


def _check_payload(concurrent: int | None, megabytes: int | None) -> None:
    if (megabytes or 0) > _MOST_MEGABYTES:
        raise validation(f"MaxPayloadInMB must be at most {_MOST_MEGABYTES}, not {megabytes}.")
    if concurrent and megabytes and concurrent * megabytes > _MOST_MEGABYTES:
        raise validation(
            f"MaxConcurrentTransforms ({concurrent}) times MaxPayloadInMB ({megabytes}) must be at most "
            f"{_MOST_MEGABYTES} MB."
        )


def _check_processing(processing: Mapping[str, str], source: Mapping[str, Any], output: Mapping[str, Any]) -> None:
    join = processing["JoinSource"] == "Input"
    filters = {name: processing[name] for name in ("InputFilter", "OutputFilter") if processing[name] != "$"}
    if not join and not filters:
        return
    if source["SplitType"] not in {"None", "Line"}:
        raise validation(f"DataProcessing needs SplitType Line or None, not {source['SplitType']}.")
    read = _format("TransformInput.ContentType", source.get("ContentType", ""))
    written = _format("TransformOutput.Accept", output.get("Accept") or source.get("ContentType", ""))
    if join and read != written:
        raise validation(
            f"JoinSource Input needs an input and an output of one format: ContentType is {read}, Accept is {written}."
        )
    for name, path in filters.items():
        form = read if name == "InputFilter" else written
        if not (_ROW_PATH if form == "csv" else _PATH).fullmatch(path):
            what = "selects columns by number, such as $[1:] or $[0,-1]" if form == "csv" else "is a JSONPath from $"
            raise validation(f"DataProcessing.{name} {path!r} is not valid: for {form} data a filter {what}.")


def _format(member: str, content_type: str, needed_by: str = "DataProcessing") -> str:
    name = content_type.partition(";")[0].strip().lower()
    for form, spellings in _FORMATS.items():
        if name in spellings:
            return form
    raise validation(
        f"{needed_by} needs {member} to be text/csv, application/json or application/jsonlines, not {content_type!r}."
    )

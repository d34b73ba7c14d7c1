"""DataCaptureConfig: what of it can be done, what gateways are told of it, and what DescribeEndpoint says. Pure."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.core.errors import validation
from clary.kernel.objects import normal_s3_uri
from clary.kernel.serving.routes import Capture

_INPUTS = frozenset({"Input", "InputAndOutput"})
_OUTPUTS = frozenset({"Output", "InputAndOutput"})


def check_capture(config: Mapping[str, Any]) -> None:
    """Raise ValidationException for a configuration that names no place, or one type as both csv and json."""
    normal_s3_uri(config["DestinationS3Uri"], "DataCaptureConfig.DestinationS3Uri")
    header = config.get("CaptureContentTypeHeader", {})
    both = sorted(set(header.get("CsvContentTypes", ())) & set(header.get("JsonContentTypes", ())))
    if both:
        raise validation(f"CaptureContentTypeHeader names {both[0]} as CSV and as JSON: it can be only one of them.")


def capture_rules(config: Mapping[str, Any] | None) -> Capture | None:
    """What gateways are to capture; None for nothing."""
    if config is None or not config.get("EnableCapture", True) or config["InitialSamplingPercentage"] == 0:
        return None
    modes = {option["CaptureMode"] for option in config["CaptureOptions"]}
    header = config.get("CaptureContentTypeHeader", {})
    return Capture(
        destination=normal_s3_uri(config["DestinationS3Uri"], "DataCaptureConfig.DestinationS3Uri"),
        percentage=config["InitialSamplingPercentage"],
        inputs=bool(modes & _INPUTS),
        outputs=bool(modes & _OUTPUTS),
        csv_types=[name.lower() for name in header.get("CsvContentTypes", ())],
        json_types=[name.lower() for name in header.get("JsonContentTypes", ())],
    )


def capture_summary(config: Mapping[str, Any] | None, *, serving: bool) -> dict[str, Any] | None:
    """DataCaptureConfigSummary of a deployed configuration; capture is started once it serves."""
    if config is None:
        return None
    enabled = config.get("EnableCapture", True)
    return {
        "EnableCapture": enabled,
        "CaptureStatus": "Started" if enabled and serving else "Stopped",
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
        "DestinationS3Uri": config["DestinationS3Uri"],
        "KmsKeyId": config.get("KmsKeyId", ""),
    }

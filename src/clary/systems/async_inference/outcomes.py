"""How a request ended, and what is said of it: to topics, in the data log, and by metrics. Pure."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from clary.kernel.core.clock import iso
from clary.kernel.telemetry.metrics import Datum
from clary.systems.async_inference.places import Payload
from clary.systems.async_inference.records import Request

INCLUDED_BYTES = 128 * 1024  # the largest response that a notification holds

DOWNLOAD = "RequestDownloadFailures"
UPLOAD = "ResponseUploadFailures"
EXPIRED = "ExpiredRequests"

_TOPICS = {True: ("SuccessTopic", "SUCCESS_NOTIFICATION_TOPIC"), False: ("ErrorTopic", "ERROR_NOTIFICATION_TOPIC")}
_DETAILS = "Check S3 path location(if configured) or Cloudwatch for additional details."


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended. `reason` says why it failed, and is empty when it did not.

    `answer` is what the model answered, also where it refused; `status` its status, 0 when it gave none. `failure` is
    the metric that counts a failure of its kind, beside InvocationFailures. Those that were `asked` have been sent to a
    model. Times are epoch seconds or seconds.
    """

    reason: str = ""
    answer: Payload | None = None
    content_type: str | None = None
    status: int = 0
    failure: str = ""
    asked: bool = True
    variant: str = ""
    instance: str = ""
    begun_at: float = 0.0
    download_seconds: float | None = None
    model_seconds: float | None = None
    upload_seconds: float | None = None
    is_told: bool = True  # whether whoever was to be notified was

    @property
    def succeeded(self) -> bool:
        return not self.reason


def topic_of(request: Request, outcome: Outcome) -> str:
    """The topic to tell of an outcome; empty for none."""
    return str(request.notification.get(_TOPICS[outcome.succeeded][0]) or "")


def notification(request: Request, outcome: Outcome, included: bytes | None, now: float) -> dict[str, Any]:
    """What a topic is told, as SageMaker writes it. `included` is the response, for those who want it in there."""
    parameters = {
        "accept": request.accept,
        "contentType": request.content_type,
        "customAttributes": request.custom_attributes,
        "endpointName": request.endpoint,
        "inputLocation": request.input_location or None,
    }
    place = request.output_location if outcome.succeeded else request.failure_location
    response = {"contentType": outcome.content_type, "outputLocation": place or None}
    document: dict[str, Any] = {
        "awsRegion": request.region,
        "eventTime": iso(now),
        "receivedTime": iso(request.received_at),
        "invocationStatus": "Completed" if outcome.succeeded else "Failed",
    }
    if not outcome.succeeded:
        document["failureReason"] = outcome.reason
    document["requestParameters"] = _given(parameters)
    if _given(response):
        document["responseParameters"] = _given(response)
    if included is not None:
        content = base64.b64encode(included).decode()
        document["responseBody"] = {"content": content, "message": _DETAILS, "encoding": "BASE64"}
    return document | {
        "inferenceId": request.inference_id,
        "eventVersion": "1.0",
        "eventSource": "aws:sagemaker",
        "eventName": "InferenceResult",
    }


def wants_response(request: Request, outcome: Outcome) -> bool:
    """Whether whoever is notified wants the response in there, and it is small enough."""
    kind = _TOPICS[outcome.succeeded][1]
    wanted = kind in request.notification.get("IncludeInferenceResponseIn", ())
    return wanted and outcome.answer is not None and outcome.answer.size <= INCLUDED_BYTES


def failure_document(request: Request, outcome: Outcome) -> tuple[Payload, str | None]:
    """What is written to the failure path, and its content type: the model's own answer, or why there is none."""
    if outcome.answer is not None and outcome.status:
        return outcome.answer, outcome.content_type
    data = orjson.dumps({"inferenceId": request.inference_id, "failureReason": outcome.reason})
    return Payload(len(data), data), "application/json"


def log_line(request: Request, outcome: Outcome, now: float) -> str:
    """The line of the data log about a request."""
    times = [
        ("ModelLatency", outcome.model_seconds, 1e6, "us"),
        ("RequestDownloadLatency", outcome.download_seconds, 1e6, "us"),
        ("ResponseUploadLatency", outcome.upload_seconds, 1e6, "us"),
        ("TimeInBacklog", _backlog_seconds(request, outcome), 1e3, "ms"),
        ("TotalProcessingTime", now - request.received_at, 1e3, "ms"),
    ]
    said = ", ".join(f"{name}: {value * scale:.0f} {unit}" for name, value, scale, unit in times if value is not None)
    how = "Inference request succeeded." if outcome.succeeded else f"Inference request failed: {outcome.reason}"
    return f"{iso(now)}:[sagemaker logs] [{request.inference_id}] {how} {said}"


def metrics_of(request: Request, outcome: Outcome, now: float) -> list[Datum]:
    """The metrics that AWS documents for requests of asynchronous endpoints, of one that has ended."""
    dimensions = {"EndpointName": request.endpoint, "VariantName": outcome.variant}
    counts = {
        "InvocationsProcessed": outcome.asked,
        "InvocationFailures": not outcome.succeeded,
        "NotificationFailures": not outcome.is_told,
        **{name: outcome.failure == name for name in (DOWNLOAD, UPLOAD, EXPIRED)},
    }
    data = [Datum(name, dimensions, float(value), unit="Count") for name, value in counts.items()]
    if outcome.asked:
        data.append(Datum("Invocation4XXErrors", dimensions, float(400 <= outcome.status < 500)))
        data.append(Datum("Invocation5XXErrors", dimensions, float(outcome.status >= 500)))
    times = {
        "ModelLatency": outcome.model_seconds,
        "RequestDownloadLatency": outcome.download_seconds,
        "ResponseUploadLatency": outcome.upload_seconds,
        "TimeInBacklog": _backlog_seconds(request, outcome),
    }
    data += [
        Datum(name, dimensions, round(seconds * 1e6), unit="Microseconds")
        for name, seconds in times.items()
        if seconds is not None
    ]
    total = round((now - request.received_at) * 1000)
    return [*data, Datum("TotalProcessingTime", dimensions, total, unit="Milliseconds")]


def _backlog_seconds(request: Request, outcome: Outcome) -> float:
    return max((outcome.begun_at or request.expires_at) - request.received_at, 0.0)


def _given(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}

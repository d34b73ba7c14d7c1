"""Data capture: a request and its answer as a line of a file in S3, in the layout that AWS's monitors read. Pure.

    <prefix>/<endpoint>/<variant>/yyyy/mm/dd/hh/mm-ss-mmm-<uuid>.jsonl

Source: AWS's "Capture data from real-time endpoint", and files that SageMaker wrote.
"""

import time
from base64 import b64encode
from typing import Any, NamedTuple

import orjson

from clary.kernel.core.ids import new_uuid
from clary.kernel.objects import parse_s3_uri
from clary.kernel.serving.requests import CUSTOM_ATTRIBUTES, INFERENCE_ID, Heading
from clary.kernel.serving.routes import Capture

_UNKNOWN_TYPE = "application/octet-stream"


class Captured(NamedTuple):
    """A request and the answer that a variant gave, at the time `at` in epoch seconds.

    `role` is the ARN of the role whose rights it is stored with; empty for the account's. The same request has one
    `event_id`, whichever variants answered it.
    """

    account: str
    region: str
    endpoint: str
    variant: str
    role: str
    rules: Capture
    event_id: str
    at: float
    heading: Heading
    body: bytes
    answer_type: str | None
    answer: bytes

    @property
    def size(self) -> int:
        return len(self.body) + len(self.answer)


def file_of(captured: Captured) -> tuple[str, str]:
    """The bucket and the key of a new file that begins with this. Raises ValidationException for a bad destination."""
    bucket, prefix = parse_s3_uri(captured.rules.destination)
    moment = time.gmtime(captured.at)
    name = f"{time.strftime('%M-%S', moment)}-{int(captured.at % 1 * 1000):03d}-{new_uuid()}.jsonl"
    parts = (prefix.strip("/"), captured.endpoint, captured.variant, time.strftime("%Y/%m/%d/%H", moment), name)
    return bucket, "/".join(part for part in parts if part)


def line_of(captured: Captured) -> bytes:
    """The line of a file, with its line break."""
    rules, data = captured.rules, {}
    if rules.inputs:
        data["endpointInput"] = _side("INPUT", captured.heading.content_type, captured.body, rules)
    if rules.outputs:
        data["endpointOutput"] = _side("OUTPUT", captured.answer_type, captured.answer, rules)
    metadata: dict[str, Any] = {"eventId": captured.event_id}
    attributes, inference = captured.heading.value(CUSTOM_ATTRIBUTES), captured.heading.value(INFERENCE_ID)
    if attributes is not None:
        metadata["customAttributes"] = [attributes]
    if inference is not None:
        metadata["inferenceId"] = inference
    metadata["inferenceTime"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(captured.at))
    return orjson.dumps({"captureData": data, "eventMetadata": metadata, "eventVersion": "0"}) + b"\n"


def _side(mode: str, content_type: str | None, data: bytes, rules: Capture) -> dict[str, str]:
    content_type = content_type or _UNKNOWN_TYPE
    text, encoding = _encode(content_type.partition(";")[0].strip().lower(), data, rules)
    return {"observedContentType": content_type, "mode": mode, "data": text, "encoding": encoding}


def _encode(kind: str, data: bytes, rules: Capture) -> tuple[str, str]:
    encoding = "CSV" if kind in rules.csv_types else "JSON" if kind in rules.json_types else "BASE64"
    if encoding != "BASE64":
        try:
            return data.decode(), encoding
        except UnicodeDecodeError:
            pass  # not the text that its type says it is: kept whole, so that nothing is lost
    return b64encode(data).decode(), "BASE64"

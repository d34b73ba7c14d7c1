"""What waits to be answered: a request with all that is needed to answer it, whatever becomes of its endpoint."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

KV_DOMAIN = "async_inference"
TOPIC = "async_inference"


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Times are epoch seconds; places are S3 URIs, empty for none.

    `revision` names the life of the endpoint that it was sent to. `number` orders requests by arrival, 0 until it is
    queued; one without `input_location` has its body in the queue. It is no longer sent after `expires_at`, and may
    take `timeout_seconds` once it was. `role` acts for it, `attempts` counts servers that broke off.
    """

    account: str
    region: str
    endpoint: str
    revision: str
    inference_id: str
    received_at: float
    expires_at: float
    timeout_seconds: float
    input_location: str = ""
    output_location: str = ""
    failure_location: str = ""
    content_type: str | None = None
    accept: str | None = None
    custom_attributes: str | None = None
    notification: Mapping[str, Any] = field(default_factory=dict)
    role: str = ""
    number: int = 0
    attempts: int = 0

    @property
    def queue(self) -> str:
        return f"{self.account}/{self.region}/{self.endpoint}/{self.revision}"


def dump(request: Request) -> bytes:
    return orjson.dumps(request)


def load(data: bytes) -> Request:
    return Request(**orjson.loads(data))

"""The client's side of the wire: botocore's own serializers and parsers, as its clients use them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import cache
from typing import Any
from urllib.parse import urlencode, urlsplit

from botocore.awsrequest import prepare_request_dict
from botocore.model import OperationModel, ServiceModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from clary.kernel.wire import Request, Response
from clary.kernel.wire.models import load_model


@cache
def service_model(name: str) -> ServiceModel:
    return ServiceModel(load_model(name, "service-2"), service_name=name)


@cache
def _parser(protocol: str) -> Any:
    return create_parser(protocol)


def request_of(model: OperationModel, params: dict[str, Any], protocol: str) -> Request:
    """What botocore puts on the wire for `params`."""
    made = create_serializer(protocol, include_validation=False).serialize_to_request(params, model)
    made["context"] = {}
    prepare_request_dict(made, "http://localhost:1234", context={})
    parts = urlsplit(made["url"])
    body = made["body"]
    if isinstance(body, dict):
        body = urlencode(body, doseq=True).encode()
    elif isinstance(body, str):
        body = body.encode()
    headers = {key.lower(): str(value) for key, value in made["headers"].items()}
    headers["host"] = "localhost:1234"
    return Request(made["method"], parts.path, parts.query, headers, bytes(body or b""))


def output_of(response: Response, model: OperationModel, protocol: str) -> dict[str, Any]:
    """What botocore's client would see of an operation's answer; blobs that are the payload as bytes."""
    found = parsed(response, model.output_shape, protocol, stream=bool(model.has_streaming_output))
    return {key: value.data if isinstance(value, _Stream) else value for key, value in found.items()}


def parsed(response: Response, shape: Any, protocol: str, *, stream: bool = False) -> dict[str, Any]:
    """What botocore reads in `response` for `shape`, which may be an error's."""
    headers = _Headers((key.decode(), value.decode("latin-1")) for key, value in response.headers)
    body = response.body
    if hasattr(body, "__aiter__"):
        body = _Stream(asyncio.run(drained(body)))
    elif stream:
        body = _Stream(body)
    raw = {"status_code": response.status, "headers": headers, "body": body, "context": {"operation_name": "X"}}
    found: dict[str, Any] = _parser(protocol).parse(raw, shape)
    return found


class _Stream:
    """Stands for the open response that botocore hands on when the payload is a blob or a stream of events."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def stream(self) -> Iterator[bytes]:
        yield self.data


async def drained(body: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in body])


class _Headers(dict[str, str]):
    """Lower-case keys that answer to any case, as botocore's own dictionary does."""

    def __getitem__(self, key: str) -> str:
        return super().__getitem__(key.lower())

    def __contains__(self, key: object) -> bool:
        return super().__contains__(str(key).lower())

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(key.lower(), default)

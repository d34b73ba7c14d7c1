"""AWS JSON 1.0 and 1.1: `X-Amz-Target` names the operation, bodies are JSON objects."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from clary.kernel.wire.compiled import Compiled
from clary.kernel.wire.errors import resolve
from clary.kernel.wire.eventstream import EventWriter, respond
from clary.kernel.wire.messages import OutputError, Request, Response, document
from clary.kernel.wire.models import Member, Operation, Shape
from clary.kernel.wire.scalars import (
    TIMESTAMP_WRITERS,
    base64_text,
    float_text,
    in_range,
    read_base64,
    read_float,
    read_timestamp,
    unix_number,
)
from clary.kernel.wire.tree import Convert, Tree, kind, malformed


def _read_blob(name: str) -> Convert:
    def read(value: Any) -> bytes:
        if type(value) is not str:
            raise malformed(f"'{name}' must be a base64 string, not {kind(value)}")
        try:
            return read_base64(value)
        except ValueError as error:
            raise malformed(f"'{name}': {error}") from None

    return read


def _read_timestamp(name: str) -> Convert:
    def read(value: Any) -> float:
        try:
            if type(value) is float or type(value) is int:
                return in_range(value)
            if type(value) is str:
                return read_timestamp(value)
        except ValueError as error:
            raise malformed(f"'{name}': {error}") from None
        raise malformed(f"'{name}' must be a timestamp, not {kind(value)}")

    return read


def _read_float(value: Any) -> Any:
    """The three floats that JSON cannot write arrive as strings; any other string is left for `check` to refuse."""
    return read_float(value) if value in ("NaN", "Infinity", "-Infinity") else value


def leaf_reader(use: Member) -> Convert | None:
    type_ = use.shape.type
    if type_ == "blob":
        return _read_blob(use.name)
    if type_ == "timestamp":
        return _read_timestamp(use.name)
    return _read_float if type_ in ("float", "double") else None


def _write_float(value: Any) -> Any:
    return value if math.isfinite(value) else float_text(value)


def leaf_writer(use: Member) -> Convert | None:
    type_ = use.shape.type
    if type_ == "blob":
        return base64_text
    if type_ == "timestamp":
        if use.timestamp_format in (None, "unixTimestamp"):
            return unix_number
        return TIMESTAMP_WRITERS[use.timestamp_format or ""]
    return _write_float if type_ in ("float", "double") else None


JSON_TREE = Tree(leaf_reader, leaf_writer, lambda use: use.key, takes_plain=True)


def loads(body: bytes) -> Any:
    """The JSON of a body; malformed or too deeply nested is an AwsError."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise malformed(f"The request body is not valid JSON: {error}") from None


def _as_text(value: Any) -> str:
    """A blob in a `Plain` list; orjson asks about what it does not know."""
    if type(value) is bytes:
        return base64_text(value)
    raise TypeError(f"{type(value).__name__} is nothing that JSON has")


def dumps(value: Any) -> bytes:
    try:
        return orjson.dumps(value, _as_text)
    except (orjson.JSONEncodeError, TypeError) as error:
        raise OutputError(f"cannot be written as JSON: {error}") from error


def structure_writer(use: Member) -> Callable[[Any], bytes]:
    """Writes one structured value as a JSON document."""
    write = JSON_TREE.writer(use)
    return lambda value: dumps(value if write is None else write(value))


JSON_EVENTS: Compiled[Shape, EventWriter] = Compiled(
    lambda stream: EventWriter(stream, structure_writer, "application/json")
)


def guarded(read: Convert, value: Any) -> Any:
    """`read(value)`; a recursive shape nested beyond the interpreter's stack is the client's fault, not ours."""
    try:
        return read(value)
    except RecursionError:
        raise malformed("The request is nested too deeply.") from None


class AwsJson:
    """The codec of json-1.0 and json-1.1; the version only shows in the content type."""

    def __init__(self, version: str) -> None:
        self.name = f"json-{version}"
        self._content_type = f"application/x-amz-json-{version}".encode()

    def parse(self, operation: Operation, request: Request, path_params: Mapping[str, str]) -> dict[str, Any]:
        # Clients of operations without input send nothing as often as {}
        value = loads(document(request)) if request.body else {}
        found: dict[str, Any] = guarded(JSON_TREE.inputs[operation], value)
        return found

    def serialize(self, operation: Operation, output: Mapping[str, Any] | None, request_id: str) -> Response:
        write = JSON_TREE.outputs[operation]
        values = output or {}
        stream = operation.event_stream
        if stream is None:
            return self._response(200, dumps(write(values)), request_id)
        initial = dumps(write({name: value for name, value in values.items() if name != stream.name}))
        headers = [(b"x-amzn-requestid", request_id.encode())]
        return respond(operation, values, headers, JSON_EVENTS[stream.shape], (initial, "application/json"), request_id)

    def serialize_error(
        self,
        operation: Operation | None,
        code: str,
        message: str,
        status: int | None,
        members: Mapping[str, Any] | None,
        request_id: str,
    ) -> Response:
        error = resolve(operation, code, status, members)
        body: dict[str, Any] = {"__type": error.name, error.message_key: message}
        if error.shape is not None:
            body.update(JSON_TREE.structures[error.shape.shape](error.members))
        response = self._response(error.status, dumps(body), request_id)
        if operation is not None and operation.service.query_compatible:
            response.headers.append(query_error_header(error.code, error.sender_fault))
        return response

    def _response(self, status: int, body: bytes, request_id: str) -> Response:
        return Response(
            status,
            [
                (b"content-type", self._content_type),
                (b"content-length", b"%d" % len(body)),
                (b"x-amzn-requestid", request_id.encode()),
            ],
            body,
        )


def query_error_header(code: str, sender_fault: bool) -> tuple[bytes, bytes]:
    """What tells clients of a service that once spoke query the code they know."""
    return b"x-amzn-query-error", f"{code};{'Sender' if sender_fault else 'Receiver'}".encode()

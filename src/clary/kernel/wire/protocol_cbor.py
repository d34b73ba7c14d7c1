"""CBOR on the wire: Smithy's rpc-v2-cbor, and the older `application/x-amz-cbor-1.1` of Kinesis's Java clients.

Both decode with tags refused but for timestamps, so that no input can share, refer to or rebuild objects.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import cbor2

from clary.kernel.wire.compiled import Compiled
from clary.kernel.wire.errors import resolve
from clary.kernel.wire.eventstream import EventWriter, respond
from clary.kernel.wire.messages import OutputError, Request, Response, document
from clary.kernel.wire.models import Member, Operation, Shape
from clary.kernel.wire.protocol_json import guarded, query_error_header
from clary.kernel.wire.scalars import as_bytes, epoch, in_range
from clary.kernel.wire.tree import Convert, Tree, kind, malformed

MAX_DEPTH = 200
_TIMESTAMP_TAG = 1


def _refuse(_value: Any, _immutable: bool) -> Any:
    raise ValueError("this tag has no meaning in a request")


# The tags cbor2 would interpret, all but bignums (2, 3); unknown tags arrive as CBORTag and fit no shape
_DECODERS: dict[int, Callable[[Any, bool], Any]] = dict.fromkeys(
    (0, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799), _refuse
)
_DECODERS[_TIMESTAMP_TAG] = lambda value, _immutable: value


def loads(body: bytes) -> Any:
    try:
        return cbor2.loads(body, semantic_decoders=_DECODERS, max_depth=MAX_DEPTH, strict_hashable_types=True)
    except (cbor2.CBORDecodeError, ValueError, OverflowError, MemoryError, RecursionError):
        raise malformed("The request body is not valid CBOR.") from None


def dumps(value: Any) -> bytes:
    try:
        return cbor2.dumps(value)
    except (cbor2.CBOREncodeError, ValueError, TypeError) as error:
        raise OutputError(f"cannot be written as CBOR: {error}") from error


def _read_blob(name: str) -> Convert:
    def read(value: Any) -> bytes:
        if type(value) is not bytes:
            raise malformed(f"'{name}' must be bytes, not {kind(value)}")
        return value

    return read


def _timestamp_reader(per_second: int) -> Callable[[str], Convert]:
    def reader(name: str) -> Convert:
        def read(value: Any) -> float:
            if type(value) not in (int, float):
                raise malformed(f"'{name}' must be a timestamp, not {kind(value)}")
            try:
                return in_range(value / per_second)
            except (ValueError, OverflowError):
                raise malformed(f"'{name}' is not a time between the years 1 and 9999") from None

        return read

    return reader


def _read_number(value: Any) -> Any:
    return float(value) if type(value) is int and abs(value) < 2**63 else value


def _write_seconds(value: Any) -> cbor2.CBORTag:
    return cbor2.CBORTag(_TIMESTAMP_TAG, float(round(epoch(value), 3)))


def _write_millis(value: Any) -> cbor2.CBORTag:
    return cbor2.CBORTag(_TIMESTAMP_TAG, math.floor(epoch(value) * 1000 + 0.5))


def _leaf_reader(timestamp: Callable[[str], Convert]) -> Callable[[Member], Convert | None]:
    def reader(use: Member) -> Convert | None:
        type_ = use.shape.type
        if type_ == "blob":
            return _read_blob(use.name)
        if type_ == "timestamp":
            return timestamp(use.name)
        return _read_number if type_ in ("float", "double") else None

    return reader


def _leaf_writer(timestamp: Convert) -> Callable[[Member], Convert | None]:
    leaves: dict[str, Convert] = {"blob": as_bytes, "timestamp": timestamp, "float": float, "double": float}
    return lambda use: leaves.get(use.shape.type)


class _Cbor:
    """What the two share: a body that is one map, and an error that is a map with `__type`."""

    name: str
    content_type: bytes

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._events: Compiled[Shape, EventWriter] = Compiled(
            lambda stream: EventWriter(stream, self._structure_writer, "application/cbor")
        )

    def parse(self, operation: Operation, request: Request, path_params: Mapping[str, str]) -> dict[str, Any]:
        value = loads(document(request)) if request.body else {}
        found: dict[str, Any] = guarded(self._tree.inputs[operation], value)
        return found

    def serialize(self, operation: Operation, output: Mapping[str, Any] | None, request_id: str) -> Response:
        write = self._tree.outputs[operation]
        values = output or {}
        stream = operation.event_stream
        if stream is None:
            return self._response(200, dumps(write(values)), request_id)
        initial = dumps(write({name: value for name, value in values.items() if name != stream.name}))
        headers = [(b"x-amzn-requestid", request_id.encode())]
        return respond(
            operation, values, headers, self._events[stream.shape], (initial, "application/cbor"), request_id
        )

    def _structure_writer(self, use: Member) -> Callable[[Any], bytes]:
        write = self._tree.writer(use)
        return lambda value: dumps(value if write is None else write(value))

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
            body.update(self._tree.structures[error.shape.shape](error.members))
        response = self._response(error.status, dumps(body), request_id)
        if operation is not None and operation.service.query_compatible:
            response.headers.append(query_error_header(error.code, error.sender_fault))
        return response

    def _response(self, status: int, body: bytes, request_id: str) -> Response:
        return Response(
            status,
            [
                (b"content-type", self.content_type),
                (b"content-length", b"%d" % len(body)),
                (b"x-amzn-requestid", request_id.encode()),
            ],
            body,
        )


class RpcCbor(_Cbor):
    """smithy-rpc-v2-cbor: members by their model names, timestamps in seconds."""

    name = "smithy-rpc-v2-cbor"
    content_type = b"application/cbor"

    def __init__(self) -> None:
        super().__init__(Tree(_leaf_reader(_timestamp_reader(1)), _leaf_writer(_write_seconds), lambda use: use.name))

    def _response(self, status: int, body: bytes, request_id: str) -> Response:
        response = super()._response(status, body, request_id)
        response.headers.append((b"smithy-protocol", b"rpc-v2-cbor"))
        return response


class KinesisCbor(_Cbor):
    """application/x-amz-cbor-1.1: like AWS JSON 1.1, with timestamps as tagged milliseconds."""

    name = "amz-cbor-1.1"
    content_type = b"application/x-amz-cbor-1.1"

    def __init__(self) -> None:
        super().__init__(Tree(_leaf_reader(_timestamp_reader(1000)), _leaf_writer(_write_millis), lambda use: use.key))

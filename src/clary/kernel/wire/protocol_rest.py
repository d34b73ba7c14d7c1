"""What rest-json and rest-xml share: method and URI name the operation; members travel in URI, headers and body."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.wire.bindings import RequestBindings, ResponseBindings
from clary.kernel.wire.compiled import Compiled
from clary.kernel.wire.eventstream import EventWriter, respond
from clary.kernel.wire.messages import OutputError, Request, Response
from clary.kernel.wire.models import Member, Operation, Shape

ReadBody = Callable[[Request, dict[str, Any]], None]
WriteBody = Callable[[Mapping[str, Any]], tuple[Any, bytes | None]]  # -> body, content type


@dataclass(slots=True)
class _Input:
    bindings: RequestBindings
    read_body: ReadBody | None


@dataclass(slots=True)
class _Output:
    bindings: ResponseBindings
    write_body: WriteBody


def body_members(shape: Shape) -> dict[str, Member]:
    return {name: use for name, use in shape.members.items() if use.location is None}


class Rest:
    """What both REST protocols share; a subclass reads and writes structured bodies and errors."""

    name: str

    def __init__(self) -> None:
        self._inputs: Compiled[Member, _Input] = Compiled(self._input_plan)
        self._outputs: Compiled[Operation, _Output] = Compiled(self._output_plan)
        self._events: Compiled[Shape, EventWriter] = Compiled(
            lambda stream: EventWriter(stream, self._event_writer, self.event_content_type)
        )

    def malformed_member(self, message: str) -> AwsError:
        """The error for a label, query value or header that cannot be read."""
        raise NotImplementedError

    def _body_reader(self, use: Member, shape: Shape) -> ReadBody | None:
        """Reads the members that are in the body together."""
        raise NotImplementedError

    def _payload_reader(self, payload: Member) -> Callable[[bytes], Any]:
        """Reads a body that is one structured member."""
        raise NotImplementedError

    def _body_writer(self, operation: Operation, shape: Shape) -> WriteBody:
        raise NotImplementedError

    def _payload_writer(self, payload: Member) -> Callable[[Any], bytes]:
        raise NotImplementedError

    def _event_writer(self, use: Member) -> Callable[[Any], bytes]:
        """Writes the structured payload of an event."""
        raise NotImplementedError

    content_type: bytes
    event_content_type: str

    def parse(self, operation: Operation, request: Request, path_params: Mapping[str, str]) -> dict[str, Any]:
        use = operation.input_use
        if use is None:
            return {}
        plan = self._inputs[use]
        found: dict[str, Any] = {}
        plan.bindings.read(request, path_params, found)
        if plan.read_body is not None:
            plan.read_body(request, found)
        return found

    def _input_plan(self, use: Member) -> _Input:
        return _Input(RequestBindings(use.shape, self.malformed_member), self._reader_of(use))

    def _reader_of(self, use: Member) -> ReadBody | None:
        shape = use.shape
        if shape.payload is None:
            return self._body_reader(use, shape)
        payload = shape.members[shape.payload]
        name = payload.name
        if payload.shape.type == "blob":

            def read_blob(request: Request, found: dict[str, Any]) -> None:
                found[name] = request.body

            return read_blob
        if payload.shape.type == "string":
            return lambda request, found: self._read_text(name, request, found)
        read = self._payload_reader(payload)

        def read_structure(request: Request, found: dict[str, Any]) -> None:
            if request.body:
                found[name] = read(request.body)

        return read_structure

    def _read_text(self, name: str, request: Request, found: dict[str, Any]) -> None:
        if request.body:
            try:
                found[name] = request.body.decode()
            except UnicodeDecodeError:
                raise self.malformed_member(f"{name} must be UTF-8 text.") from None

    def serialize(self, operation: Operation, output: Mapping[str, Any] | None, request_id: str) -> Response:
        values = output or {}
        headers = self.request_id_headers(request_id)
        if operation.output is None:
            if values:
                raise OutputError(f"{operation.name} has no output")
            return finished(operation, operation.status, headers, b"", None)
        plan = self._outputs[operation]
        in_body = {}
        status = operation.status
        writers = plan.bindings.writers
        for name, value in values.items():
            if value is None:
                continue
            write = writers.get(name)
            if write is not None:
                write(value, headers)
            elif name == plan.bindings.status_member:
                status = value
            else:
                in_body[name] = value
        stream = operation.event_stream
        if stream is not None:
            response = respond(operation, in_body, headers, self._events[stream.shape], None, request_id)
            response.status = status
            return response
        body, content_type = plan.write_body(in_body)
        return finished(operation, status, headers, body, content_type)

    def _output_plan(self, operation: Operation) -> _Output:
        shape = operation.output
        assert shape is not None  # `serialize` asks for operations that have one
        bindings = ResponseBindings(shape)
        if shape.payload is None:
            return _Output(bindings, self._body_writer(operation, shape))
        payload = shape.members[shape.payload]
        return _Output(bindings, self._payload_body(operation, payload))

    def _payload_body(self, operation: Operation, payload: Member) -> WriteBody:
        name = payload.name

        def only(values: Mapping[str, Any]) -> Any:
            for key in values:
                if key != name:
                    raise OutputError(f"{operation.name} has no member {key!r}")
            return values.get(name)

        if payload.shape.type == "blob":

            def write_blob(values: Mapping[str, Any]) -> tuple[Any, bytes | None]:
                value = only(values)
                if value is None:
                    return b"", None
                return (value.encode() if isinstance(value, str) else value), b"application/octet-stream"

            return write_blob
        if payload.shape.type == "string":

            def write_text(values: Mapping[str, Any]) -> tuple[Any, bytes | None]:
                value = only(values)
                return (b"", None) if value is None else (value.encode(), b"text/plain")

            return write_text
        if payload.shape.event_stream:
            return lambda values: (only(values), None)
        write = self._payload_writer(payload)

        def write_structure(values: Mapping[str, Any]) -> tuple[Any, bytes | None]:
            value = only(values)
            return (b"", None) if value is None else (write(value), self.content_type)

        return write_structure

    def request_id_headers(self, request_id: str) -> list[tuple[bytes, bytes]]:
        return [(b"x-amzn-requestid", request_id.encode())]


def finished(
    operation: Operation | None,
    status: int,
    headers: list[tuple[bytes, bytes]],
    body: Any,
    content_type: bytes | None,
) -> Response:
    """The response, with its type and length unless a member already gave them, or its kind has none."""
    lacks_length = isinstance(body, bytes) and status not in (204, 304)
    if operation is not None and operation.method == "HEAD":
        lacks_length = False
    for name, _ in headers:
        if name == b"content-type":
            content_type = None
        elif name == b"content-length":
            lacks_length = False
    if content_type is not None:
        headers.append((b"content-type", content_type))
    if lacks_length:
        headers.append((b"content-length", b"%d" % len(body)))
    return Response(status, headers, body)

"""rest-json and rest-xml: method and URI name the operation; members travel in URI, headers and body.

S3 is the one rest-xml service: its errors are an `Error` document without namespace (none at all for HEAD), and the
names of its answers' root elements, which its model does not hold, are listed here because clients look for them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.wire import s3_facts, xml_read
from clary.kernel.wire.bindings import RequestBindings, ResponseBindings, header_value
from clary.kernel.wire.errors import Resolved, resolve
from clary.kernel.wire.eventstream import EventWriter, respond
from clary.kernel.wire.messages import OutputError, Request, Response
from clary.kernel.wire.models import Member, Operation, Shape
from clary.kernel.wire.protocol_json import JSON_TREE, dumps, guarded, loads, structure_writer
from clary.kernel.wire.scalars import iso8601_millis
from clary.kernel.wire.tree import malformed as malformed_json
from clary.kernel.wire.xml_write import XmlWriter, escape

ReadBody = Callable[[Request, dict[str, Any]], None]
WriteBody = Callable[[Mapping[str, Any]], tuple[Any, bytes | None]]  # -> body, content type


@dataclass(slots=True)
class _Output:
    bindings: ResponseBindings
    write_body: WriteBody


def body_members(shape: Shape) -> dict[str, Member]:
    return {name: use for name, use in shape.members.items() if use.location is None}


class _Rest:
    """What both REST protocols share; a subclass reads and writes structured bodies and errors."""

    name: str

    def __init__(self) -> None:
        self._inputs: dict[Operation, tuple[RequestBindings, ReadBody | None]] = {}
        self._outputs: dict[Operation, _Output] = {}
        self._events: dict[Operation, EventWriter] = {}

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
        plan = self._inputs.get(operation)
        if plan is None:
            bindings = RequestBindings(use.shape, self.malformed_member)
            plan = self._inputs[operation] = (bindings, self._reader_of(use))
        bindings, read_body = plan
        found: dict[str, Any] = {}
        bindings.read(request, path_params, found)
        if read_body is not None:
            read_body(request, found)
        return found

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
        headers = self._request_id_headers(request_id)
        if operation.output is None:
            if values:
                raise OutputError(f"{operation.name} has no output")
            return _finish(operation, operation.status, headers, b"", None)
        plan = self._outputs.get(operation)
        if plan is None:
            plan = self._outputs[operation] = self._output_plan(operation, operation.output)
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
            writer = self._events.get(operation)
            if writer is None:
                writer = EventWriter(stream.shape, self._event_writer, self.event_content_type)
                self._events[operation] = writer
            response = respond(operation, in_body, headers, writer, None)
            response.status = status
            return response
        body, content_type = plan.write_body(in_body)
        return _finish(operation, status, headers, body, content_type)

    def _output_plan(self, operation: Operation, shape: Shape) -> _Output:
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

    def _request_id_headers(self, request_id: str) -> list[tuple[bytes, bytes]]:
        return [(b"x-amzn-requestid", request_id.encode())]


def _finish(
    operation: Operation | None,
    status: int,
    headers: list[tuple[bytes, bytes]],
    body: Any,
    content_type: bytes | None,
) -> Response:
    names = {name for name, _ in headers}
    if content_type is not None and b"content-type" not in names:
        headers.append((b"content-type", content_type))
    is_head = operation is not None and operation.method == "HEAD"
    if isinstance(body, bytes) and b"content-length" not in names and not is_head and status not in (204, 304):
        headers.append((b"content-length", b"%d" % len(body)))
    return Response(status, headers, body)


class RestJson(_Rest):
    """The codec of rest-json."""

    name = "rest-json"
    content_type = b"application/json"
    event_content_type = "application/json"

    def malformed_member(self, message: str) -> AwsError:
        return malformed_json(message)

    def _body_reader(self, use: Member, shape: Shape) -> ReadBody | None:
        members = body_members(shape)
        if not members:
            return None
        read = JSON_TREE.fields_reader("The request body", members)

        def read_body(request: Request, found: dict[str, Any]) -> None:
            if request.body:
                found.update(guarded(read, loads(request.body)))

        return read_body

    def _payload_reader(self, payload: Member) -> Callable[[bytes], Any]:
        read = JSON_TREE.reader(payload)
        return lambda body: loads(body) if read is None else guarded(read, loads(body))

    def _body_writer(self, operation: Operation, shape: Shape) -> WriteBody:
        members = body_members(shape)
        write = JSON_TREE.fields_writer(operation.name, members)
        if not members or operation.status == 204:
            return lambda values: (b"", None) if not write(values) else (dumps(write(values)), self.content_type)
        return lambda values: (dumps(write(values)), self.content_type)

    def _payload_writer(self, payload: Member) -> Callable[[Any], bytes]:
        return structure_writer(payload)

    def _event_writer(self, use: Member) -> Callable[[Any], bytes]:
        return structure_writer(use)

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
        headers = self._request_id_headers(request_id)
        headers.append((b"x-amzn-errortype", header_value(error.name)))
        body: dict[str, Any] = {error.message_key: message}
        if error.shape is not None:
            in_body = _write_error_headers(error, headers)
            write = JSON_TREE.fields_writer(error.name, body_members(error.shape.shape))
            body.update(write(in_body))
        return _finish(operation, error.status, headers, dumps(body), self.content_type)


def _write_error_headers(error: Resolved, headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    """Write the members that the error's shape puts into headers; return the others."""
    if error.shape is None:
        return error.members
    bindings = ResponseBindings(error.shape.shape)
    rest = {}
    for name, value in error.members.items():
        if name in bindings.writers:
            bindings.writers[name](value, headers)
        elif name != bindings.status_member:
            rest[name] = value
    return rest


class RestXml(_Rest):
    """The codec of rest-xml, which is S3's."""

    name = "rest-xml"
    content_type = b"application/xml"
    event_content_type = "text/xml"

    def __init__(self) -> None:
        super().__init__()
        self._reader = xml_read.XmlReader()
        self._writer = XmlWriter(iso8601_millis)

    def malformed_member(self, message: str) -> AwsError:
        return AwsError("InvalidArgument", message, status=400)

    def _body_reader(self, use: Member, shape: Shape) -> ReadBody | None:
        members = body_members(shape)
        if not members:
            return None
        read = self._reader.fields_reader(members)
        roots = (use.wire_name or shape.name, shape.name)

        def read_body(request: Request, found: dict[str, Any]) -> None:
            if request.body:
                found.update(read(_rooted(request.body, roots)))

        return read_body

    def _payload_reader(self, payload: Member) -> Callable[[bytes], Any]:
        read, roots = self._reader.reader(payload), (payload.key, payload.shape.name)
        return lambda body: read(_rooted(body, roots))

    def _body_writer(self, operation: Operation, shape: Shape) -> WriteBody:
        members = body_members(shape)
        write = self._writer.members_writer(operation.name, members)
        if not members:
            return lambda values: (b"", None) if not values else (_xml(write, values, ""), None)
        if operation.name == "GetBucketLocation":
            return _location
        root = s3_facts.ROOTS.get(operation.name, shape.name)
        return lambda values: (_xml(write, values, root), self.content_type)

    def _payload_writer(self, payload: Member) -> Callable[[Any], bytes]:
        write = self._writer.writer(payload, payload.key, s3_facts.NAMESPACE)

        def write_document(value: Any) -> bytes:
            parts = [_DECLARATION]
            write(value, parts.append)
            return "".join(parts).encode()

        return write_document

    def _event_writer(self, use: Member) -> Callable[[Any], bytes]:
        write = self._writer.writer(use, use.shape.name, "")

        def write_event(value: Any) -> bytes:
            parts: list[str] = []
            write(value, parts.append)
            return "".join(parts).encode()

        return write_event

    def serialize_error(
        self,
        operation: Operation | None,
        code: str,
        message: str,
        status: int | None,
        members: Mapping[str, Any] | None,
        request_id: str,
    ) -> Response:
        """S3's error document. Members that no model has (Resource, BucketName, Key, ...) are written as they are."""
        error = resolve(operation, code, status or s3_facts.STATUSES.get(code), members)
        headers = self._request_id_headers(request_id)
        if (operation is not None and operation.method == "HEAD") or error.status == 304:
            return _finish(operation, error.status, headers, b"", None)
        parts = [f"{_DECLARATION}<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message>"]
        modelled = error.shape.shape.members if error.shape else {}
        self._writer.members_writer(error.name, modelled)(error.members, parts.append)
        for name, value in (members or {}).items():
            if name not in modelled and value is not None:
                parts.append(f"<{name}>{escape(str(value))}</{name}>")
        parts.append(f"<RequestId>{escape(request_id)}</RequestId>")
        parts.append(f"<HostId>{escape(s3_facts.host_id(request_id))}</HostId></Error>")
        return _finish(operation, error.status, headers, "".join(parts).encode(), self.content_type)

    def _request_id_headers(self, request_id: str) -> list[tuple[bytes, bytes]]:
        return [(b"x-amz-request-id", request_id.encode()), (b"x-amz-id-2", s3_facts.host_id(request_id).encode())]


_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


def _rooted(body: bytes, roots: tuple[str, str]) -> xml_read.Node:
    node = xml_read.parse(body)
    if node.tag not in roots:
        raise xml_read.malformed(f"The XML you provided must have the root element {roots[0]}, not {node.tag[:64]}.")
    return node


def _xml(write: Callable[[Any, Callable[[str], None]], None], values: Mapping[str, Any], root: str) -> bytes:
    parts = [f'{_DECLARATION}<{root} xmlns="{s3_facts.NAMESPACE}">']
    write(values, parts.append)
    parts.append(f"</{root}>")
    return "".join(parts).encode()


def _location(values: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """GetBucketLocation answers with the region as the text of the root; nothing for us-east-1."""
    region = escape(values.get("LocationConstraint") or "")
    root = f'<LocationConstraint xmlns="{s3_facts.NAMESPACE}">{region}</LocationConstraint>'
    return (_DECLARATION + root).encode(), b"application/xml"

"""rest-xml, which S3 alone speaks: bodies are XML.

Its errors are an `Error` document without namespace, and none at all for HEAD. The names of its answers' root
elements, which its model does not hold and clients look for, come from s3_facts.
"""

from collections.abc import Callable, Mapping
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.wire import s3_facts, xml_read
from clary.kernel.wire.compiled import Compiled
from clary.kernel.wire.errors import resolve
from clary.kernel.wire.messages import Request, Response
from clary.kernel.wire.models import Member, Operation, Shape
from clary.kernel.wire.protocol_rest import ReadBody, Rest, WriteBody, body_members, finished
from clary.kernel.wire.scalars import iso8601_millis
from clary.kernel.wire.xml_write import Write, XmlWriter, escape

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


class RestXml(Rest):
    """The codec of rest-xml, which is S3's."""

    name = "rest-xml"
    content_type = b"application/xml"
    event_content_type = "text/xml"

    def __init__(self) -> None:
        super().__init__()
        self._reader = xml_read.XmlReader()
        self._writer = XmlWriter(iso8601_millis)
        self._errors: Compiled[Shape, Write] = Compiled(
            lambda shape: self._writer.members_writer(shape.name, shape.members)
        )

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
        headers = self.request_id_headers(request_id)
        if (operation is not None and operation.method == "HEAD") or error.status == 304:
            return finished(operation, error.status, headers, b"", None)
        parts = [f"{_DECLARATION}<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message>"]
        modelled = error.shape.shape.members if error.shape else {}
        if error.shape is not None:
            self._errors[error.shape.shape](error.members, parts.append)
        for name, value in (members or {}).items():
            if name not in modelled and value is not None:
                parts.append(f"<{name}>{escape(str(value))}</{name}>")
        parts.append(f"<RequestId>{escape(request_id)}</RequestId>")
        parts.append(f"<HostId>{escape(s3_facts.host_id(request_id))}</HostId></Error>")
        return finished(operation, error.status, headers, "".join(parts).encode(), self.content_type)

    def request_id_headers(self, request_id: str) -> list[tuple[bytes, bytes]]:
        return [(b"x-amz-request-id", request_id.encode()), (b"x-amz-id-2", s3_facts.host_id(request_id).encode())]


def _rooted(body: bytes, roots: tuple[str, str]) -> xml_read.Node:
    node = xml_read.parse(body)
    if node.tag not in roots:
        raise xml_read.malformed(f"The XML you provided must have the root element {roots[0]}, not {node.tag[:64]}.")
    return node


def _xml(write: Write, values: Mapping[str, Any], root: str) -> bytes:
    parts = [f'{_DECLARATION}<{root} xmlns="{s3_facts.NAMESPACE}">']
    write(values, parts.append)
    parts.append(f"</{root}>")
    return "".join(parts).encode()


def _location(values: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """GetBucketLocation answers with the region as the text of the root; nothing for us-east-1."""
    region = escape(values.get("LocationConstraint") or "")
    root = f'<LocationConstraint xmlns="{s3_facts.NAMESPACE}">{region}</LocationConstraint>'
    return (_DECLARATION + root).encode(), b"application/xml"

"""rest-json: bodies are JSON, errors are named by a header."""

from collections.abc import Callable, Mapping
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.wire.bindings import ResponseBindings, header_value
from clary.kernel.wire.compiled import Compiled
from clary.kernel.wire.errors import resolve
from clary.kernel.wire.messages import Request, Response
from clary.kernel.wire.models import Member, Operation, Shape
from clary.kernel.wire.protocol_json import JSON_TREE, dumps, guarded, loads, structure_writer
from clary.kernel.wire.protocol_rest import ReadBody, Rest, WriteBody, body_members, finished
from clary.kernel.wire.tree import Convert
from clary.kernel.wire.tree import malformed as malformed_json


class RestJson(Rest):
    """The codec of rest-json."""

    name = "rest-json"
    content_type = b"application/json"
    event_content_type = "application/json"

    def __init__(self) -> None:
        super().__init__()
        self._errors: Compiled[Shape, tuple[ResponseBindings, Convert]] = Compiled(_error_plan)

    def malformed_member(self, message: str) -> AwsError:
        return malformed_json(message)

    def _body_reader(self, use: Member, shape: Shape) -> ReadBody | None:
        members = body_members(shape)
        if not members:
            return None
        read = JSON_TREE.fields_reader(members)

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
        headers = self.request_id_headers(request_id)
        headers.append((b"x-amzn-errortype", header_value(error.name)))
        body: dict[str, Any] = {error.message_key: message}
        if error.shape is not None:
            bindings, write_body = self._errors[error.shape.shape]
            in_body = {}
            for name, value in error.members.items():
                if name in bindings.writers:
                    bindings.writers[name](value, headers)
                elif name != bindings.status_member:
                    in_body[name] = value
            body.update(write_body(in_body))
        return finished(operation, error.status, headers, dumps(body), self.content_type)


def _error_plan(shape: Shape) -> tuple[ResponseBindings, Convert]:
    return ResponseBindings(shape), JSON_TREE.fields_writer(shape.name, body_members(shape))

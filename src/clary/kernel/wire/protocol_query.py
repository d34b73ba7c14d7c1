"""The query protocol: a form with `Action` and `Version`, members as dotted keys; the answer is XML.

`Tags.member.1.Key=a` is a list's element, `Attributes.entry.1.key=a` a map's; flattened ones lack the middle word.
"""

from collections.abc import Callable, Mapping
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.wire.compiled import Compiled
from clary.kernel.wire.errors import resolve
from clary.kernel.wire.messages import Request, Response, document
from clary.kernel.wire.models import Member, Operation, Shape
from clary.kernel.wire.scalars import text_reader, unquote
from clary.kernel.wire.xml_write import Write, XmlWriter, escape

MAX_DEPTH = 64
_VALUE = ""  # the key under which a branch of the tree keeps the value written at its own name

Branch = dict[str, Any]
Read = Callable[[Branch], Any]


def malformed(message: str) -> AwsError:
    return AwsError("MalformedInput", message, status=400)


def parse_form(text: str) -> list[tuple[str, str]]:
    """The pairs of a form or query string, percent-decoded; a name without `=` has the value ""."""
    parts = [piece.partition("=") for piece in text.split("&") if piece]
    if "%" not in text and "+" not in text and text.isascii():
        return [(name, value) for name, _, value in parts]
    return [(_decoded(name), _decoded(value)) for name, _, value in parts]


def _decoded(text: str) -> str:
    try:
        return unquote(text.replace("+", " "))
    except UnicodeError:
        raise malformed("A name or value of the query string is not UTF-8.") from None


def form_of(request: Request) -> list[tuple[str, str]]:
    """The pairs of the URL and of a form body."""
    pairs = request.form
    if pairs is None:
        pairs = parse_form(request.query)
        if request.body:
            pairs += parse_form(document(request).decode("latin-1"))
        request.form = pairs
    return pairs


def _grow(pairs: list[tuple[str, str]]) -> Branch:
    """Dotted names as a tree of dicts."""
    root: Branch = {}
    for name, value in pairs:
        steps = name.split(".", MAX_DEPTH)
        if len(steps) > MAX_DEPTH:
            raise malformed("A parameter's name is nested too deeply.")
        branch = root
        for step in steps:
            branch = branch.setdefault(step or "(empty)", {})
        branch[_VALUE] = value
    return root


class Query:
    """The codec of the query protocol."""

    name = "query"

    def __init__(self) -> None:
        self._structures: dict[Shape, Read] = {}
        self._xml = XmlWriter()
        self._inputs: Compiled[Shape, Read] = Compiled(self._structure)
        self._outputs: Compiled[Shape, Write] = Compiled(
            lambda shape: self._xml.members_writer(shape.name, shape.members)
        )

    def parse(self, operation: Operation, request: Request, path_params: Mapping[str, str]) -> dict[str, Any]:
        if operation.input is None:
            return {}
        tree = _grow(form_of(request))
        try:
            found: dict[str, Any] = self._inputs[operation.input](tree)
        except RecursionError:
            raise malformed("A parameter's name is nested too deeply.") from None
        for name in path_params.keys() & operation.input.members.keys():
            found.setdefault(name, path_params[name])
        return found

    def _reader(self, use: Member) -> Read:
        shape = use.shape
        if shape.type == "structure":
            return self._structure(shape)
        if shape.type == "list":
            return self._list(use)
        if shape.type == "map":
            return self._map(use)
        return _scalar(use)

    def _structure(self, shape: Shape) -> Read:
        found = self._structures.get(shape)
        if found is not None:
            return found
        fields: dict[str, tuple[str, Read]] = {}

        def read(branch: Branch) -> dict[str, Any]:
            if branch.get(_VALUE):
                raise malformed(f"{shape.name} has members; it cannot hold a value of its own.")
            return {
                fields[step][0]: fields[step][1](below) for step, below in branch.items() if step and step in fields
            }

        self._structures[shape] = read
        for name, use in shape.members.items():
            key = use.key
            if use.flattened and use.shape.type == "list":
                key = use.shape.member.wire_name or key
            fields[key] = (name, self._reader(use))
        return read

    def _list(self, use: Member) -> Read:
        element = self._reader(use.shape.member)
        inner = None if use.flattened else use.shape.member.wire_name or "member"

        def read(branch: Branch) -> list[Any]:
            below = branch if inner is None else branch.get(inner, {})
            return [element(item) for _, item in _numbered(use.name, below)]

        return read

    def _map(self, use: Member) -> Read:
        shape = use.shape
        key_name, value_name = shape.key.wire_name or "key", shape.value.wire_name or "value"
        key_reader, value_reader = self._reader(shape.key), self._reader(shape.value)

        def read(branch: Branch) -> dict[str, Any]:
            below = branch if use.flattened else branch.get("entry", {})
            found = {}
            for _, item in _numbered(use.name, below):
                if key_name not in item or value_name not in item:
                    raise malformed(f"An entry of {use.name} lacks its {key_name} or {value_name}.")
                found[key_reader(item[key_name])] = value_reader(item[value_name])
            return found

        return read

    def serialize(self, operation: Operation, output: Mapping[str, Any] | None, request_id: str) -> Response:
        parts = [f'<{operation.name}Response xmlns="{operation.service.xml_namespace}">']
        if operation.output is not None:
            wrapper = operation.result_wrapper or f"{operation.name}Result"
            parts.append(f"<{wrapper}>")
            self._outputs[operation.output](output or {}, parts.append)
            parts.append(f"</{wrapper}>")
        parts.append(f"<ResponseMetadata><RequestId>{escape(request_id)}</RequestId></ResponseMetadata>")
        parts.append(f"</{operation.name}Response>")
        return _response(200, "".join(parts), request_id)

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
        namespace = f' xmlns="{operation.service.xml_namespace}"' if operation else ""
        fault = "Sender" if error.sender_fault else "Receiver"
        parts = [f"<ErrorResponse{namespace}><Error><Type>{fault}</Type><Code>{escape(error.code)}</Code>"]
        parts.append(f"<Message>{escape(message)}</Message>")
        if error.shape is not None:
            self._outputs[error.shape.shape](error.members, parts.append)
        parts.append(f"</Error><RequestId>{escape(request_id)}</RequestId></ErrorResponse>")
        return _response(error.status, "".join(parts), request_id)


def _response(status: int, text: str, request_id: str) -> Response:
    body = text.encode()
    return Response(
        status,
        [
            (b"content-type", b"text/xml"),
            (b"content-length", b"%d" % len(body)),
            (b"x-amzn-requestid", request_id.encode()),
        ],
        body,
    )


def _numbered(name: str, branch: Branch) -> list[tuple[int, Branch]]:
    """The numbered steps below a list or map, in order; an empty list is written as an empty value."""
    found = []
    for step, below in branch.items():
        if step == _VALUE:
            if below:
                raise malformed(f"{name} must be numbered: {name}.1, {name}.2, ...")
        elif step.isascii() and step.isdigit() and len(step) < 10:
            found.append((int(step), below))
        else:
            raise malformed(f"{step[:32]!r} is not a number in the parameter {name}.")
    found.sort(key=lambda pair: pair[0])
    return found


def _scalar(use: Member) -> Read:
    convert = text_reader(use.shape.type)

    def read(branch: Branch) -> Any:
        if _VALUE not in branch:
            raise malformed(f"{use.name} has no value.")
        text = branch[_VALUE]
        if convert is None:
            return text
        try:
            return convert(text)
        except ValueError as error:
            raise malformed(f"{use.name}: {error}") from None

    return read

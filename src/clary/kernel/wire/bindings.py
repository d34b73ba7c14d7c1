"""Members that travel outside the body in the REST protocols: URI labels, query string, headers, status code."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from clary.kernel.core.errors import AwsError
from clary.kernel.wire.messages import OutputError, Request
from clary.kernel.wire.models import Member, Shape
from clary.kernel.wire.protocol_query import parse_form
from clary.kernel.wire.scalars import http_date, text_reader, text_writer

ReadInto = Callable[[Request, Mapping[str, str], dict[str, Any]], None]
WriteInto = Callable[[Any, list[tuple[bytes, bytes]]], None]
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_HTTP_DATES = re.compile(r"[A-Za-z]+, [^,]+")
_LIST_ITEM = re.compile(r'\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)|([^,]*)(?:,|$)')


class RequestBindings:
    """Reads an operation's label, query and header members. `malformed` makes the protocol's error."""

    def __init__(self, shape: Shape, malformed: Callable[[str], AwsError]) -> None:
        self._malformed = malformed
        self._labels: list[tuple[str, str, Callable[[str], Any]]] = []
        self._headers: dict[str, tuple[str, Callable[[str], Any]]] = {}
        self._header_maps: list[tuple[str, str]] = []
        self._query: dict[str, tuple[str, Callable[[str], Any], bool]] = {}
        self._query_map: Member | None = None
        for name, use in shape.members.items():
            if use.location == "uri":
                self._labels.append((use.key, name, self._scalar(use)))
            elif use.location == "header":
                self._headers[use.key.lower()] = (name, self._header(use))
            elif use.location == "headers":
                self._header_maps.append(((use.wire_name or "").lower(), name))
            elif use.location == "querystring":
                self._bind_query(name, use)

    def _bind_query(self, name: str, use: Member) -> None:
        if use.shape.type == "map":
            self._query_map = use
        elif use.shape.type == "list":
            self._query[use.key] = (name, self._scalar(use.shape.member), True)
        else:
            self._query[use.key] = (name, self._scalar(use), False)

    def read(self, request: Request, path_params: Mapping[str, str], found: dict[str, Any]) -> None:
        for label, name, convert in self._labels:
            if label in path_params:
                found[name] = convert(path_params[label])
        headers = request.headers
        if self._headers:
            for key, text in headers.items():
                bound = self._headers.get(key)
                if bound is not None:
                    name, convert = bound
                    found[name] = convert(text)
        for prefix, name in self._header_maps:
            matching = {key[len(prefix) :]: _utf8(text) for key, text in headers.items() if key.startswith(prefix)}
            if matching:
                found[name] = matching
        if request.query and (self._query or self._query_map):
            self._read_query(request.query, found)

    def _read_query(self, text: str, found: dict[str, Any]) -> None:
        pairs = parse_form(text)
        for key, value in pairs:
            bound = self._query.get(key)
            if bound is None:
                continue
            name, convert, many = bound
            if many:
                found.setdefault(name, []).append(convert(value))
            else:
                found[name] = convert(value)
        if self._query_map is not None and pairs:
            everything: dict[str, list[str]] = {}  # the named ones too, as Smithy has servers do
            for key, value in pairs:
                everything.setdefault(key, []).append(value)
            many = self._query_map.shape.value.shape.type == "list"
            found[self._query_map.name] = everything if many else {key: each[0] for key, each in everything.items()}

    def _scalar(self, use: Member) -> Callable[[str], Any]:
        convert = text_reader(use.shape.type)
        if convert is None:
            return _same
        name, malformed = use.name, self._malformed

        def read(text: str) -> Any:
            try:
                return convert(text)
            except ValueError as error:
                raise malformed(f"{name}: {error}") from None

        return read

    def _header(self, use: Member) -> Callable[[str], Any]:
        if use.jsonvalue:
            return self._json_header(use.name)
        if use.shape.type != "list":
            return self._scalar(use)
        element = use.shape.member
        convert = self._scalar(element)
        if element.shape.type == "timestamp" and element.timestamp_format in (None, "rfc822"):
            return lambda text: [convert(item) for item in _HTTP_DATES.findall(text)]
        return lambda text: [convert(item) for item in split_list(text)]

    def _json_header(self, name: str) -> Callable[[str], Any]:
        def read(text: str) -> Any:
            try:
                return orjson.loads(base64.b64decode(text, validate=True))
            except (binascii.Error, ValueError):
                raise self._malformed(f"{name} must be base64 of JSON.") from None

        return read


def _same(text: str) -> str:
    return text


def _utf8(text: str) -> str:
    """Header bytes read as latin-1, if they are UTF-8 after all."""
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text


def split_list(text: str) -> list[str]:
    """The values of a comma-separated header; quoted ones may hold commas and escaped quotes."""
    found, position = [], 0
    while position < len(text):
        item = _LIST_ITEM.match(text, position)
        if item is None or item.end() == position:
            break
        quoted, plain = item.groups()
        found.append(re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain.strip())
        position = item.end()
    return found


def header_value(text: str) -> bytes:
    """A header's value without anything that could end it: control characters become a space."""
    return (text if text.isprintable() else _CONTROL.sub(" ", text)).encode()


class ResponseBindings:
    """Writes an output's header and status members."""

    def __init__(self, shape: Shape) -> None:
        self.writers: dict[str, WriteInto] = {}
        self.status_member: str | None = None
        for name, use in shape.members.items():
            if use.location == "header":
                self.writers[name] = _header_writer(use)
            elif use.location == "headers":
                self.writers[name] = _header_map_writer(use)
            elif use.location == "statusCode":
                self.status_member = name


def _header_writer(use: Member) -> WriteInto:
    key = use.key.lower().encode()
    convert = _header_text(use)

    def write(value: Any, headers: list[tuple[bytes, bytes]]) -> None:
        headers.append((key, header_value(convert(value))))

    def write_text(value: Any, headers: list[tuple[bytes, bytes]]) -> None:
        headers.append((key, header_value(value if type(value) is str else str(value))))

    return write_text if convert is str else write


def _header_text(use: Member) -> Callable[[Any], str]:
    shape = use.shape
    if use.jsonvalue:
        return lambda value: base64.b64encode(orjson.dumps(value)).decode()
    if shape.type == "timestamp":
        return http_date if use.timestamp_format is None else text_writer("timestamp", use.timestamp_format)
    if shape.type == "list":
        convert = _header_text(shape.member)
        quote = shape.member.shape.type == "string"
        return lambda value: ", ".join(_quoted(convert(item)) if quote else convert(item) for item in value)
    return text_writer(shape.type, "iso8601")


def _quoted(text: str) -> str:
    if "," in text or '"' in text:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text


def _header_map_writer(use: Member) -> WriteInto:
    prefix = (use.wire_name or "").lower()

    def write(value: Any, headers: list[tuple[bytes, bytes]]) -> None:
        if not isinstance(value, Mapping):
            raise OutputError(f"{use.name} must be a map of headers")
        headers.extend((header_value((prefix + key).lower()), header_value(item)) for key, item in value.items())

    return write

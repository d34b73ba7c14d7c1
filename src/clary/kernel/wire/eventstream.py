"""`application/vnd.amazon.eventstream`: framed messages with typed headers and two checksums.

A handler gives an output event stream as an iterable or async iterable of one-member dicts, as botocore yields them:
`{"PayloadPart": {"Bytes": b"..."}}`. An AwsError raised while it is iterated becomes the stream's last message, and so
does, as an InternalFailure, any other fault. Whether or not it comes to its end, a generator is closed.

A message is: total length, header length (4 bytes each), CRC of those, headers, payload, CRC of everything before.
"""

import asyncio
import logging
import struct
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from clary.kernel.core.errors import AwsError
from clary.kernel.wire.messages import OutputError, Response
from clary.kernel.wire.models import Member, Operation, Shape
from clary.kernel.wire.scalars import as_bytes, epoch

_log = logging.getLogger("clary.wire")

CONTENT_TYPE = b"application/vnd.amazon.eventstream"
MAX_MESSAGE = 24 * 1024 * 1024
MAX_HEADERS = 128 * 1024

HeaderValue = bool | int | bytes | str | datetime | UUID
WriteStructure = Callable[[Member], Callable[[Any], bytes]]

_PRELUDE = struct.Struct(">III")
_CRC = struct.Struct(">I")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBERS = {2: struct.Struct(">b"), 3: struct.Struct(">h"), 4: struct.Struct(">i"), 5: struct.Struct(">q")}
_INSTANT = _NUMBERS[5]  # milliseconds


@dataclass(slots=True)
class Message:
    """One message. Integer headers are written as 4 or 8 bytes, whichever holds them."""

    headers: dict[str, HeaderValue] = field(default_factory=dict)
    payload: bytes = b""


def encode(message: Message) -> bytes:
    """The message as it travels."""
    headers = b"".join(_encode_header(name, value) for name, value in message.headers.items())
    total = len(headers) + len(message.payload) + 16
    prelude = struct.pack(">II", total, len(headers))
    framed = b"".join((prelude, _CRC.pack(zlib.crc32(prelude)), headers, message.payload))
    return framed + _CRC.pack(zlib.crc32(framed))


def _encode_header(name: str, value: HeaderValue) -> bytes:
    encoded = name.encode()
    start = bytes((len(encoded),)) + encoded
    if isinstance(value, bool):
        return start + (b"\x00" if value else b"\x01")
    if isinstance(value, int):
        kind = 4 if -(2**31) <= value < 2**31 else 5
        return start + bytes((kind,)) + _NUMBERS[kind].pack(value)
    if isinstance(value, datetime):
        return start + b"\x08" + _INSTANT.pack(round(epoch(value) * 1000))
    if isinstance(value, UUID):
        return start + b"\x09" + value.bytes
    kind, data = (6, value) if isinstance(value, bytes) else (7, value.encode())
    return start + bytes((kind,)) + struct.pack(">H", len(data)) + data


class Decoder:
    """Takes bytes as they come, gives the messages they complete. Raises ValueError at the first that is not one."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        self._buffer += data
        while len(self._buffer) >= _PRELUDE.size:
            total, header_length, checksum = _PRELUDE.unpack_from(self._buffer)
            if zlib.crc32(self._buffer[:8]) != checksum:
                raise ValueError("the checksum of a message's prelude does not match")
            if not 16 + header_length <= total <= MAX_MESSAGE or header_length > MAX_HEADERS:
                raise ValueError("a message's lengths are out of range")
            if len(self._buffer) < total:
                return
            frame = bytes(self._buffer[:total])
            del self._buffer[:total]
            if zlib.crc32(frame[:-4]) != _CRC.unpack_from(frame, total - 4)[0]:
                raise ValueError("the checksum of a message does not match")
            body = _PRELUDE.size + header_length
            yield Message(_decode_headers(frame[_PRELUDE.size : body]), frame[body:-4])

    @property
    def waiting(self) -> int:
        """Bytes of a message that has not arrived whole."""
        return len(self._buffer)


def _decode_headers(data: bytes) -> dict[str, HeaderValue]:
    headers: dict[str, HeaderValue] = {}
    position = 0
    try:
        while position < len(data):
            length = data[position]
            name = data[position + 1 : position + 1 + length].decode()
            position += 1 + length
            headers[name], position = _decode_value(data, position)
    except (IndexError, struct.error, UnicodeDecodeError, OverflowError):
        raise ValueError("a message's headers are malformed") from None
    return headers


def _decode_value(data: bytes, position: int) -> tuple[HeaderValue, int]:
    kind, position = data[position], position + 1
    if kind in (0, 1):
        return kind == 0, position
    if kind in _NUMBERS:
        number = _NUMBERS[kind]
        return number.unpack_from(data, position)[0], position + number.size
    if kind == 8:
        (millis,) = _INSTANT.unpack_from(data, position)
        return _EPOCH + timedelta(milliseconds=millis), position + 8
    length = 16
    if kind in (6, 7):
        (length,) = struct.unpack_from(">H", data, position)
        position += 2
    value, end = data[position : position + length], position + length
    if end > len(data) or kind not in (6, 7, 9):
        raise IndexError
    return (value if kind == 6 else value.decode() if kind == 7 else UUID(bytes=value)), end


class EventWriter:
    """Writes the events of one operation's stream, compiled from its shapes for one protocol."""

    def __init__(self, stream: Shape, write_structure: WriteStructure, content_type: str) -> None:
        self._events = {
            name: _compile_event(use, write_structure, content_type) for name, use in stream.members.items()
        }

    def event(self, event: Mapping[str, Any]) -> bytes:
        """The frame of `{name: members}`."""
        if len(event) != 1:
            raise OutputError(f"an event must have one member, not {sorted(event)}")
        ((name, value),) = event.items()
        if name not in self._events:
            raise OutputError(f"the stream has no event {name!r}")
        return encode(self._events[name](value or {}))

    def error(self, error: AwsError) -> bytes:
        """The frame that ends a stream: a modelled exception, or else a plain error."""
        if error.code in self._events:
            return encode(self._events[error.code]({"message": error.message, **error.members}))
        return encode(Message({":message-type": "error", ":error-code": error.code, ":error-message": error.message}))


def _compile_event(
    use: Member, write_structure: WriteStructure, content_type: str
) -> Callable[[Mapping[str, Any]], Message]:
    shape, name = use.shape, use.name
    kind = "exception" if shape.exception else "event"
    fixed: dict[str, HeaderValue] = {":message-type": kind, f":{kind}-type": name}
    in_headers = {member.name: _header(member) for member in shape.members.values() if member.event_header}
    payload = next((member for member in shape.members.values() if member.event_payload), None)
    message_name = next((key for key in shape.members if key.lower() == "message"), None)
    if payload is None:
        write, content = write_structure(use), content_type
    elif payload.shape.type == "blob":
        write, content = as_bytes, "application/octet-stream"
    elif payload.shape.type == "string":
        write, content = str.encode, "text/plain"
    else:
        write, content = write_structure(payload), content_type

    def build(value: Mapping[str, Any]) -> Message:
        headers = dict(fixed)
        if payload is not None:
            body = value.get(payload.name)
        else:
            body = {key: item for key, item in value.items() if key not in in_headers}
            if kind == "exception" and message_name and "message" in body:
                body[message_name] = body.pop("message")
        headers.update((key, convert(value[key])) for key, convert in in_headers.items() if value.get(key) is not None)
        if body is None:
            return Message(headers)
        headers[":content-type"] = content
        return Message(headers, write(body))

    return build


def _header(member: Member) -> Callable[[Any], HeaderValue]:
    """An event's header in the type its member has."""
    if member.shape.type == "timestamp":
        return lambda value: _EPOCH + timedelta(seconds=epoch(value))
    if member.shape.type == "blob":
        return as_bytes
    return {"integer": int, "long": int, "boolean": bool}.get(member.shape.type, str)


def respond(
    operation: Operation,
    output: Mapping[str, Any],
    headers: list[tuple[bytes, bytes]],
    writer: EventWriter,
    initial: tuple[bytes, str] | None,
    request_id: str,
) -> Response:
    """The answer of an operation with an event stream; `initial` is the body and type of its initial-response."""
    if operation.event_stream is None or output.get(operation.event_stream.name) is None:
        raise OutputError(f"{operation.name} needs its event stream")
    events = output[operation.event_stream.name]
    return Response(200, [(b"content-type", CONTENT_TYPE), *headers], _frames(events, writer, initial, request_id))


async def _frames(
    events: Any, writer: EventWriter, initial: tuple[bytes, str] | None, request_id: str
) -> AsyncGenerator[bytes, None]:
    """The frames of a stream, of which the last says what went wrong if something did. `events` are always closed."""
    if initial is not None:
        payload, content_type = initial
        yield encode(
            Message(
                {":message-type": "event", ":event-type": "initial-response", ":content-type": content_type}, payload
            )
        )
    source = _each(events)
    try:
        async for event in source:
            yield writer.event(event)
    except AwsError as error:
        yield writer.error(error)
    except Exception:  # noqa: BLE001 - the answer has begun: the client is told in the stream, the log has the traceback
        _log.exception("the event stream of request %s failed", request_id)
        message = f"Clary met a fault of its own. The log has the details under {request_id}."
        yield writer.error(AwsError("InternalFailure", message, status=500))
    finally:
        if isinstance(source, AsyncGenerator):
            await source.aclose()


def _each(events: Any) -> AsyncIterator[Mapping[str, Any]]:
    return events if hasattr(events, "__aiter__") else _in_thread(events)


async def _in_thread(events: Iterable[Mapping[str, Any]]) -> AsyncGenerator[Mapping[str, Any], None]:
    """The events of an iterable that may block while it makes the next, unless they are all there."""
    if isinstance(events, Sequence):
        for event in events:
            yield event
        return
    iterator = iter(events)
    try:
        while (made := await asyncio.to_thread(next, iterator, None)) is not None:
            yield made
    finally:
        if isinstance(iterator, Generator):
            iterator.close()

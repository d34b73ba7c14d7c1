"""The protobuf wire format, as much of it as SageMaker's `Record` message needs; no generated code."""

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class Malformed(ValueError):
    """The bytes are not a protobuf message."""


def fields(message: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """(field number, wire type, value) one after another: an int for VARINT, else the raw bytes. Raises Malformed."""
    position, end = 0, len(message)
    while position < end:
        key, position = varint(message, position)
        number, wire_type = key >> 3, key & 7
        if number == 0:
            raise Malformed("field number 0")
        if wire_type == VARINT:
            value, position = varint(message, position)
            yield number, wire_type, value
            continue
        if wire_type == BYTES:
            length, position = varint(message, position)
        elif wire_type in (FIXED32, FIXED64):
            length = 4 if wire_type == FIXED32 else 8
        else:
            raise Malformed(f"wire type {wire_type}")
        if position + length > end:
            raise Malformed("a field is longer than its message")
        yield number, wire_type, message[position : position + length]
        position += length


def varint(message: memoryview, position: int) -> tuple[int, int]:
    """The base-128 integer at `position`, and the position after it. Raises Malformed."""
    value = shift = 0
    while True:
        if position >= len(message) or shift > 63:
            raise Malformed("an integer is cut off")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def encode_varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def encode_bytes(number: int, payload: bytes) -> bytes:
    """A length-delimited field."""
    return encode_varint(number << 3 | BYTES) + encode_varint(len(payload)) + payload

"""Records that hold several: JSON values behind each other, delimited ones, those of the Kinesis Producer Library.

The library's format is public: four bytes, a protocol buffer `AggregatedRecord` (field 3 repeats records, whose field 3
is their data), and the MD5 digest of that.
"""

import hashlib
import json
from collections.abc import Iterator

_KPL_BEGIN = b"\xf3\x89\x9a\xc2"
_DIGEST_BYTES = 16
_RECORDS_FIELD = _DATA_FIELD = 3
_BYTES_WIRE, _VARINT_WIRE = 2, 0
_SPACE = " \t\r\n"
_decoder = json.JSONDecoder()


def json_values(data: bytes) -> list[bytes]:
    """The objects and arrays that follow each other, as they were written. Raises ValueError for anything else."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8: {error}") from None
    found: list[bytes] = []
    position, length = 0, len(text)
    while True:
        while position < length and text[position] in _SPACE:
            position += 1
        if position == length:
            return found
        if text[position] not in "{[":
            raise ValueError(f"there is no JSON object at character {position}")
        try:
            _, end = _decoder.raw_decode(text, position)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        found.append(text[position:end].encode())
        position = end


def delimited(data: bytes, delimiter: bytes) -> list[bytes]:
    """What is between delimiters; nothing for empty parts."""
    return [part for part in data.split(delimiter) if part]


def producer_records(data: bytes) -> list[bytes]:
    """The user records of an aggregated record; the record itself when it is none."""
    if not data.startswith(_KPL_BEGIN) or len(data) < len(_KPL_BEGIN) + _DIGEST_BYTES:
        return [data]
    message, digest = data[len(_KPL_BEGIN) : -_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if hashlib.md5(message, usedforsecurity=False).digest() != digest:
        return [data]
    try:
        return [_data_of(value) for number, value in _fields(message) if number == _RECORDS_FIELD]
    except ValueError:
        return [data]


def _data_of(record: bytes) -> bytes:
    return next((value for number, value in _fields(record) if number == _DATA_FIELD), b"")


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The numbers and values of a message's byte fields. Raises ValueError for what is no message of these."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        number, wire = tag >> 3, tag & 7
        size, position = _varint(message, position)
        if wire == _VARINT_WIRE:
            continue
        if wire != _BYTES_WIRE or position + size > len(message):
            raise ValueError("it is cut short, or of another format")
        yield number, message[position : position + size]
        position += size


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(message) and shift < 64:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise ValueError("a number is cut short")

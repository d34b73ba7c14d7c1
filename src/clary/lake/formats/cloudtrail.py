"""CloudTrail's log files: each is one document of JSON, and its `Records` are the rows."""

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from clary.lake.formats.compression import chunks
from clary.lake.formats.parts import BytesRead, Part

_LARGEST = 256 << 20
_AT_ONCE = 2_000
_SPACE = " \t\r\n"


def records_of(part: Part, read: BytesRead) -> Iterator[tuple[int, Any]]:
    """The number of a file and an array of some of its records, as they are written there, for all files of a part."""
    for number, file in zip(part.numbers, part.files, strict=True):
        try:
            records = list(_records(_text(chunks(file.path, file.uri, read))))
        except (ValueError, RecursionError) as error:
            raise read.failed("HIVE_CURSOR_ERROR", f"Failed to read file {file.uri}: {error}") from None
        for start in range(0, len(records), _AT_ONCE):
            yield number, pa.array(records[start : start + _AT_ONCE], pa.string())


def _text(pieces: Iterator[bytes]) -> str:
    found = bytearray()
    for piece in pieces:
        found += piece
        if len(found) > _LARGEST:
            raise ValueError(f"a document of CloudTrail is larger than {_LARGEST >> 20} MiB")
    return found.decode(errors="replace")


def _records(text: str) -> Iterator[str]:
    """The members of `Records`, cut out of the text. What else the document has is passed over."""
    decode = json.JSONDecoder().raw_decode
    at = _after(text, _next(text, 0), "{")
    while text[at : at + 1] != "}":
        name, at = decode(text, at)
        at = _after(text, _next(text, at), ":")
        if name == "Records" and text[at : at + 1] == "[":
            at = _next(text, at + 1)
            while text[at : at + 1] != "]":
                _, end = decode(text, at)
                yield text[at:end]
                at = _separated(text, end, "]")
            at = _separated(text, at + 1, "}")
        else:
            _, end = decode(text, at)
            at = _separated(text, end, "}")


def _separated(text: str, at: int, closing: str) -> int:
    """Where the next member begins, or the sign that closes them stands."""
    at = _next(text, at)
    return at if text[at : at + 1] == closing else _after(text, at, ",")


def _after(text: str, at: int, sign: str) -> int:
    if text[at : at + 1] != sign:
        raise ValueError(f"expected {sign!r} at the character {at} of a document of CloudTrail")
    return _next(text, at + 1)


def _next(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at

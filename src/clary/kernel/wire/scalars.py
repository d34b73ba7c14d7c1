"""Scalars between text, numbers and Python: timestamps in AWS's three formats, booleans, integers, floats, blobs.

Readers raise ValueError with what was wrong; the codec that called them says where.
"""

import binascii
import math
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

import pybase64

# What datetime can hold: the years 1 to 9999
_EARLIEST, _LATEST = -62135596800, 253402300799
_INTEGER = re.compile(r"[+-]?[0-9]{1,40}")
_FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_DIGITS = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_SPECIAL_FLOATS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

Timestamp = int | float | datetime


def epoch(value: Timestamp) -> float:
    """Epoch seconds of what a handler may give for a timestamp."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"a timestamp must be epoch seconds or a datetime, not {type(value).__name__}")
    return value


def in_range(seconds: float) -> float:
    """`seconds` as float, if a calendar can name it."""
    if not _EARLIEST <= seconds <= _LATEST:  # false for NaN too
        raise ValueError(f"{seconds} is not a time between the years 1 and 9999")
    return float(seconds)


def read_timestamp(text: str) -> float:
    """Epoch seconds of an ISO 8601 date and time, an RFC 822 date, or a number, as AWS's own servers accept."""
    text = text.strip()
    if _DIGITS.fullmatch(text):
        return in_range(float(text))
    try:
        moment = datetime.fromisoformat(text) if text[:4].isdigit() else parsedate_to_datetime(text)
        return in_range(epoch(moment))
    except (ValueError, TypeError, OverflowError, IndexError):
        raise ValueError(f"{text[:64]!r} is not a timestamp") from None


@lru_cache(maxsize=8192)  # a listing asks for the same ones again and again
def iso8601_millis(value: Timestamp) -> str:
    """`2024-05-01T12:00:00.000Z`: S3 always writes the milliseconds."""
    second, millis = divmod(round(epoch(value) * 1000), 1000)
    year, month, day, hour, minute, sec = time.gmtime(second)[:6]
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{sec:02d}.{millis:03d}Z"


def iso8601(value: Timestamp) -> str:
    """`2024-05-01T12:00:00Z`, with milliseconds where there are any."""
    text = iso8601_millis(value)
    return text.replace(".000Z", "Z")


def http_date(value: Timestamp) -> str:
    """`Wed, 01 May 2024 12:00:00 GMT`."""
    return formatdate(int(epoch(value)), usegmt=True)


def unix_number(value: Timestamp) -> float:
    """Epoch seconds as the JSON protocols write them."""
    return value if type(value) is float or type(value) is int else epoch(value)


def unix_text(value: Timestamp) -> str:
    seconds = unix_number(value)
    return str(int(seconds) if seconds == int(seconds) else seconds)


TIMESTAMP_WRITERS: dict[str, Callable[[Timestamp], str]] = {
    "iso8601": iso8601,
    "rfc822": http_date,
    "unixTimestamp": unix_text,
}


def unquote(text: str) -> str:
    """Percent-decoded text of a request line or form, which is latin-1 that must turn out to be UTF-8.

    Raises UnicodeError where it does not.
    """
    if "%" not in text and text.isascii():
        return text
    return unquote_to_bytes(text.encode("latin-1")).decode()


def read_boolean(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered in ("true", "false"):
        return lowered == "true"
    raise ValueError(f"{text[:64]!r} is not true or false")


def read_integer(text: str) -> int:
    text = text.strip()
    if not _INTEGER.fullmatch(text):
        raise ValueError(f"{text[:64]!r} is not an integer")
    return int(text)


def read_float(text: str) -> float:
    text = text.strip()
    if text in _SPECIAL_FLOATS:
        return _SPECIAL_FLOATS[text]
    if not _FLOAT.fullmatch(text):
        raise ValueError(f"{text[:64]!r} is not a number")
    return float(text)


def read_base64(text: str) -> bytes:
    try:
        return pybase64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a blob must be base64") from None


def as_bytes(value: bytes | str) -> bytes:
    """A blob as handlers may give it: text stands for its UTF-8."""
    return value.encode() if isinstance(value, str) else value


def base64_text(value: bytes | str) -> str:
    return pybase64.b64encode_as_string(value if type(value) is bytes else as_bytes(value))


def float_text(value: float) -> str:
    if math.isfinite(value):
        return str(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def boolean_text(value: Any) -> str:
    return "true" if value else "false"


def text_reader(type_: str) -> Callable[[str], Any] | None:
    """How to read a scalar of `type_` from text; None when the text itself is the value."""
    return _TEXT_READERS.get(type_)


def text_writer(type_: str, timestamp_format: str) -> Callable[[Any], str]:
    """How to write a scalar of `type_` as text; timestamps in `timestamp_format`."""
    if type_ == "timestamp":
        return TIMESTAMP_WRITERS[timestamp_format]
    return _TEXT_WRITERS.get(type_, str)


_TEXT_READERS: dict[str, Callable[[str], Any]] = {
    "boolean": read_boolean,
    "integer": read_integer,
    "long": read_integer,
    "float": read_float,
    "double": read_float,
    "timestamp": read_timestamp,
    "blob": read_base64,
}
_TEXT_WRITERS: dict[str, Callable[[Any], str]] = {
    "boolean": boolean_text,
    "float": float_text,
    "double": float_text,
    "blob": base64_text,
}

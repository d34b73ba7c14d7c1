"""Default input and output of user models: bytes to arrays and back, by content type."""

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from clary.runtime.formats import content_types
from clary.runtime.formats.decode import decode_table
from clary.runtime.formats.table import FormatError
from clary.runtime.inference.contract import Refused

NAME = "the request body"


def decode(body: bytes, content_type: str) -> Any:
    """The body as a numpy array, or a scipy matrix when sparse. Raises Refused (415) or FormatError."""
    canonical = content_types.canonical(content_type)
    if canonical in (content_types.CSV, content_types.LIBSVM, content_types.PARQUET, content_types.RECORDIO):
        return decode_table(canonical, body, labelled=False).features
    if canonical in DECODERS:
        return DECODERS[canonical](body)
    raise Refused(415, f"ContentType {content_type!r} is not supported; use one of {', '.join(content_types.ALL)}")


def encode(value: Any, accept: str) -> tuple[bytes, str]:
    """The prediction in the first type of `accept` that is known (JSON when there is none), and that type.

    Raises Refused (406). Bytes and text pass as they are.
    """
    wanted = [part.partition(";")[0].strip() for part in accept.split(",") if part.strip()]
    if isinstance(value, bytes | str):
        return (value if isinstance(value, bytes) else value.encode()), (
            wanted[0] if wanted and "*" not in wanted[0] else "text/plain"
        )
    for name in wanted or [content_types.JSON]:
        canonical = content_types.JSON if name in ("*/*", "application/*") else content_types.canonical(name)
        if canonical in ENCODERS:
            return ENCODERS[canonical](value), canonical
    raise Refused(406, f"Accept {accept!r} is not supported; use one of {', '.join(ENCODERS)}")


def _decode_json(body: bytes) -> Any:
    """An array from `[[1, 2], ...]`, `{"instances": [...]}` (lists, or objects with features), `{"inputs": ...}`."""
    try:
        value = json.loads(body)
    except ValueError as error:
        raise FormatError(f"{NAME} is not JSON: {error}") from None
    return _array(_rows(value))


def _decode_jsonlines(body: bytes) -> Any:
    rows = []
    for number, text in enumerate(body.splitlines(), start=1):
        if text.strip():
            try:
                rows.append(_features(json.loads(text)))
            except ValueError as error:
                raise FormatError(f"{NAME}, line {number}: not JSON: {error}") from None
    if not rows:
        raise FormatError(f"{NAME} is empty: expected a JSON value in each line")
    return _array(rows)


def _rows(value: Any) -> Any:
    if isinstance(value, dict):
        for key in ("instances", "inputs"):
            if key in value:
                rows = value[key]
                return [_features(row) for row in rows] if isinstance(rows, list) else rows
        return _features(value)
    return value


def _features(row: Any) -> Any:
    """A row as SageMaker spells it: a list, {"features": [...]}, or {"data": {"features": {"values": [...]}}}."""
    while isinstance(row, dict):
        key = next((key for key in ("features", "values", "data", "instance") if key in row), None)
        if key is None:
            return row
        row = row[key]
    return row


def _array(value: Any) -> Any:
    """A numeric array, or the value itself when it is not one (objects and texts are for the user's own code)."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise FormatError(f"{NAME}: the rows are not of one length: {error}") from None
    return array if array.dtype.kind in "biuf" else value


def _decode_npy(body: bytes) -> Any:
    try:
        return np.load(io.BytesIO(body), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise FormatError(f"{NAME} is not an npy array: {error}") from None


def _encode_json(value: Any) -> bytes:
    return json.dumps(plain(value)).encode()


def _encode_jsonlines(value: Any) -> bytes:
    rows = plain(value)
    return "".join(json.dumps(row) + "\n" for row in (rows if isinstance(rows, list) else [rows])).encode()


def _encode_csv(value: Any) -> bytes:
    rows = plain(value)
    lines = rows if isinstance(rows, list) else [rows]
    return "".join(",".join(map(str, row if isinstance(row, list) else [row])) + "\n" for row in lines).encode()


def _encode_npy(value: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(value), allow_pickle=False)
    return buffer.getvalue()


def plain(value: Any) -> Any:
    """`value` as JSON can hold it: arrays, numpy scalars and data frames become lists, numbers and row objects."""
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        return value.to_dict(orient="records")
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


DECODERS: dict[str, Callable[[bytes], Any]] = {
    content_types.JSON: _decode_json,
    content_types.JSONLINES: _decode_jsonlines,
    content_types.NPY: _decode_npy,
}
ENCODERS: dict[str, Callable[[Any], bytes]] = {
    content_types.JSON: _encode_json,
    content_types.JSONLINES: _encode_jsonlines,
    content_types.CSV: _encode_csv,
    content_types.NPY: _encode_npy,
}

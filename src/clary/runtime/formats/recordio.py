"""application/x-recordio-protobuf: RecordIO frames, each a `Record` of SageMaker's AIAlgorithmProtobuf schema.

frame:   magic 0xCED7230A (uint32), length (uint32), payload, zero padding to 4 bytes; all little-endian.
         The top 3 bits of the length say whether the payload is whole (0), begins (1), goes on (2) or ends (3) here.
Record:  features = 1, label = 2: map<string, Value>;  uid = 3;  metadata = 4;  configuration = 5
Value:   float32_tensor = 2, float64_tensor = 3, int32_tensor = 7, bytes = 9
*Tensor: values = 1 (packed), keys = 2 (packed uint64, for sparse), shape = 3 (packed uint64)
"""

import math
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from clary.runtime.formats import protobuf
from clary.runtime.formats.protobuf import BYTES, FIXED32, FIXED64, VARINT, Malformed
from clary.runtime.formats.table import FormatError, Table

MAGIC = 0xCED7230A
HEADER = struct.Struct("<II")
LENGTH_BITS = 29
DTYPES: dict[int, np.dtype[Any]] = {2: np.dtype("<f4"), 3: np.dtype("<f8"), 7: np.dtype("<i4")}
DEFAULT_KEY = "values"
WIDEST = 2**31

_MAGIC_BYTES = MAGIC.to_bytes(4, "little")
_MAP_ENTRIES = (b"\x0a", b"\x12")  # how a Record begins that has no frame: with its features or its label


@dataclass(frozen=True)
class Tensor:
    """One value of a record. `keys` are the indices of a sparse one, `shape` its full size."""

    values: npt.NDArray[Any]
    keys: npt.NDArray[np.uint64] | None = None
    shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class Record:
    features: Mapping[str, Tensor]
    label: Mapping[str, Tensor]


def decode_records(data: bytes, name: str = "the request body") -> Table:
    """All records as one table; sparse when any record is. Raises FormatError naming `name` and the record.

    One record may come without a frame, as batch transform sends single records.
    """
    records = []
    try:
        for payload in [memoryview(data)] if data[:1] in _MAP_ENTRIES and data[:4] != _MAGIC_BYTES else frames(data):
            records.append(parse_record(payload))  # noqa: PERF401 - the count so far goes into the message
    except Malformed as error:
        raise FormatError(f"{name}, record {len(records) + 1}: not recordio-protobuf: {error}") from None
    if not records:
        raise FormatError(f"{name} is empty: expected recordio-protobuf records")
    tensors = [_one(record.features, name, number, "features") for number, record in enumerate(records, start=1)]
    labels = None
    if records[0].label:
        scalars = [_one(record.label, name, number, "label") for number, record in enumerate(records, start=1)]
        if any(label.values.size != 1 for label in scalars):
            number = next(number for number, label in enumerate(scalars, start=1) if label.values.size != 1)
            raise FormatError(f"{name}, record {number}: the label must be one number")
        labels = np.array([label.values[0] for label in scalars], dtype=np.float32)
    if any(tensor.keys is not None for tensor in tensors):
        return Table(_sparse(tensors, name), labels)
    return Table(_dense(tensors, name), labels)


def frames(data: bytes) -> Iterator[memoryview]:
    """The payloads of a RecordIO stream. Raises Malformed."""
    view = memoryview(data)
    position = 0
    parts: list[memoryview] = []
    while position < len(view):
        if position + HEADER.size > len(view):
            raise Malformed("the stream ends inside a record's header")
        magic, word = HEADER.unpack_from(view, position)
        if magic != MAGIC:
            raise Malformed(f"the record begins with 0x{magic:08X} instead of 0x{MAGIC:08X}")
        flag, length = word >> LENGTH_BITS, word & ((1 << LENGTH_BITS) - 1)
        start = position + HEADER.size
        if start + length > len(view):
            raise Malformed("the stream ends inside a record")
        payload = view[start : start + length]
        position = start + (length + 3 & ~3)
        if flag == 0:
            yield payload
            continue
        parts.append(payload)
        if flag == 3:
            # Where a part was cut, the writer took out four bytes that looked like a magic number.
            yield memoryview(struct.pack("<I", MAGIC).join(parts))
            parts = []


def frame(payload: bytes) -> bytes:
    """One RecordIO record."""
    return HEADER.pack(MAGIC, len(payload)) + payload + b"\0" * (-len(payload) % 4)


def parse_record(payload: memoryview) -> Record:
    features: dict[str, Tensor] = {}
    label: dict[str, Tensor] = {}
    for number, wire_type, value in protobuf.fields(payload):
        if number in (1, 2) and wire_type == BYTES:
            key, tensor = _entry(_view(value))
            (features if number == 1 else label)[key] = tensor
    return Record(features, label)


def _entry(message: memoryview) -> tuple[str, Tensor]:
    """One entry of a map<string, Value>."""
    key, tensor = "", Tensor(np.empty(0, dtype=np.float32))
    for number, _, value in protobuf.fields(message):
        if number == 1:
            key = bytes(_view(value)).decode("utf-8", "replace")
        elif number == 2:
            tensor = _value(_view(value))
    return key, tensor


def _value(message: memoryview) -> Tensor:
    for number, _, value in protobuf.fields(message):
        if number in DTYPES:
            return _tensor(_view(value), DTYPES[number])
        if number == 9:
            raise Malformed("bytes (images, for instance) are not numbers")
    return Tensor(np.empty(0, dtype=np.float32))


def _tensor(message: memoryview, dtype: np.dtype[Any]) -> Tensor:
    values: list[npt.NDArray[Any]] = []
    keys: list[int] = []
    shape: list[int] = []
    for number, wire_type, value in protobuf.fields(message):
        if number == 1:
            values.append(_numbers(wire_type, value, dtype))
        elif number in (2, 3):
            (keys if number == 2 else shape).extend(_varints(wire_type, value))
    joined = np.concatenate(values) if values else np.empty(0, dtype=dtype)
    sparse = np.array(keys, dtype=np.uint64) if keys else None
    if sparse is not None and len(sparse) != len(joined):
        raise Malformed(f"{len(sparse)} keys for {len(joined)} values")
    # A sparse record of zeros alone has neither keys nor values, only its shape.
    if sparse is None and not len(joined) and shape:
        sparse = np.empty(0, dtype=np.uint64)
    return Tensor(joined, sparse, tuple(shape))


def _numbers(wire_type: int, value: int | memoryview, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Packed or single values of a tensor."""
    if dtype.kind == "i":
        unsigned = np.array(_varints(wire_type, value), dtype=np.uint64)
        return unsigned.astype(np.int64).astype(np.int32)
    if wire_type not in (BYTES, FIXED32, FIXED64):
        raise Malformed("values of another type than the tensor's")
    raw = _view(value)
    if len(raw) % dtype.itemsize:
        raise Malformed("values are cut off")
    return np.frombuffer(raw, dtype=dtype)


def _varints(wire_type: int, value: int | memoryview) -> list[int]:
    if wire_type == VARINT and isinstance(value, int):
        return [value]
    packed = _view(value)
    found, position = [], 0
    while position < len(packed):
        number, position = protobuf.varint(packed, position)
        found.append(number)
    return found


def _view(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise Malformed("a number where bytes belong")
    return value


def _one(tensors: Mapping[str, Tensor], name: str, number: int, what: str) -> Tensor:
    """The tensor under `values`, or the only one."""
    if DEFAULT_KEY in tensors:
        return tensors[DEFAULT_KEY]
    if len(tensors) == 1:
        return next(iter(tensors.values()))
    held = ", ".join(sorted(tensors)) or "none"
    raise FormatError(f"{name}, record {number}: expected {what} under the key {DEFAULT_KEY!r}; there are: {held}")


def _dense(tensors: list[Tensor], name: str) -> npt.NDArray[np.float32]:
    width = len(tensors[0].values)
    for number, tensor in enumerate(tensors, start=1):
        if len(tensor.values) != width:
            raise FormatError(f"{name}, record {number}: has {len(tensor.values)} features where the first has {width}")
    return np.stack([tensor.values for tensor in tensors]).astype(np.float32)


def _sparse(tensors: list[Tensor], name: str) -> Any:
    import scipy.sparse

    width = 0
    for number, tensor in enumerate(tensors, start=1):
        if tensor.keys is None:
            raise FormatError(f"{name}, record {number}: is dense among sparse records")
        largest = int(tensor.keys.max()) + 1 if len(tensor.keys) else 0
        width = max(width, largest, math.prod(tensor.shape) if tensor.shape else 0)
        if width >= WIDEST:
            raise FormatError(f"{name}, record {number}: has {width} features, more than {WIDEST}")
    indices = np.concatenate([tensor.keys for tensor in tensors if tensor.keys is not None]).astype(np.int32)
    values = np.concatenate([tensor.values for tensor in tensors]).astype(np.float32)
    starts = np.concatenate(([0], np.cumsum([len(tensor.values) for tensor in tensors])))
    return scipy.sparse.csr_matrix((values, indices, starts), shape=(len(tensors), width))


def encode_table(features: Any, labels: npt.NDArray[Any] | None = None) -> bytes:
    """Records of a matrix's rows: dense tensors of its own type, or sparse ones for a scipy matrix."""
    if isinstance(features, np.ndarray):
        tensors: Iterable[Tensor] = (Tensor(row) for row in features)
    else:
        rows = features.tocsr()
        tensors = (
            Tensor(rows.data[start:end], rows.indices[start:end].astype(np.uint64), (rows.shape[1],))
            for start, end in zip(rows.indptr, rows.indptr[1:], strict=False)
        )
    return b"".join(
        frame(
            encode_record(
                {DEFAULT_KEY: tensor}, {} if labels is None else {DEFAULT_KEY: Tensor(labels[index : index + 1])}
            )
        )
        for index, tensor in enumerate(tensors)
    )


def encode_labels(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Predictions as SageMaker's algorithms answer them: one record a row, each value a float32 tensor in `label`."""
    return b"".join(
        frame(
            encode_record(
                {}, {key: Tensor(np.atleast_1d(np.asarray(value, dtype=np.float32))) for key, value in row.items()}
            )
        )
        for row in rows
    )


def encode_record(features: Mapping[str, Tensor], label: Mapping[str, Tensor]) -> bytes:
    message = b""
    for number, tensors in ((1, features), (2, label)):
        for key, tensor in tensors.items():
            entry = protobuf.encode_bytes(1, key.encode()) + protobuf.encode_bytes(2, _encode_value(tensor))
            message += protobuf.encode_bytes(number, entry)
    return message


def _encode_value(tensor: Tensor) -> bytes:
    values = tensor.values
    number = next((number for number, dtype in DTYPES.items() if dtype == values.dtype), None)
    if number is None:
        number, values = 2, values.astype("<f4")
    if number == 7:
        packed = b"".join(protobuf.encode_varint(int(value) & 0xFFFFFFFFFFFFFFFF) for value in values)
    else:
        packed = values.tobytes()
    message = protobuf.encode_bytes(1, packed)
    if tensor.keys is not None:
        message += protobuf.encode_bytes(2, b"".join(protobuf.encode_varint(int(key)) for key in tensor.keys))
    if tensor.shape:
        message += protobuf.encode_bytes(3, b"".join(protobuf.encode_varint(size) for size in tensor.shape))
    return protobuf.encode_bytes(number, message)

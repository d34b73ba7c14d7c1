"""Avro's Snappy and Zstandard, for which fastavro wants further packages, by the codecs that Arrow has."""

import importlib
import io
import zlib
from typing import Any

import pyarrow as pa

from clary.lake.formats.compression import snappy_length

_LARGEST = 1 << 30


def install() -> None:
    """Let fastavro read and write them, in this process."""
    reading: Any = importlib.import_module("fastavro._read")
    writing: Any = importlib.import_module("fastavro._write")
    reading.BLOCK_READERS.update(snappy=_read_snappy, zstandard=_read_zstandard)
    writing.BLOCK_WRITERS.update(snappy=_write_snappy, zstandard=_write_zstandard)


def _read_snappy(file: Any) -> io.BytesIO:
    data = _block(file)[:-4]  # a checksum follows
    length = snappy_length(data)
    if length > _LARGEST:
        raise ValueError(f"a block says that it holds {length} bytes, which none does")
    return io.BytesIO(pa.decompress(data, decompressed_size=length, codec="snappy", asbytes=True))


def _read_zstandard(file: Any) -> io.BytesIO:
    with pa.CompressedInputStream(pa.BufferReader(_block(file)), "zstd") as inflated:
        return io.BytesIO(inflated.read())


def _write_snappy(file: Any, data: bytes, level: int | None) -> None:
    packed = pa.compress(data, codec="snappy", asbytes=True)
    file.write(_number(len(packed) + 4) + packed + zlib.crc32(data).to_bytes(4, "big"))


def _write_zstandard(file: Any, data: bytes, level: int | None) -> None:
    packed = pa.compress(data, codec="zstd", asbytes=True)
    file.write(_number(len(packed)) + packed)


def _block(file: Any) -> bytes:
    """The bytes that follow, after a number that says how many they are."""
    number = shift = 0
    while True:
        byte = file.read(1)
        if not byte or shift > 63:
            raise EOFError("a block ends before its length does")
        number |= (byte[0] & 0x7F) << shift
        shift += 7
        if byte[0] < 0x80:
            break
    length = (number >> 1) ^ -(number & 1)
    if not 0 <= length <= _LARGEST:
        raise ValueError(f"a block says that it has {length} bytes, which none has")
    data: bytes = file.read(length)
    if len(data) < length:
        raise EOFError("the file ends within a block")
    return data


def _number(value: int) -> bytes:
    """A number as Avro writes it."""
    left, made = value << 1, bytearray()
    while left > 0x7F:
        made.append(left & 0x7F | 0x80)
        left >>= 7
    made.append(left)
    return bytes(made)

"""The beginnings of files, unpacked where they are compressed: gzip, bzip2, zip, Zstandard, LZ4, Snappy."""

import bz2
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from clary.lake.inference.found import NO_COMPRESSION

_CHUNK = 64 * 1024
_SNAPPY_FRAMES = b"\xff\x06\x00\x00sNaPpY"
_LARGEST_BLOCK = 64 * 1024 * 1024


class Head(NamedTuple):
    """The first bytes of a file as they are unpacked. `whole`: there are no more. `compression` is Glue's name."""

    data: bytes
    whole: bool
    compression: str = NO_COMPRESSION


def read_head(path: Path, name: str, limit: int) -> Head:
    """Up to `limit` bytes from the beginning of a file, unpacked. Raises ValueError where it cannot be."""
    with path.open("rb") as file:
        begin = file.read(16)
        file.seek(0)
        for magic, compression, unpack in _FORMATS:
            if begin.startswith(magic):
                return _taken(unpack(file), limit, compression)
        if name.endswith(".snappy"):
            return _taken(_snappy_blocks(file), limit, "snappy")
        return _taken(_chunks(file), limit, NO_COMPRESSION)


def _taken(chunks: Iterator[bytes], limit: int, compression: str) -> Head:
    found = bytearray()
    try:
        for chunk in chunks:
            found += chunk
            if len(found) > limit:
                return Head(bytes(found[:limit]), False, compression)
    except (
        OSError,
        EOFError,
        zlib.error,
        zipfile.BadZipFile,
        struct.error,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise ValueError(f"it cannot be unpacked as {compression}: {error}") from None
    return Head(bytes(found), True, compression)


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def _gzip(file: BinaryIO) -> Iterator[bytes]:
    """All members, one after the other."""
    unpacker = zlib.decompressobj(31)
    for chunk in _chunks(file):
        data = chunk
        while data:
            yield unpacker.decompress(data, _CHUNK)
            data = unpacker.unconsumed_tail or unpacker.unused_data
            if unpacker.eof:
                data = data.lstrip(b"\0")
                unpacker = zlib.decompressobj(31)


def _bzip2(file: BinaryIO) -> Iterator[bytes]:
    with bz2.open(file) as unpacked:
        yield from _chunks(unpacked)  # type: ignore[arg-type]


def _zip(file: BinaryIO) -> Iterator[bytes]:
    with zipfile.ZipFile(file) as archive:
        members = [each for each in archive.infolist() if not each.is_dir()]
        if len(members) != 1:
            raise ValueError(f"it is an archive of {len(members)} files: one that is read holds a single one")
        with archive.open(members[0]) as unpacked:
            yield from _chunks(unpacked)  # type: ignore[arg-type]


def _by_arrow(codec: str) -> Callable[[BinaryIO], Iterator[bytes]]:
    def unpack(file: BinaryIO) -> Iterator[bytes]:
        import pyarrow as pa

        with pa.CompressedInputStream(pa.PythonFile(file, mode="r"), codec) as unpacked:
            while chunk := unpacked.read(_CHUNK):
                yield chunk

    return unpack


def _snappy_frames(file: BinaryIO) -> Iterator[bytes]:
    while len(head := file.read(4)) == 4:
        kind, size = head[0], int.from_bytes(head[1:], "little")
        body = file.read(size)
        if kind == 0:
            yield _snappy(body[4:])
        elif kind == 1:
            yield body[4:]


def _snappy_blocks(file: BinaryIO) -> Iterator[bytes]:
    """As Hadoop writes them: the length of a block, then its parts, each after its own length; or one part alone."""
    blocks = _hadoop_blocks(file)
    try:
        first = next(blocks, None)
    except (OSError, ValueError):
        file.seek(0)
        yield _snappy(file.read(_LARGEST_BLOCK))
        return
    if first is not None:
        yield first
        yield from blocks


def _hadoop_blocks(file: BinaryIO) -> Iterator[bytes]:
    while len(head := file.read(4)) == 4:
        (left,) = struct.unpack(">I", head)
        while left > 0:
            (size,) = struct.unpack(">I", file.read(4).rjust(4, b"\0"))
            if not 0 < size <= _LARGEST_BLOCK:
                raise ValueError("it is not made of blocks")
            part = _snappy(file.read(size))
            left -= len(part)
            yield part


def _snappy(data: bytes) -> bytes:
    import pyarrow as pa

    length = 0
    for place, byte in enumerate(data[:5]):
        length |= (byte & 0x7F) << (7 * place)
        if byte < 0x80 and length <= _LARGEST_BLOCK:
            break
    else:
        raise ValueError("it is not compressed by Snappy")
    return bytes(pa.Codec("snappy").decompress(data, decompressed_size=length))


_FORMATS: tuple[tuple[bytes, str, Callable[[BinaryIO], Iterator[bytes]]], ...] = (
    (b"\x1f\x8b", "gzip", _gzip),
    (b"BZh", "bzip2", _bzip2),
    (b"PK\x03\x04", "zip", _zip),
    (b"\x28\xb5\x2f\xfd", "zstd", _by_arrow("zstd")),
    (b"\x04\x22\x4d\x18", "lz4", _by_arrow("lz4")),
    (_SNAPPY_FRAMES, "snappy", _snappy_frames),
)

"""Files as streams of what they hold, by their ending: .gz .zst .bz2 .snappy .lz4 .deflate .br and bare ones.

Snappy and LZ4 are Hadoop's blocks or the framing formats of the libraries themselves, whichever a file begins as.
"""

import bz2
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import pyarrow as pa

from clary.lake.formats.parts import BytesRead

_CHUNK = 1 << 20
_SNAPPY_BEGIN = b"\xff\x06\x00\x00sNaPpY"
_LZ4_BEGIN = b"\x04\x22\x4d\x18"
_LARGEST_BLOCK = 1 << 30
ENDINGS = {
    ".gz": "gzip", ".gzip": "gzip", ".zst": "zstd", ".zstd": "zstd", ".bz2": "bz2", ".snappy": "snappy",
    ".lz4": "lz4", ".deflate": "deflate", ".br": "brotli",
}  # fmt: skip


def compression_of(uri: str) -> str:
    """The compression that an object's ending says, empty where it says none."""
    name = uri.rpartition("/")[2]
    return ENDINGS.get("." + name.rpartition(".")[2].lower(), "") if "." in name else ""


def chunks(path: str, uri: str, read: BytesRead) -> Iterator[bytes]:
    """What a file holds, piece by piece; what is read of it is counted. Raises ValueError where it is damaged."""
    with open(path, "rb") as file:
        counted = _Counted(file, read)
        try:
            yield from _STREAMS[compression_of(uri)](counted)
        except (OSError, zlib.error, pa.ArrowException, EOFError) as error:
            raise ValueError(str(error)) from None


class _Counted:
    """A file whose reads count."""

    def __init__(self, file: BinaryIO, read: BytesRead) -> None:
        self._file = file
        self._read = read

    def take(self, most: int = _CHUNK) -> bytes:
        data = self._file.read(most)
        self._read.add(len(data))
        return data


def _plain(file: _Counted) -> Iterator[bytes]:
    while data := file.take(4 * _CHUNK):
        yield data


def _inflated(begin: Callable[[bytes], Any]) -> Callable[[_Counted], Iterator[bytes]]:
    """Streams of zlib and bz2, several of which may follow each other in a file."""

    def stream(file: _Counted) -> Iterator[bytes]:
        inflater: Any = None
        while data := file.take():
            while data:
                if inflater is None:
                    # What pads the end of an archive, as tapes had it, is no further member.
                    data = data.lstrip(b"\0")
                    if not data:
                        break
                    inflater = begin(data)
                yield from _bounded(inflater, data)
                data = inflater.unused_data if inflater.eof else b""
                inflater = None if inflater.eof else inflater
        if inflater is not None:
            raise EOFError("the file ends before its compressed data does")

    return stream


def _bounded(inflater: Any, data: bytes) -> Iterator[bytes]:
    """What comes of some compressed bytes, never much at once however well they are compressed."""
    if isinstance(inflater, bz2.BZ2Decompressor):
        yield inflater.decompress(data, 4 * _CHUNK)
        while not inflater.eof and not inflater.needs_input:
            yield inflater.decompress(b"", 4 * _CHUNK)
        return
    yield inflater.decompress(data, 4 * _CHUNK)
    while inflater.unconsumed_tail and not inflater.eof:
        yield inflater.decompress(inflater.unconsumed_tail, 4 * _CHUNK)


def _deflate(data: bytes) -> Any:
    # Hadoop's DefaultCodec writes zlib's header; others bare deflate.
    wrapped = data[0] & 0x0F == 8 and (len(data) < 2 or (data[0] * 256 + data[1]) % 31 == 0)
    return zlib.decompressobj(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)


def _arrow(codec: str) -> Callable[[_Counted], Iterator[bytes]]:
    def stream(file: _Counted) -> Iterator[bytes]:
        with pa.CompressedInputStream(pa.PythonFile(_Readable(file), mode="r"), codec) as inflated:
            while data := inflated.read(4 * _CHUNK):
                yield data

    return stream


class _Readable:
    """What pyarrow asks of a file of Python's."""

    closed = False

    def __init__(self, file: _Counted, ahead: bytes = b"") -> None:
        self._file = file
        self._ahead = ahead

    def read(self, most: int = -1) -> bytes:
        if self._ahead:
            data, self._ahead = self._ahead, b""
            return data
        return self._file.take(most if most > 0 else _CHUNK)

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True


def _snappy(file: _Counted) -> Iterator[bytes]:
    begin = _exactly(file, len(_SNAPPY_BEGIN), may_end=True)
    if begin == _SNAPPY_BEGIN:
        yield from _framed_snappy(file)
    elif begin:
        yield from _hadoop_blocks(file, begin, "snappy")


def _framed_snappy(file: _Counted) -> Iterator[bytes]:
    while head := _exactly(file, 4, may_end=True):
        kind, length = head[0], int.from_bytes(head[1:], "little")
        body = _exactly(file, length)
        if kind == 0:
            yield _decompressed(body[4:], snappy_length(body[4:]), "snappy")
        elif kind == 1:
            yield body[4:]
        elif 2 <= kind < 0x80:
            raise ValueError(f"a chunk of Snappy's framing format is of the unknown kind {kind}")


def _lz4(file: _Counted) -> Iterator[bytes]:
    begin = _exactly(file, len(_LZ4_BEGIN), may_end=True)
    if begin == _LZ4_BEGIN:
        with pa.CompressedInputStream(pa.PythonFile(_Readable(file, begin), mode="r"), "lz4") as inflated:
            while data := inflated.read(4 * _CHUNK):
                yield data
    elif begin:
        yield from _hadoop_blocks(file, begin, "lz4_raw")


def _hadoop_blocks(file: _Counted, ahead: bytes, codec: str) -> Iterator[bytes]:
    """Blocks of Hadoop's BlockCompressorStream: the length of what they hold, then chunks with their own lengths."""
    buffered = bytearray(ahead)

    def exactly(count: int, may_end: bool = False) -> bytes:
        if len(buffered) < count:
            buffered.extend(_exactly(file, count - len(buffered), may_end=may_end and not buffered))
        data = bytes(buffered[:count])
        del buffered[:count]
        return data

    while head := exactly(4, may_end=True):
        left = int.from_bytes(head, "big")
        if left > _LARGEST_BLOCK:
            raise ValueError(f"a block says that it holds {left} bytes, which none does")
        while left > 0:
            body = exactly(int.from_bytes(exactly(4), "big"))
            length = snappy_length(body) if codec == "snappy" else left
            data = _decompressed(body, length, codec)
            yield data
            left -= len(data)


def _decompressed(data: bytes, length: int, codec: str) -> bytes:
    if length > _LARGEST_BLOCK:
        raise ValueError(f"a chunk says that it holds {length} bytes, which none does")
    made: bytes = pa.decompress(data, decompressed_size=length, codec=codec, asbytes=True)
    return made


def snappy_length(data: bytes) -> int:
    """What Snappy says at the begin of a chunk that it holds."""
    length = 0
    for place, byte in enumerate(data[:5]):
        length |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return length
    raise ValueError("a chunk does not begin with its length, as Snappy's do")


def _exactly(file: _Counted, count: int, may_end: bool = False) -> bytes:
    if count > _LARGEST_BLOCK:
        raise ValueError(f"a chunk says that it has {count} bytes, which none has")
    data = bytearray()
    while len(data) < count:
        more = file.take(count - len(data))
        if not more:
            if may_end and not data:
                return b""
            raise EOFError("the file ends before its compressed data does")
        data += more
    return bytes(data)


_STREAMS: dict[str, Callable[[_Counted], Iterator[bytes]]] = {
    "": _plain,
    "gzip": _inflated(lambda data: zlib.decompressobj(zlib.MAX_WBITS | 16)),
    "bz2": _inflated(lambda data: bz2.BZ2Decompressor()),
    "deflate": _inflated(_deflate),
    "zstd": _arrow("zstd"),
    "brotli": _arrow("brotli"),
    "snappy": _snappy,
    "lz4": _lz4,
}

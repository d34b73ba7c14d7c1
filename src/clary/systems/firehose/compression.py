"""The compressions of objects in S3, each made a piece at a time so that a full buffer is all but written.

`Snappy` is Google's framing format. `HADOOP_SNAPPY` is what Hadoop's SnappyCodec reads: blocks of a length and one
compressed chunk. The same records make the same bytes, whenever.
"""

import importlib.util
import zipfile
import zlib
from collections.abc import Callable
from typing import Any, Protocol

from clary.systems.firehose.refusals import invalid

EXTENSIONS = {"UNCOMPRESSED": "", "GZIP": ".gz", "ZIP": ".zip", "Snappy": ".snappy", "HADOOP_SNAPPY": ".hsnappy"}

_GZIP_BITS = 31
_LEVEL = 6
_SNAPPY_BEGIN = b"\xff\x06\x00\x00sNaPpY"
_SNAPPY_CHUNK = 65_536
_HADOOP_BLOCK = 256 * 1024
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


class Compressor(Protocol):
    def add(self, data: bytes) -> bytes:
        """Take more; return what can be written by now."""
        ...

    def finish(self) -> bytes:
        """What is still to be written."""
        ...


class _Plain:
    def add(self, data: bytes) -> bytes:
        return data

    def finish(self) -> bytes:
        return b""


class _Gzip:
    def __init__(self) -> None:
        self._deflater = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP_BITS)

    def add(self, data: bytes) -> bytes:
        return self._deflater.compress(data)

    def finish(self) -> bytes:
        return self._deflater.flush()


class _Sink:
    """A file that is written once, from which what was written is taken."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._written.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def take(self) -> bytes:
        taken, self._written = b"".join(self._written), []
        return taken


class _Zip:
    """An archive with one member. `zipfile` cannot seek in the sink and writes sizes behind the data."""

    def __init__(self, name: str) -> None:
        self._sink = _Sink()
        sink: Any = self._sink
        self._archive = zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED)
        info = zipfile.ZipInfo(name, _ZIP_TIME)
        info.compress_type = zipfile.ZIP_DEFLATED
        self._member = self._archive.open(info, "w", force_zip64=True)

    def add(self, data: bytes) -> bytes:
        self._member.write(data)
        return self._sink.take()

    def finish(self) -> bytes:
        self._member.close()
        self._archive.close()
        return self._sink.take()


class _Blocks:
    """Compresses blocks of a size, and the rest."""

    def __init__(self, size: int, write: Callable[[bytes], bytes], begin: bytes = b"") -> None:
        self._size = size
        self._write = write
        self._begin = begin
        self._waiting = bytearray()

    def add(self, data: bytes) -> bytes:
        waiting = self._waiting
        waiting += data
        whole = len(waiting) // self._size * self._size
        if not whole:
            return b""
        written = [self._take_begin()]
        written += [self._write(bytes(waiting[at : at + self._size])) for at in range(0, whole, self._size)]
        del waiting[:whole]
        return b"".join(written)

    def finish(self) -> bytes:
        begin = self._take_begin()
        return begin + self._write(bytes(self._waiting)) if self._waiting else begin

    def _take_begin(self) -> bytes:
        begin, self._begin = self._begin, b""
        return begin


def _snappy(data: bytes) -> bytes:
    import pyarrow

    found: bytes = pyarrow.compress(data, codec="snappy", asbytes=True)
    return found


def _framed(data: bytes) -> bytes:
    from awscrt.checksums import crc32c  # type: ignore[import-untyped]

    checksum: int = crc32c(data)
    masked = ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF
    packed = _snappy(data)
    kind, body = (b"\x00", packed) if len(packed) < len(data) else (b"\x01", data)
    return b"".join((kind, (len(body) + 4).to_bytes(3, "little"), masked.to_bytes(4, "little"), body))


def _hadoop_block(data: bytes) -> bytes:
    packed = _snappy(data)
    return len(data).to_bytes(4, "big") + len(packed).to_bytes(4, "big") + packed


def check_compression(name: str) -> None:
    """Raise InvalidArgumentException for a compression that this installation cannot do."""
    if name in ("Snappy", "HADOOP_SNAPPY") and importlib.util.find_spec("pyarrow") is None:
        raise invalid(f"CompressionFormat {name} needs pyarrow, which is not installed: pip install 'clary[data]'.")


def compressor(name: str, member: str) -> Compressor:
    """A fresh compressor; `member` names what is inside an archive."""
    if name == "GZIP":
        return _Gzip()
    if name == "ZIP":
        return _Zip(member)
    if name == "Snappy":
        return _Blocks(_SNAPPY_CHUNK, _framed, _SNAPPY_BEGIN)
    if name == "HADOOP_SNAPPY":
        return _Blocks(_HADOOP_BLOCK, _hadoop_block)
    return _Plain()

"""Texts compressed a piece at a time, as Hadoop's codecs and their endings have it."""

import bz2
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

_BLOCK = 256 * 1024


class Compressor(Protocol):
    def add(self, data: Any) -> Any:
        """Take more; return what can be written by now."""
        ...

    def finish(self) -> bytes:
        """What is still to be written."""
        ...


class _Plain:
    def add(self, data: Any) -> Any:
        return data

    def finish(self) -> bytes:
        return b""


class _Library:
    """A compressor of the standard library."""

    def __init__(self, compressor: Any) -> None:
        self._compressor = compressor

    def add(self, data: Any) -> Any:
        return self._compressor.compress(data)

    def finish(self) -> bytes:
        made: bytes = self._compressor.flush()
        return made


class _Blocks:
    """Hadoop's BlockCompressorStream: the length of what a block holds, then one chunk with its own length."""

    def __init__(self, codec: str) -> None:
        self._codec = codec
        self._waiting = bytearray()

    def add(self, data: Any) -> bytes:
        self._waiting += data
        whole = len(self._waiting) // _BLOCK * _BLOCK
        made = b"".join(self._block(bytes(self._waiting[at : at + _BLOCK])) for at in range(0, whole, _BLOCK))
        del self._waiting[:whole]
        return made

    def finish(self) -> bytes:
        return self._block(bytes(self._waiting)) if self._waiting else b""

    def _block(self, data: bytes) -> bytes:
        packed: bytes = pa.compress(data, codec=self._codec, asbytes=True)
        return len(data).to_bytes(4, "big") + len(packed).to_bytes(4, "big") + packed


class _Frames:
    """Zstandard, as frames that follow each other, which every reader takes for one stream."""

    def __init__(self, codec: str) -> None:
        self._codec = codec
        self._waiting = bytearray()

    def add(self, data: Any) -> bytes:
        self._waiting += data
        return self._frame() if len(self._waiting) >= 4 * _BLOCK else b""

    def finish(self) -> bytes:
        return self._frame()

    def _frame(self) -> bytes:
        data = bytes(self._waiting)
        self._waiting.clear()
        made: bytes = pa.compress(data, codec=self._codec, asbytes=True)
        return made


@dataclass(frozen=True, slots=True)
class Kind:
    """A compression: what names of files end with, and what makes a compressor."""

    ending: str
    make: Callable[[], Compressor]


COMPRESSORS: dict[str, Kind] = {
    "none": Kind("", _Plain),
    "gzip": Kind(".gz", lambda: _Library(zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS | 16))),
    "deflate": Kind(".deflate", lambda: _Library(zlib.compressobj(6))),
    "bzip2": Kind(".bz2", lambda: _Library(bz2.BZ2Compressor())),
    "zstd": Kind(".zst", lambda: _Frames("zstd")),
    "snappy": Kind(".snappy", lambda: _Blocks("snappy")),
    "lz4": Kind(".lz4", lambda: _Blocks("lz4_raw")),
}


def text_compressor(name: str) -> Compressor:
    return COMPRESSORS[name].make()

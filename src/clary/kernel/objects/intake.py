"""Bytes on their way in: hashed, checked against what the client claims; few stay in memory, many go to a file."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from clary.kernel.core.errors import AwsError
from clary.kernel.objects import checksums
from clary.kernel.objects.blobs import Blobs, new_blob, read_range
from clary.kernel.objects.records import Claim
from clary.kernel.objects.refusals import bad_digest

# Up to this size the bytes travel in the index's own commit.
SMALL_BYTES = 64 * 1024
_FLUSH_BYTES = 1024 * 1024
_LOCKED_HASH_BYTES = 2047


class Stream(Protocol):
    """A file that is being written."""

    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int: ...
    def write(self, buffers: Sequence[bytes]) -> None: ...
    def sync(self) -> None: ...
    def discard(self) -> None: ...
    def release(self) -> None: ...


@dataclass(slots=True)
class Taken:
    """Bytes that arrived whole and are what they were claimed to be: in `data`, or in the file `stream` wrote."""

    blob: str
    size: int
    etag: str
    checksums: dict[str, str]
    data: bytes | None = None
    stream: Stream | None = None

    def release(self) -> None:
        """Let go of the file, which the index knows now."""
        if self.stream is not None:
            self.stream.release()

    def discard(self) -> None:
        """Remove the file, which nobody will know."""
        if self.stream is not None:
            self.stream.discard()


class _Hashes:
    """The MD5 and the checksums of one stream."""

    def __init__(self, claim: Claim) -> None:
        self._claim = claim
        self._md5 = hashlib.md5(usedforsecurity=False)
        wanted = claim.checksums or {checksums.DEFAULT_ALGORITHM: ""}
        self._sums = {name: checksums.new(name) for name in wanted}

    def update_small(self, data: bytes) -> None:
        """Take few bytes in pieces so short that the hash keeps the interpreter's lock: getting it back costs more."""
        for start in range(0, len(data), _LOCKED_HASH_BYTES):
            self._md5.update(data[start : start + _LOCKED_HASH_BYTES])
        for running in self._sums.values():
            running.update(data)

    def update(self, buffers: Sequence[bytes]) -> None:
        for data in buffers:
            self._md5.update(data)
            for running in self._sums.values():
                running.update(data)

    def finish(self, size: int) -> tuple[str, dict[str, str]]:
        """Return (ETag, checksums). Raises BadDigest, InvalidDigest or IncompleteBody when a claim is wrong."""
        claim = self._claim
        if claim.size is not None and claim.size != size:
            raise AwsError(
                "IncompleteBody", f"The request announced {claim.size} bytes and brought {size}.", status=400
            )
        digest = self._md5.digest()
        if claim.md5 and _decoded(claim.md5) != digest:
            raise bad_digest("Content-MD5", claim.md5, checksums.encode(digest))
        computed = {name: checksums.encode(running.digest()) for name, running in self._sums.items()}
        for name, claimed in claim.checksums.items():
            if claimed and claimed != computed[name]:
                raise bad_digest(name, claimed, computed[name])
        return digest.hex(), computed


def check_document(headers: Mapping[str, str], data: bytes) -> None:
    """Raise unless a document sent to S3 is what the digests among its headers say."""
    claimed = {
        name: headers[header]
        for name in checksums.ALGORITHMS
        if (header := f"x-amz-checksum-{name.lower()}") in headers
    }
    md5 = headers.get("content-md5", "")
    if claimed or md5:
        hashes = _Hashes(Claim(checksums=claimed, md5=md5))
        hashes.update([data])
        hashes.finish(len(data))


def take_bytes(data: bytes, claim: Claim) -> Taken:
    """Take bytes that are few enough to keep in memory."""
    hashes = _Hashes(claim)
    hashes.update_small(data)
    return Taken(new_blob(), len(data), *hashes.finish(len(data)), data=data)


def take_file(path: Path, blobs: Blobs, claim: Claim) -> Taken:
    """Take a copy of a file, synced when it is large."""
    with open(path, "rb", buffering=0) as file:
        first = file.read(SMALL_BYTES + 1)
        if len(first) <= SMALL_BYTES:
            return take_bytes(first, claim)
        rest = iter(lambda: file.read(_FLUSH_BYTES), b"")
        return _take_pieces(chain([first], rest), blobs, claim)


def take_large_bytes(data: bytes, blobs: Blobs, claim: Claim) -> Taken:
    """Take bytes that are too many for the index into a file, synced."""
    return _take_pieces([data], blobs, claim)


def take_range(path: str, offset: int, length: int, blobs: Blobs, claim: Claim) -> Taken:
    """Take a copy of a part of a file, synced when it is large."""
    if length <= SMALL_BYTES:
        return take_bytes(read_range(path, offset, length), claim)
    ends = range(offset, offset + length, _FLUSH_BYTES)
    pieces = (read_range(path, at, min(_FLUSH_BYTES, offset + length - at)) for at in ends)
    return _take_pieces(pieces, blobs, claim)


def hash_file(path: Path, claim: Claim) -> tuple[str, dict[str, str]]:
    """Return (ETag, checksums) of a file."""
    hashes = _Hashes(claim)
    size = 0
    with open(path, "rb", buffering=0) as file:
        for piece in iter(lambda: file.read(_FLUSH_BYTES), b""):
            hashes.update([piece])
            size += len(piece)
    return hashes.finish(size)


def _take_pieces(pieces: Iterable[bytes], blobs: Blobs, claim: Claim) -> Taken:
    hashes = _Hashes(claim)
    stream = blobs.create()
    try:
        for piece in pieces:
            hashes.update([piece])
            stream.write([piece])
        etag, sums = hashes.finish(stream.size)
        stream.sync()
    except BaseException:
        stream.discard()
        raise
    return Taken(stream.name, stream.size, etag, sums, stream=stream)


async def take_stream(
    body: AsyncIterator[bytes],
    create: Callable[[], Stream],
    claim: Claim,
    threads: Executor,
    *,
    keep_small: bool = True,
) -> Taken:
    """Take a stream from the event loop; a large one is hashed and written by `threads` to what `create` returns."""
    chunks = aiter(body)
    buffers: list[bytes] = []
    size = 0
    async for chunk in chunks:
        buffers.append(chunk)
        size += len(chunk)
        if size > SMALL_BYTES or not keep_small:
            break
    else:
        return take_bytes(buffers[0] if len(buffers) == 1 else b"".join(buffers), claim)
    return await _Inflow(create, claim, threads).take(chunks, buffers, size)


class _Inflow:
    """One large stream: while a batch of its chunks is hashed and written, the next batch arrives."""

    def __init__(self, create: Callable[[], Stream], claim: Claim, threads: Executor) -> None:
        self._create = create
        self._threads = threads
        self._hashes = _Hashes(claim)
        self._busy: asyncio.Future[Any] | None = None

    async def take(self, chunks: AsyncIterator[bytes], buffers: list[bytes], pending: int) -> Taken:
        loop = asyncio.get_running_loop()
        stream = await loop.run_in_executor(self._threads, self._create)
        try:
            async for chunk in chunks:
                buffers.append(chunk)
                pending += len(chunk)
                if pending >= _FLUSH_BYTES:
                    await self._flush(stream, buffers)
                    buffers, pending = [], 0
            await self._flush(stream, buffers)
            await self._idle()
            etag, sums = self._hashes.finish(stream.size)
            await loop.run_in_executor(self._threads, stream.sync)
        except BaseException:
            # The threads must be done with the file before it is closed.
            if self._busy is not None:
                await asyncio.wait([self._busy])
            stream.discard()
            raise
        return Taken(stream.name, stream.size, etag, sums, stream=stream)

    async def _flush(self, stream: Stream, buffers: list[bytes]) -> None:
        await self._idle()
        loop = asyncio.get_running_loop()
        self._busy = asyncio.ensure_future(
            asyncio.gather(
                loop.run_in_executor(self._threads, self._hashes.update, buffers),
                loop.run_in_executor(self._threads, stream.write, buffers),
            )
        )

    async def _idle(self) -> None:
        if self._busy is not None:
            await asyncio.shield(self._busy)


def _decoded(md5: str) -> bytes:
    try:
        digest = base64.b64decode(md5, validate=True)
    except ValueError:
        digest = b""
    if len(digest) != 16:
        raise AwsError(
            "InvalidDigest", f"The Content-MD5 you specified is not the base64 of an MD5 digest: {md5}", status=400
        )
    return digest

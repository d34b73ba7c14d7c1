"""Check and unframe a body while it is read: its digest, or the signed chunks and trailer of aws-chunked framing.

Nothing is buffered beyond a framing line. Data is handed on before its chunk's signature has been seen, so whoever
reads must commit nothing before the iteration ends without an error.
Source: "Signature calculations: transferring payload in multiple chunks" of the S3 API reference.
"""

import base64
import hashlib
import hmac
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Protocol

from clary.kernel.auth.refusals import Fault, refuse
from clary.kernel.auth.signatures import STREAMING, UNSIGNED, Identity, SignedBody, SignedRequest, body_mismatch
from clary.kernel.core.errors import AwsError

_EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_MAX_LINE = 16 * 1024
_MAX_CHUNK = 5 * 1024**3


class Checksum(Protocol):
    """What hashlib's objects are; `digest` is big-endian."""

    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


ChecksumTypes = Mapping[str, Callable[[], Checksum]]


class Crc32:
    """CRC-32 with hashlib's interface."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


BUILT_IN_CHECKSUMS: ChecksumTypes = {"crc32": Crc32, "sha1": hashlib.sha1, "sha256": hashlib.sha256}


def decoded_length(request: SignedRequest) -> int | None:
    """How many bytes the body has once its framing is off; None when the client does not say."""
    streaming = request.headers.get("x-amz-content-sha256", "") in STREAMING
    text = request.headers.get("x-amz-decoded-content-length" if streaming else "content-length")
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise AwsError("InvalidArgument", f"The length of the body must be a number, not '{text[:60]}'.", status=400)
    return int(text)


async def decoded(
    identity: Identity,
    request: SignedRequest,
    chunks: AsyncIterator[bytes],
    *,
    checksums: ChecksumTypes = BUILT_IN_CHECKSUMS,
) -> AsyncIterator[bytes]:
    """The body as the client meant it; raises AwsError at the latest at its end when it is not what was signed."""
    body = identity.body
    if body.content in {"", UNSIGNED}:
        async for chunk in chunks:
            yield chunk
    elif body.content in STREAMING:
        decoder = Decoder(body, request.headers, decoded_length(request), checksums)
        async for chunk in chunks:
            for piece in decoder.feed(chunk):
                yield piece
        decoder.finish()
    else:
        digest = hashlib.sha256()
        async for chunk in chunks:
            digest.update(chunk)
            yield chunk
        if not hmac.compare_digest(digest.hexdigest(), body.content):
            raise body_mismatch(body.style, body.content, digest.hexdigest())


class Decoder:
    """Takes aws-chunked framing apart, without I/O: feed it what arrives, then `finish`."""

    def __init__(
        self, body: SignedBody, headers: Mapping[str, str], length: int | None, checksums: ChecksumTypes
    ) -> None:
        self._body = body
        self._signed = body.content.startswith("STREAMING-AWS4-")
        self._length = length
        self._received = 0
        self._signature = body.signature
        self._claimed = ""
        self._digest = hashlib.sha256()
        self._line = bytearray()
        self._left = 0
        self._step = self._size_line
        self._in_data = False
        self._done = False
        self._trailers: dict[str, str] = {}
        self._expected = _expected_trailers(body, headers)
        self._checksums: dict[str, Checksum] = {}
        for name in self._expected:
            algorithm = name.removeprefix("x-amz-checksum-")
            if algorithm != name and algorithm in checksums:
                self._checksums[name] = checksums[algorithm]()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The payload bytes among `data`."""
        start, end = 0, len(data)
        while start < end:
            if self._in_data:
                piece = data[start : start + self._left]
                start += len(piece)
                self._take(piece)
                yield piece
                continue
            newline = data.find(b"\n", start)
            stop = end if newline < 0 else newline
            self._line += data[start:stop]
            if len(self._line) > _MAX_LINE:
                raise _framing("a line of the framing is too long")
            start = stop + 1
            if newline >= 0:
                line = bytes(self._line).removesuffix(b"\r")
                self._line.clear()
                self._step(line)

    def finish(self) -> None:
        """Say that no more comes; raises AwsError when the body is cut short or its checksums do not match."""
        if self._line and not self._done and self._step == self._trailer_line:
            # The last line break may be missing.
            self._step(bytes(self._line).removesuffix(b"\r"))
            self._step(b"")
        elif not self._done and self._step == self._trailer_line and not self._expected:
            self._step(b"")
        if not self._done:
            raise _incomplete("the last chunk or the trailer is missing")
        if self._length is not None and self._received != self._length:
            raise _incomplete(f"x-amz-decoded-content-length says {self._length} bytes but {self._received} came")
        for name in self._expected:
            if name not in self._trailers:
                raise AwsError(
                    "MalformedTrailerError",
                    f"The request announced the trailer '{name}' but did not send it.",
                    status=400,
                )
        for name, checksum in self._checksums.items():
            computed = base64.b64encode(checksum.digest()).decode()
            if not hmac.compare_digest(computed.encode(), self._trailers[name].encode()):
                algorithm = name.removeprefix("x-amz-checksum-").upper()
                raise AwsError(
                    "BadDigest", f"The {algorithm} you specified did not match the calculated checksum.", status=400
                )

    def _take(self, piece: bytes) -> None:
        self._left -= len(piece)
        self._received += len(piece)
        if self._length is not None and self._received > self._length:
            raise _incomplete(f"more than the {self._length} bytes of x-amz-decoded-content-length came")
        if self._signed:
            self._digest.update(piece)
        for checksum in self._checksums.values():
            checksum.update(piece)
        if not self._left:
            self._in_data = False
            self._step = self._after_data

    def _size_line(self, line: bytes) -> None:
        size_text, _, extension = line.partition(b";")
        try:
            size = int(size_text.strip(), 16) if len(size_text) <= 16 else -1
        except ValueError:
            size = -1
        if not 0 <= size <= _MAX_CHUNK:
            raise _framing(f"'{size_text[:40].decode('latin-1')}' is not the size of a chunk")
        if self._signed:
            name, _, value = extension.partition(b"=")
            if name.strip() != b"chunk-signature":
                raise refuse(Fault.MISMATCH, self._body.style, "A chunk of the body carries no chunk-signature.")
            self._claimed = value.strip().decode("latin-1")
            self._digest = hashlib.sha256()
        if size:
            self._left = size
            self._in_data = True
            return
        self._check_chunk()
        self._step = self._trailer_line

    def _after_data(self, line: bytes) -> None:
        if line:
            raise _framing("the data of a chunk is longer than its size")
        self._check_chunk()
        self._step = self._size_line

    def _trailer_line(self, line: bytes) -> None:
        if not line:
            # Some clients end the last chunk with a line break of its own before the trailer.
            if not self._done and not self._expected.difference(self._trailers):
                self._done = True
                if self._signed and self._trailers:
                    self._check_trailer()
            return
        if self._done:
            raise _framing("something follows the end of the body")
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon:
            raise _framing(f"'{name[:60]}' is not a trailer")
        self._trailers[name.strip().lower()] = value.strip()

    def _check_chunk(self) -> None:
        if not self._signed:
            return
        self._signature = self._chain("AWS4-HMAC-SHA256-PAYLOAD", f"{_EMPTY_SHA256}\n{self._digest.hexdigest()}")
        self._compare(self._claimed, "A chunk of the body does not match its chunk-signature.")

    def _check_trailer(self) -> None:
        claimed = self._trailers.get("x-amz-trailer-signature", "")
        signed = "".join(
            f"{name}:{value}\n" for name, value in sorted(self._trailers.items()) if name != "x-amz-trailer-signature"
        )
        self._signature = self._chain("AWS4-HMAC-SHA256-TRAILER", hashlib.sha256(signed.encode()).hexdigest())
        self._compare(claimed, "The trailer of the body does not match its x-amz-trailer-signature.")

    def _chain(self, algorithm: str, content: str) -> str:
        body = self._body
        text = f"{algorithm}\n{body.timestamp}\n{body.credential_scope}\n{self._signature}\n{content}"
        return hmac.digest(body.key, text.encode(), "sha256").hex()

    def _compare(self, claimed: str, message: str) -> None:
        if not hmac.compare_digest(self._signature.encode(), claimed.encode()):
            raise refuse(Fault.MISMATCH, self._body.style, message)


def _expected_trailers(body: SignedBody, headers: Mapping[str, str]) -> frozenset[str]:
    if not body.content.endswith("-TRAILER"):
        return frozenset()
    names = {name.strip().lower() for name in headers.get("x-amz-trailer", "").split(",")} - {""}
    if body.content.startswith("STREAMING-AWS4-"):
        names.add("x-amz-trailer-signature")
    return frozenset(names)


def _framing(what: str) -> AwsError:
    return AwsError("InvalidRequest", f"The aws-chunked framing of the body is broken: {what}.", status=400)


def _incomplete(what: str) -> AwsError:
    return AwsError("IncompleteBody", f"The request body is not complete: {what}.", status=400)

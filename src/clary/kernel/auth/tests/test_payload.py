"""Framed bodies, built as the S3 reference describes them, read in pieces of every size."""

import asyncio
import base64
import hashlib
import hmac
import zlib
from collections.abc import AsyncIterator

import pytest
from botocore.auth import S3SigV4Auth

from clary.kernel.auth import payload
from clary.kernel.auth.signatures import Identity, peek_scope, signing_key, verify
from clary.kernel.auth.tests.signing import CREDENTIALS, SECRET, Sent, credentials, send
from clary.kernel.core.clock import SystemClock
from clary.kernel.core.errors import AwsError


def at(offset_seconds: float = 0) -> float:
    """A moment from now: the signers below take the real time."""
    return SystemClock().now() + offset_seconds


DATA = bytes(range(256)) * 40
EMPTY = hashlib.sha256(b"").hexdigest()
CRC32 = base64.b64encode(zlib.crc32(DATA).to_bytes(4, "big")).decode()


class _Streaming(S3SigV4Auth):
    """botocore signs any body as the digest it is told."""

    def __init__(self, content: str) -> None:
        super().__init__(credentials(), "s3", "us-east-1")
        self._content = content

    def payload(self, request: object) -> str:
        return self._content


def open_request(content: str, length: int = len(DATA), **headers: str) -> tuple[Sent, Identity]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = send(
        _Streaming(content),
        "PUT",
        "/bucket/key",
        headers={"x-amz-decoded-content-length": str(length), "Content-Encoding": "aws-chunked", **named},
    )
    scope = peek_scope(request)
    assert scope is not None
    return request, verify(request, scope, CREDENTIALS.get, now=at())


def signed_chunks(identity: Identity, data: bytes, *, trailer: str = "", size: int = 4096) -> bytes:
    """The body as a signing client frames it; the chain of signatures computed here independently."""
    scope, stamp = identity.scope.credential_scope, identity.body.timestamp
    key = signing_key(SECRET, identity.scope.date, "us-east-1", "s3")
    previous = identity.scope.signature
    framed = b""
    for chunk in [*(data[i : i + size] for i in range(0, len(data), size)), b""]:
        text = f"AWS4-HMAC-SHA256-PAYLOAD\n{stamp}\n{scope}\n{previous}\n{EMPTY}\n{hashlib.sha256(chunk).hexdigest()}"
        previous = hmac.new(key, text.encode(), "sha256").hexdigest()
        framed += f"{len(chunk):x};chunk-signature={previous}\r\n".encode() + chunk
        framed += b"\r\n" if chunk or not trailer else b""
    if trailer:
        digest = hashlib.sha256((trailer + "\n").encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256-TRAILER\n{stamp}\n{scope}\n{previous}\n{digest}"
        signature = hmac.new(key, text.encode(), "sha256").hexdigest()
        framed += f"{trailer}\r\nx-amz-trailer-signature:{signature}\r\n\r\n".encode()
    return framed


def unsigned_chunks(data: bytes, trailer: str, size: int = 3000) -> bytes:
    framed = b"".join(
        f"{len(data[i : i + size]):X}\r\n".encode() + data[i : i + size] + b"\r\n" for i in range(0, len(data), size)
    )
    return framed + f"0\r\n{trailer}\r\n\r\n".encode()


def read(request: Sent, identity: Identity, body: bytes, step: int = 1000) -> bytes:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), step):
            yield body[start : start + step]

    async def collect() -> bytes:
        return b"".join([piece async for piece in payload.decoded(identity, request, pieces())])

    return asyncio.run(collect())


def refusal(request: Sent, identity: Identity, body: bytes) -> str:
    with pytest.raises(AwsError) as caught:
        read(request, identity, body)
    return caught.value.code


@pytest.mark.parametrize("step", [1, 7, 64, 4096, 1_000_000])
def test_signed_chunks(step: int) -> None:
    request, identity = open_request("STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
    assert payload.decoded_length(request) == len(DATA)
    assert read(request, identity, signed_chunks(identity, DATA), step) == DATA


def test_empty_signed_body() -> None:
    request, identity = open_request("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", 0)
    assert read(request, identity, signed_chunks(identity, b"")) == b""


@pytest.mark.parametrize("step", [1, 7, 4096])
def test_signed_chunks_with_trailer(step: int) -> None:
    request, identity = open_request("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", x_amz_trailer="x-amz-checksum-crc32")
    body = signed_chunks(identity, DATA, trailer=f"x-amz-checksum-crc32:{CRC32}")
    assert read(request, identity, body, step) == DATA
    forged = body.replace(CRC32.encode(), b"AAAAAA==")
    assert refusal(request, identity, forged) == "SignatureDoesNotMatch"
    wrong = signed_chunks(identity, DATA, trailer="x-amz-checksum-crc32:AAAAAA==")
    assert refusal(request, identity, wrong) == "BadDigest"


@pytest.mark.parametrize("step", [1, 7, 4096])
def test_unsigned_chunks_with_trailer(step: int) -> None:
    request, identity = open_request("STREAMING-UNSIGNED-PAYLOAD-TRAILER", x_amz_trailer="x-amz-checksum-crc32")
    body = unsigned_chunks(DATA, f"x-amz-checksum-crc32:{CRC32}")
    assert read(request, identity, body, step) == DATA
    assert refusal(request, identity, unsigned_chunks(DATA, "x-amz-checksum-crc32:AAAAAA==")) == "BadDigest"
    assert refusal(request, identity, unsigned_chunks(DATA, "x-other: 1")) in {
        "MalformedTrailerError",
        "IncompleteBody",
    }
    assert refusal(request, identity, body[:-40]) == "IncompleteBody"
    assert refusal(request, identity, unsigned_chunks(DATA + b"x", f"x-amz-checksum-crc32:{CRC32}")) == "IncompleteBody"
    assert refusal(request, identity, unsigned_chunks(DATA[:-1], f"x-amz-checksum-crc32:{CRC32}")) == "IncompleteBody"


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_other_checksums(algorithm: str) -> None:
    name = f"x-amz-checksum-{algorithm}"
    request, identity = open_request("STREAMING-UNSIGNED-PAYLOAD-TRAILER", x_amz_trailer=name)
    good = base64.b64encode(hashlib.new(algorithm, DATA).digest()).decode()
    assert read(request, identity, unsigned_chunks(DATA, f"{name}:{good}")) == DATA
    bad = base64.b64encode(hashlib.new(algorithm, b"").digest()).decode()
    assert refusal(request, identity, unsigned_chunks(DATA, f"{name}:{bad}")) == "BadDigest"


def test_tampered_or_reordered_chunks() -> None:
    request, identity = open_request("STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
    body = signed_chunks(identity, DATA)
    position = body.index(DATA[:50])
    tampered = body[:position] + b"\xff" + body[position + 1 :]
    assert refusal(request, identity, tampered) == "SignatureDoesNotMatch"
    assert refusal(request, identity, unsigned_chunks(DATA, "")) == "SignatureDoesNotMatch"
    last = body.rindex(b"0;chunk-signature")
    assert refusal(request, identity, body[:last]) == "IncompleteBody"


@pytest.mark.parametrize(
    "body", [b"", b"zz\r\n", b"-1\r\n", b"9" * 20000, b"ffffffffffffffff\r\n", b"3\r\nabcd\r\n0\r\n\r\n"]
)
def test_broken_framing(body: bytes) -> None:
    request, identity = open_request("STREAMING-UNSIGNED-PAYLOAD-TRAILER")
    assert refusal(request, identity, body) in {"InvalidRequest", "IncompleteBody"}


def test_digest_of_a_plain_body() -> None:
    request, identity = open_request(hashlib.sha256(DATA).hexdigest())
    assert read(request, identity, DATA) == DATA
    assert refusal(request, identity, DATA + b"x") == "XAmzContentSHA256Mismatch"
    request, identity = open_request("UNSIGNED-PAYLOAD")
    assert read(request, identity, b"anything") == b"anything"

"""The checksums of S3: ten algorithms, over a whole object or composed of its parts' checksums.

Every algorithm looks like hashlib's: `update(bytes)`, `digest()`. Checksums travel as base64 of the digest.
"""

import base64
import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol


class Digest(Protocol):
    """A running checksum; `digest` is big-endian."""

    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


class Crc32:
    """CRC-32 of ISO 3309, as zlib computes it."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


class _CrtCrc:
    """A CRC computed by the AWS Common Runtime, which is loaded when the first one is made."""

    def __init__(self, name: str, width: int) -> None:
        self._crc: Callable[[bytes, int], int] = getattr(_crt(), name)
        self._width = width
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = self._crc(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._width, "big")


class _XxHash:
    """A hash of the XXHash family, of the AWS Common Runtime."""

    def __init__(self, name: str) -> None:
        self._hash: Any = getattr(_crt().XXHash, name)()

    def update(self, data: bytes, /) -> None:
        self._hash.update(data)

    def digest(self) -> bytes:
        return bytes(self._hash.finalize())


ALGORITHMS: Mapping[str, Callable[[], Digest]] = {
    "CRC32": Crc32,
    "CRC32C": partial(_CrtCrc, "crc32c", 4),
    "CRC64NVME": partial(_CrtCrc, "crc64nvme", 8),
    "SHA1": partial(hashlib.sha1, usedforsecurity=False),
    "SHA256": hashlib.sha256,
    "SHA512": hashlib.sha512,
    "MD5": partial(hashlib.md5, usedforsecurity=False),
    "XXHASH64": partial(_XxHash, "new_xxhash64"),
    "XXHASH3": partial(_XxHash, "new_xxhash3_64"),
    "XXHASH128": partial(_XxHash, "new_xxhash3_128"),
}

# What S3 computes when the client asks for none.
DEFAULT_ALGORITHM = "CRC64NVME"

# By the name that the header `x-amz-checksum-<name>` carries.
TRAILER_CHECKSUMS: Mapping[str, Callable[[], Digest]] = {name.lower(): make for name, make in ALGORITHMS.items()}

_COMBINE = {"CRC32": "combine_crc32", "CRC32C": "combine_crc32c", "CRC64NVME": "combine_crc64nvme"}

FULL_OBJECT = "FULL_OBJECT"
COMPOSITE = "COMPOSITE"


def new(algorithm: str) -> Digest:
    """Return a running checksum of a known algorithm."""
    return ALGORITHMS[algorithm]()


def encode(digest: bytes) -> str:
    """Return the text form of a digest."""
    return base64.b64encode(digest).decode()


def of_bytes(algorithm: str, data: bytes) -> str:
    """Return the checksum of `data` as text."""
    running = ALGORITHMS[algorithm]()
    running.update(data)
    return encode(running.digest())


def types_of(algorithm: str) -> tuple[str, ...]:
    """Return the checksum types a multipart upload may have with `algorithm`, S3's default first."""
    if algorithm == "CRC64NVME":
        return (FULL_OBJECT,)
    return (COMPOSITE, FULL_OBJECT) if algorithm in _COMBINE else (COMPOSITE,)


def composite(algorithm: str, parts: Sequence[str]) -> str:
    """Return the checksum of the parts' checksums, with the number of parts: `<base64>-<n>`."""
    return f"{of_bytes(algorithm, b''.join(base64.b64decode(part) for part in parts))}-{len(parts)}"


def full_object(algorithm: str, parts: Sequence[tuple[str, int]]) -> str:
    """Return the checksum of all bytes from the (checksum, size) of each part, without reading them again."""
    combine = getattr(_crt(), _COMBINE[algorithm])
    width = 8 if algorithm == "CRC64NVME" else 4
    value = 0
    for text, size in parts:
        value = combine(value, int.from_bytes(base64.b64decode(text), "big"), size)
    return encode(value.to_bytes(width, "big"))


def _crt() -> Any:
    from awscrt import checksums  # type: ignore[import-untyped]

    return checksums

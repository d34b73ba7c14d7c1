"""What the object index holds: buckets, object versions, multipart uploads and their parts.

Stored as JSON without the fields that are empty, so a record of an older release lacks what it did not know.
"""

from dataclasses import dataclass, field
from typing import Any, Self

import orjson

from clary.kernel.wire.scalars import iso8601_millis

STANDARD = "STANDARD"
NULL_VERSION = "null"


class _Stored:
    """JSON to and from the fields of a dataclass; every field needs a default, and empty values are left out."""

    __slots__ = ()

    def to_bytes(self) -> bytes:
        names: tuple[str, ...] = self.__slots__
        return orjson.dumps({name: value for name in names if (value := getattr(self, name))})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        return cls(**orjson.loads(data))


@dataclass(slots=True)
class Bucket(_Stored):
    """A bucket; `created` in epoch seconds. `versioning` is "", "Enabled" or "Suspended"."""

    name: str = ""
    account: str = ""
    region: str = ""
    created: float = 0.0
    versioning: str = ""
    # Whether events are to be recorded; the rules stand in the bucket's documents.
    notifies: bool = False


@dataclass(slots=True)
class ObjectVersion(_Stored):
    """One version of an object, or a delete marker.

    `blob` names the file that holds the bytes. `place` orders the versions of a key: the smaller, the newer; it is also
    the version id, unless the version is the null version. `headers` are keyed by wire member (`ContentType`, ...).
    """

    blob: str = ""
    size: int = 0
    etag: str = ""
    modified: float = 0.0
    place: str = ""
    versioned: bool = False
    marker: bool = False
    storage_class: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    # Base64 by algorithm; `checksum_type` is FULL_OBJECT or COMPOSITE.
    checksums: dict[str, str] = field(default_factory=dict)
    checksum_type: str = ""
    # The parts of a multipart upload, in order: [part number, size, base64 checksum or ""].
    parts: list[list[Any]] = field(default_factory=list)
    encryption: dict[str, Any] = field(default_factory=dict)
    # The multipart upload it was made by, so that completing it once more finds it done.
    upload: str = ""

    @property
    def version_id(self) -> str:
        return self.place if self.versioned else NULL_VERSION

    def to_bytes(self) -> bytes:
        """Return the words of listings, a line of their own so that these need not parse the rest, and the JSON."""
        return self._listing_words().encode() + b"\n" + _Stored.to_bytes(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> "ObjectVersion":
        return cls(**orjson.loads(data[data.index(b"\n") + 1 :]))

    def _listing_words(self) -> str:
        """Return what S3's listings say of an object besides its key, in their XML."""
        words = f'<LastModified>{iso8601_millis(self.modified)}</LastModified><ETag>"{self.etag}"</ETag>'
        for algorithm in self.checksums:
            words += f"<ChecksumAlgorithm>{algorithm}</ChecksumAlgorithm>"
        if self.checksums:
            words += f"<ChecksumType>{self.checksum_type}</ChecksumType>"
        return f"{words}<Size>{self.size}</Size><StorageClass>{self.storage_class or STANDARD}</StorageClass>"


@dataclass(slots=True)
class Upload(_Stored):
    """A multipart upload under way; the content fields are those of the object it will become."""

    id: str = ""
    bucket: str = ""
    key: str = ""
    account: str = ""
    initiated: float = 0.0
    algorithm: str = ""
    checksum_type: str = ""
    storage_class: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    encryption: dict[str, Any] = field(default_factory=dict)
    # The file it grows in, and the bytes from one part's place in it to the next (see `assembly`).
    assembly: str = ""
    stride: int = 0


@dataclass(slots=True)
class Part(_Stored):
    """One part of an upload; `checksums` by algorithm. `in_assembly`: in its slot of the upload's own file."""

    number: int = 0
    blob: str = ""
    size: int = 0
    etag: str = ""
    modified: float = 0.0
    checksums: dict[str, str] = field(default_factory=dict)
    in_assembly: bool = False


@dataclass(frozen=True, slots=True)
class Content:
    """What a client says about an object besides its bytes."""

    headers: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    storage_class: str = ""
    encryption: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Claim:
    """What the bytes of an object must turn out to be.

    `checksums` are base64 by algorithm, "" where only the computation is asked for; `md5` is Content-MD5.
    """

    checksums: dict[str, str] = field(default_factory=dict)
    md5: str = ""
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold of the current version for a write to happen. ETags without quotes; "*" means any version."""

    if_match: str | None = None
    if_none_match: str | None = None
    if_modified: float | None = None
    if_size: int | None = None


ALWAYS = Condition()

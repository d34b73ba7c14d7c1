"""What a shim needs of the platform, and no more: objects, log streams, metrics and wake-ups.

Narrow on purpose: a shim opens these by the home folder alone, and a test may hand it others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class ClientFault(Exception):
    """What the user gave cannot be used: an object is missing, a manifest is malformed. The message is the reason."""


@dataclass(frozen=True)
class Item:
    """One object in a bucket."""

    key: str
    size: int


class ObjectStore(Protocol):
    """Objects by bucket and key. Missing buckets and keys raise ClientFault with the URI in the message."""

    def list(self, bucket: str, prefix: str) -> Iterator[Item]:
        """Objects whose key begins with `prefix`, in byte order of their keys."""

    def open(self, bucket: str, key: str) -> Path:
        """A file with the object's bytes. Never write to it: it may be the object itself."""

    def put(self, bucket: str, key: str, path: Path) -> None:
        """Store the file's bytes as the object, whole or not at all; durable once returned."""


class Telemetry(Protocol):
    """Where log lines and metric values go."""

    def log(self, group: str, stream: str, events: Sequence[tuple[int, str]]) -> None:
        """Append (milliseconds, message) events."""

    def metric(
        self,
        namespace: str,
        dimensions: dict[str, str],
        values: Sequence[tuple[str, float, float]],
        unit: str = "None",
    ) -> None:
        """Record (name, value, epoch seconds) values."""


class Services(Protocol):
    """The platform as one shim sees it."""

    @property
    def objects(self) -> ObjectStore: ...

    @property
    def telemetry(self) -> Telemetry: ...

    def package(self, uri: str) -> Path:
        """A file with the bytes of an object of the platform's own. Never write to it. Raises ClientFault."""

    def wake(self, topic: str, key: str) -> None:
        """Hint that there is something new to see; may be lost."""

    def close(self) -> None:
        """Let go of everything, when nothing more is asked."""


def split_uri(uri: str) -> tuple[str, str]:
    """(bucket, key or prefix) of an s3:// URI."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme not in {"s3", "s3a", "s3n"} or not bucket:
        raise ClientFault(f'"{uri}" is not an S3 URI: it must look like s3://bucket/key.')
    return bucket, key

"""Where inputs come from and answers go: S3, as far as the endpoint's role may go."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import NamedTuple

from clary.kernel.auth import policies
from clary.kernel.auth.principals import Principal
from clary.kernel.core.arns import partition_of
from clary.kernel.core.errors import AwsError
from clary.kernel.objects.records import Content
from clary.kernel.objects.uri import normal_s3_uri, parse_s3_uri
from clary.kernel.rooms import Platform
from clary.kernel.rooms.roles import role_principal
from clary.systems.async_inference.records import Request

LARGEST_BYTES = 1 << 30
_PIECE_BYTES = 1 << 20


def output_location(base: str | None, extension: str | None, name: str) -> str:
    """Where an answer called `name` goes, below the endpoint's output path; empty when it has none."""
    return _below(base, "S3OutputPath", extension, name)


def failure_location(base: str | None, extension: str | None, name: str) -> str:
    """Where it is said why there is no answer called `name`; empty when the endpoint has no failure path."""
    stem = name.rpartition(".")[0] or name
    return _below(base, "S3FailurePath", extension, f"{stem}-error.out")


def _below(base: str | None, member: str, extension: str | None, name: str) -> str:
    if not base:
        return ""
    parts = [normal_s3_uri(base, member).rstrip("/"), (extension or "").strip("/"), name]
    return "/".join(part for part in parts if part)


class Payload(NamedTuple):
    """A request's or an answer's body: few bytes as `data`, many in the file `path`, which nobody changes."""

    size: int
    data: bytes = b""
    path: Path | None = None

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The bytes, a piece at a time; the file is read on another thread."""
        if self.path is None:
            if self.data:
                yield self.data
            return
        file = await asyncio.to_thread(self.path.open, "rb", 0)
        try:
            while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
                yield piece
        finally:
            file.close()


class Places:
    """S3 for one request. Everything here blocks; what S3 or the role's policies refuse is an AwsError."""

    def __init__(self, platform: Platform, request: Request) -> None:
        self._platform = platform
        self._account = request.account
        self._region = request.region
        self._principal = acting(platform, request)

    def get(self, uri: str) -> Payload:
        """What an object holds. Raises AwsError, also for one that is too large."""
        bucket, key = parse_s3_uri(uri)
        self._require("s3:GetObject", bucket, key)
        found = self._platform.objects.read(bucket, key, account=self._account)
        if found.version.marker:
            raise AwsError("NoSuchKey", "The specified key does not exist.", status=404)
        if found.version.size > LARGEST_BYTES:
            raise AwsError("EntityTooLarge", f"It has {found.version.size} bytes; at most {LARGEST_BYTES} are taken.")
        return Payload(found.version.size, found.data or b"", found.path)

    def put(self, uri: str, payload: Payload, content_type: str | None) -> None:
        """Store an object, whole or not at all; durable once returned."""
        bucket, key = parse_s3_uri(uri)
        self._require("s3:PutObject", bucket, key)
        content = Content(headers={"ContentType": content_type} if content_type else {})
        objects = self._platform.objects
        if payload.path is None:
            objects.put_bytes(bucket, key, payload.data, content=content, account=self._account)
        else:
            objects.put_file(bucket, key, payload.path, content=content, account=self._account)

    def _require(self, action: str, bucket: str, key: str) -> None:
        resource = f"arn:{partition_of(self._region)}:s3:::{bucket}/{key}"
        decision = policies.authorize(self._principal, action, resource)
        if not decision.allowed:
            raise policies.denied(self._principal, action, resource, decision)


def acting(platform: Platform, request: Request) -> Principal:
    """Who acts for a request. Raises ValidationException when its role is gone."""
    return role_principal(platform, request.role) if request.role else Principal("root", request.account)

"""Objects in S3: made a piece at a time, compressed on the way, stored whole or not at all, as the role may."""

import contextlib
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from clary.kernel.auth import policies
from clary.kernel.core.arns import partition_of
from clary.kernel.core.errors import AwsError
from clary.kernel.core.ids import new_id
from clary.kernel.objects.keys import check_key
from clary.kernel.objects.records import Content
from clary.kernel.rooms import Platform
from clary.kernel.rooms.roles import role_principal
from clary.kernel.store import Entry
from clary.systems.firehose.compression import Compressor, compressor
from clary.systems.firehose.configurations import extension_of, is_converted
from clary.systems.firehose.prefixes import Names, Naming
from clary.systems.firehose.records import DeliveryStream, role_of

# Of an object in the making. A delivery stream with partitions has hundreds of them.
_IN_MEMORY_BYTES = 8 * 1024 * 1024
_IN_MEMORY_OF_MANY_BYTES = 512 * 1024
_CONTENT_TYPE = "application/octet-stream"


class Trouble(Exception):
    """An object could not be stored: AWS's error code and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


class Stored(NamedTuple):
    """An object, and how many bytes it has."""

    key: str
    size: int


class Target:
    """Where one S3 configuration has objects put."""

    def __init__(
        self, platform: Platform, stream: Entry[DeliveryStream], part: Mapping[str, Any], names: Names
    ) -> None:
        self._platform = platform
        self._stream = stream
        self._names = names
        self._role = role_of(stream.value, part)
        self.bucket_arn: str = part["BucketARN"]
        self._bucket = self.bucket_arn.rpartition(":")[2]
        self._compression: str = part["CompressionFormat"]
        self._extension = extension_of(part)
        # What converted objects end with says nothing of the lines in the error output.
        self._error_extension = "" if is_converted(part) else self._extension
        self._encryption = _encryption(part["EncryptionConfiguration"])
        self.logging: Mapping[str, Any] = part["CloudWatchLoggingOptions"]

    def naming(self, offset: int, at_ms: int, lane: str, partition: Mapping[str, str], error_type: str) -> Naming:
        """How an object is named whose oldest record is the one at `offset`: the same whenever it is made."""
        seed = uuid.uuid5(uuid.NAMESPACE_URL, f"{self._stream.value.buffer}/{offset}/{lane}")
        return Naming(at_ms / 1000, str(seed), partition, error_type)

    def suffix(self, naming: Naming) -> str:
        extension = self._error_extension if naming.error_type else self._extension
        return self._names.suffix(self._stream.name, self._stream.value.revision, naming, extension)

    def compressor(self, naming: Naming) -> Compressor:
        return compressor(self._compression, self.suffix(naming).removesuffix(self._extension))

    def check(self, naming: Naming) -> None:
        """Raise Trouble when no object can be named so."""
        try:
            check_key(self._names.of(naming, self.suffix(naming)))
        except KeyError as error:
            raise Trouble(
                "DynamicPartitioning.MetadataExtractionFailed", f"there is no partition key {error.args[0]}"
            ) from None
        except (ValueError, AwsError) as error:
            raise Trouble("DynamicPartitioning.InvalidS3Prefix", str(error)) from None

    def put(self, naming: Naming, content: bytes | Path) -> Stored:
        """Store an object over one of the same name; it is durable once returned. Raises Trouble."""
        try:
            key = self._names.of(naming, self.suffix(naming))
            self._require(key)
            objects = self._platform.objects
            meta = Content(headers={"ContentType": _CONTENT_TYPE}, encryption=self._encryption)
            account = self._stream.account
            if isinstance(content, bytes):
                version = objects.put_bytes(self._bucket, key, content, content=meta, account=account)
            else:
                version = objects.put_file(self._bucket, key, content, content=meta, account=account)
            return Stored(key, version.size)
        except AwsError as error:
            raise Trouble(*_said(error)) from None
        except (OSError, ValueError) as error:
            raise Trouble("S3.InternalError", str(error)) from None

    def _require(self, key: str) -> None:
        resource = f"arn:{partition_of(self._stream.region)}:s3:::{self._bucket}/{key}"
        principal = role_principal(self._platform, self._role)
        decision = policies.authorize(principal, "s3:PutObject", resource)
        if not decision.allowed:
            raise policies.denied(principal, "s3:PutObject", resource, decision)


def _encryption(configuration: Mapping[str, Any]) -> dict[str, Any]:
    key = configuration.get("KMSEncryptionConfig", {}).get("AWSKMSKeyARN")
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if key else {}


def _said(error: AwsError) -> tuple[str, str]:
    """AWS's code and words for what S3 or the role's policies refused."""
    if error.code == "NoSuchBucket":
        return "S3.NoSuchBucket", "The specified bucket does not exist. Create the bucket or use a different one."
    if error.code.startswith("AccessDenied") or error.code == "ValidationException":
        return (
            "S3.AccessDenied",
            "Access was denied. Ensure that the trust policy for the provided IAM role allows Firehose to assume the "
            f"role, and the access policy allows access to the S3 bucket. {error.message}",
        )
    return f"S3.{error.code}", error.message


class Draft:
    """An object in the making: in memory while it is small, in a file of `folder` when it is not."""

    def __init__(self, target: Target, naming: Naming, folder: Path) -> None:
        self._target = target
        self._naming = naming
        self._folder = folder
        self._most_held = _IN_MEMORY_OF_MANY_BYTES if naming.partition else _IN_MEMORY_BYTES
        self._compressor = target.compressor(naming)
        self._held = bytearray()
        self._path: Path | None = None
        self._file: int | None = None
        self._finished = False

    def add(self, data: bytes) -> None:
        """Write more. Raises OSError when the disk is full."""
        self._held += self._compressor.add(data)
        if len(self._held) > self._most_held:
            self._spill()

    def store(self) -> Stored:
        """Finish and store it; again when that failed. Raises Trouble."""
        try:
            if not self._finished:
                self._held += self._compressor.finish()
                self._finished = True
            if self._path is None:
                return self._target.put(self._naming, bytes(self._held))
            self._spill()
            return self._target.put(self._naming, self._path)
        except OSError as error:
            raise Trouble("S3.InternalError", str(error)) from None

    def discard(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()
            self._path = None

    def _spill(self) -> None:
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._path = self._folder / new_id()
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        view = memoryview(self._held)
        while view:
            view = view[os.write(self._file, view) :]
        view.release()
        self._held = bytearray()

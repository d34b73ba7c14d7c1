"""S3 as a caller may use it: each read, listing and write is asked about as the s3 room would."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from clary.kernel.auth import policies
from clary.kernel.auth.principals import Principal
from clary.kernel.core.arns import partition_of
from clary.kernel.objects import parse_s3_uri, s3_uri
from clary.kernel.objects.keys import check_key
from clary.kernel.objects.records import ALWAYS, Content
from clary.kernel.rooms import Platform
from clary.lake.engine.pool import link
from clary.systems.athena.contract import ListedObject

_SSE = {"SSE_S3": "AES256", "SSE_KMS": "aws:kms"}
_CONTENT_TYPE = "application/octet-stream"


class Access:
    """The objects of an account, as a principal of it may use them. Refusals are S3's."""

    def __init__(self, platform: Platform, principal: Principal, account: str, region: str) -> None:
        self._objects = platform.objects
        self._principal = principal
        self._account = account
        self._region = region

    def read(self, uri: str) -> Path:
        """A file with an object's bytes. Never write to it: it is the object."""
        bucket, key = parse_s3_uri(uri)
        self._require("s3:GetObject", f"{bucket}/{key}")
        return self._objects.local_path(bucket, key, account=self._account)

    def link(self, uri: str, path: Path) -> None:
        link(self.read(uri), path)

    def list(self, prefix: str) -> Iterator[ListedObject]:
        """The objects whose URI begins with `prefix`, in order."""
        bucket, key = parse_s3_uri(prefix)
        self._require("s3:ListBucket", bucket, {"s3:prefix": key})
        for listed in self._objects.list(bucket, key, account=self._account):
            yield ListedObject(s3_uri(bucket, listed.key), listed.size, listed.etag, listed.modified)

    def put(self, uri: str, content: Path | bytes, settings: Mapping[str, Any] | None = None) -> None:
        """Store an object, encrypted as the settings for results say."""
        bucket, key = parse_s3_uri(uri)
        self._require("s3:PutObject", f"{bucket}/{key}")
        said = Content(headers={"ContentType": _CONTENT_TYPE}, encryption=_encryption(settings or {}))
        if isinstance(content, bytes):
            self._objects.put_bytes(bucket, key, content, content=said, account=self._account)
        else:
            self._objects.put_file(bucket, key, content, content=said, account=self._account)

    def check_put(self, uri: str) -> None:
        """Raise AwsError where an object could not be stored now."""
        bucket, key = parse_s3_uri(uri)
        self._require("s3:PutObject", f"{bucket}/{key}")
        self._objects.buckets.get(bucket, self._account)
        check_key(key)

    def check_delete(self, uris: Sequence[str]) -> None:
        """Raise AwsError where objects may not be removed."""
        for uri in uris:
            bucket, key = parse_s3_uri(uri)
            self._require("s3:DeleteObject", f"{bucket}/{key}")

    def delete(self, uris: Sequence[str]) -> None:
        """Remove objects; what is not there is removed already."""
        self.check_delete(uris)
        by_bucket: dict[str, list[str]] = {}
        for uri in uris:
            bucket, key = parse_s3_uri(uri)
            by_bucket.setdefault(bucket, []).append(key)
        for bucket, keys in by_bucket.items():
            gone = self._objects.delete_many(bucket, [(key, None, ALWAYS) for key in keys], account=self._account)
            for each in gone:
                if each.error is not None:
                    raise each.error

    def _require(self, action: str, name: str, context: Mapping[str, str] | None = None) -> None:
        if self._principal.permissions is None or self._principal.permissions.everything:
            return
        resource = f"arn:{partition_of(self._region)}:s3:::{name}"
        about = {"aws:requestedregion": self._region, **(context or {})}
        decision = policies.authorize(self._principal, action, resource, about)
        if not decision.allowed:
            raise policies.denied(self._principal, action, resource, decision)


def _encryption(settings: Mapping[str, Any]) -> dict[str, Any]:
    asked = settings.get("EncryptionConfiguration") or {}
    option = asked.get("EncryptionOption")
    if not option:
        return {}
    key = asked.get("KmsKey")
    return {"ServerSideEncryption": _SSE[option], **({"SSEKMSKeyId": key} if key and option == "SSE_KMS" else {})}

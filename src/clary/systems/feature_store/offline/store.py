"""The offline store of one feature group, as those who write it see it; and how an object of it is put on S3."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clary.kernel.auth import policies
from clary.kernel.core.arns import partition_of
from clary.kernel.core.errors import AwsError
from clary.kernel.objects import parse_s3_uri
from clary.kernel.objects.records import Content
from clary.kernel.rooms import Platform
from clary.kernel.rooms.roles import role_principal
from clary.systems.feature_store.offline import layout
from clary.systems.feature_store.offline.configuration import ICEBERG

_CONTENT_TYPE = "application/octet-stream"
_PROBE = "_probe"


class Blocked(Exception):
    """The store cannot be written now; the message says why, and what to do, to the owner of the group."""


@dataclass(frozen=True, slots=True)
class Store:
    """What writing a group's offline store takes. `role` is what it acts as on S3; `config` is the completed one."""

    uid: str
    account: str
    region: str
    role: str
    definitions: Sequence[Mapping[str, Any]]
    event_time: str
    config: Mapping[str, Any]

    @property
    def location(self) -> str:
        """The URI of the folder of the data."""
        found: str = self.config["S3StorageConfig"]["ResolvedOutputS3Uri"]
        return found

    @property
    def event_time_type(self) -> str:
        return next(str(each["FeatureType"]) for each in self.definitions if each["FeatureName"] == self.event_time)

    @property
    def is_iceberg(self) -> bool:
        return self.config.get("TableFormat") == ICEBERG

    @property
    def table(self) -> tuple[str, str] | None:
        """Database and name of the table that the store keeps in the catalog; None where its owner does, or nobody."""
        if self.config["DisableGlueTableCreation"]:
            return None
        catalog = self.config["DataCatalogConfig"]
        return catalog["Database"].lower(), catalog["TableName"].lower()


def put(platform: Platform, store: Store, path: str, data: bytes) -> None:
    """Store an object below the store's location, over one of the same name; durable once returned. Raises Blocked."""
    bucket, prefix = parse_s3_uri(store.location)
    key = f"{prefix}/{path}"
    try:
        _require(platform, store, bucket, key)
        platform.objects.put_bytes(bucket, key, data, content=_content(store), account=store.account)
    except AwsError as error:
        raise Blocked(_said(error, store)) from None
    except OSError as error:
        raise Blocked(f"The offline store at {store.location} cannot be written: {error}") from None


def check(platform: Platform, store: Store) -> None:
    """Raise Blocked, saying why, where the bucket is missing or the role may not write there."""
    bucket, prefix = parse_s3_uri(store.location)
    try:
        platform.objects.buckets.get(bucket, store.account)
        _require(platform, store, bucket, f"{prefix}/{_PROBE}")
    except AwsError as error:
        raise Blocked(_said(error, store)) from None


def partition_moment(store: Store, event_time: str) -> Any:
    """When the event of a record was, in UTC."""
    return layout.moment_of(event_time, store.event_time_type)


def _require(platform: Platform, store: Store, bucket: str, key: str) -> None:
    resource = f"arn:{partition_of(store.region)}:s3:::{bucket}/{key}"
    principal = role_principal(platform, store.role)
    decision = policies.authorize(principal, "s3:PutObject", resource)
    if not decision.allowed:
        raise policies.denied(principal, "s3:PutObject", resource, decision)


def _content(store: Store) -> Content:
    key = store.config["S3StorageConfig"].get("KmsKeyId")
    encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if key else {}
    return Content(headers={"ContentType": _CONTENT_TYPE}, encryption=encryption)


def _said(error: AwsError, store: Store) -> str:
    if error.code == "NoSuchBucket":
        return f"The bucket of {store.location} does not exist: create it, or make a feature group with another S3Uri."
    if error.code.startswith("AccessDenied"):
        return f"The role of the feature group may not write to {store.location}: {error.message}"
    return f"{error.code}: {error.message}"

"""Buckets and the documents that configure them (CORS rules, lifecycle, policy, ...)."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from clary.kernel.core.clock import Clock
from clary.kernel.core.errors import AwsError
from clary.kernel.kv import KeyValue, Snapshot, Transaction
from clary.kernel.objects import index
from clary.kernel.objects.folders import Folders
from clary.kernel.objects.keys import (
    bucket_key,
    current_prefix,
    document_key,
    documents_prefix,
    span,
    uploads_of_bucket,
    versions_of_bucket,
)
from clary.kernel.objects.records import Bucket

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")
_RESERVED_PREFIXES = ("xn--", "sthree-")
_RESERVED_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")


def check_bucket_name(name: str) -> None:
    """Raise InvalidBucketName unless `name` follows S3's rules for general purpose buckets."""
    good = (
        _NAME.fullmatch(name)
        and ".." not in name
        and not _ADDRESS.fullmatch(name)
        and not name.startswith(_RESERVED_PREFIXES)
        and not name.endswith(_RESERVED_SUFFIXES)
    )
    if not good:
        raise AwsError(
            "InvalidBucketName",
            f"The bucket name '{name}' is not valid: use 3 to 63 lower-case letters, digits, dots and hyphens, "
            "beginning and ending with a letter or digit, and no IP address or reserved prefix or suffix.",
            status=400,
            members={"BucketName": name},
        )


class Buckets:
    """The buckets of one home. `account` None asks nobody's permission; otherwise the account must own the bucket."""

    def __init__(self, kv: KeyValue, folders: Folders, clock: Clock) -> None:
        self._kv = kv
        self._folders = folders
        self._clock = clock

    def create(self, name: str, account: str, region: str, documents: Mapping[str, Any] | None = None) -> bool:
        """Create a bucket with its first configuration documents; say whether it is new.

        Raises BucketAlreadyExists when another account owns it, and BucketAlreadyOwnedByYou when `account` does and
        the bucket is not, and is not asked to be, in us-east-1, where S3 lets creation be repeated.
        """
        check_bucket_name(name)
        new = Bucket(name=name, account=account, region=region, created=self._clock.now())

        def create(tx: Transaction) -> bool:
            data = tx.get(bucket_key(name))
            if data is None:
                tx.put(bucket_key(name), new.to_bytes())
                for document, value in (documents or {}).items():
                    tx.put(document_key(name, document), orjson.dumps(value))
                return True
            existing = Bucket.from_bytes(data)
            if existing.account != account:
                raise AwsError(
                    "BucketAlreadyExists",
                    f"The bucket name '{name}' is taken by another account. Choose another name.",
                    status=409,
                    members={"BucketName": name},
                )
            if not region == existing.region == "us-east-1":
                raise AwsError(
                    "BucketAlreadyOwnedByYou",
                    f"You own the bucket '{name}' already.",
                    status=409,
                    members={"BucketName": name},
                )
            return False

        created = self._kv.write(create)
        self._folders.create(name)
        return created

    def ensure(self, name: str, account: str, region: str) -> None:
        """Create a bucket unless the account owns it already."""
        try:
            self.create(name, account, region)
        except AwsError as error:
            if error.code != "BucketAlreadyOwnedByYou":
                raise

    def delete(self, name: str, account: str | None = None) -> None:
        """Delete an empty bucket. Raises BucketNotEmpty while it has any object, version or upload."""

        def delete(tx: Transaction) -> None:
            index.bucket_of(tx, name, account)
            for prefix in (current_prefix(name), versions_of_bucket(name), uploads_of_bucket(name)):
                if any(tx.scan(*span(prefix), limit=1)):
                    raise AwsError(
                        "BucketNotEmpty",
                        f"The bucket '{name}' is not empty: delete all objects, versions and multipart uploads first.",
                        status=409,
                        members={"BucketName": name},
                    )
            tx.delete(bucket_key(name))
            for key, _ in tx.scan(*span(documents_prefix(name))):
                tx.delete(key)

        self._kv.write(delete)
        self._folders.remove(name)

    def find(self, name: str) -> Bucket | None:
        """Return a bucket, None when there is none of that name."""
        data = self._kv.get(bucket_key(name))
        return None if data is None else Bucket.from_bytes(data)

    def get(self, name: str, account: str | None = None) -> Bucket:
        """Return a bucket. Raises NoSuchBucket or AccessDenied."""
        return self._kv.read(lambda snapshot: index.bucket_of(snapshot, name, account))

    def all(self, account: str | None = None) -> Iterator[Bucket]:
        """Yield the buckets of an account, or all, by name."""
        for _, data in self._kv.scan(*span(b"b")):
            bucket = Bucket.from_bytes(data)
            if account is None or bucket.account == account:
                yield bucket

    def change(self, name: str, account: str | None, change: Callable[[Bucket], None]) -> Bucket:
        """Let `change` alter the record of a bucket."""

        def write(tx: Transaction) -> Bucket:
            bucket = index.bucket_of(tx, name, account)
            change(bucket)
            tx.put(bucket_key(name), bucket.to_bytes())
            return bucket

        return self._kv.write(write)

    def document(self, name: str, document: str, account: str | None = None) -> Any:
        """Return a configuration document, None when the bucket has none of that name. Raises NoSuchBucket."""

        def look(snapshot: Snapshot) -> bytes | None:
            index.bucket_of(snapshot, name, account)
            return snapshot.get(document_key(name, document))

        data = self._kv.read(look)
        return None if data is None else orjson.loads(data)

    def put_document(
        self,
        name: str,
        document: str,
        value: Any,
        account: str | None = None,
        change: Callable[[Bucket], None] | None = None,
    ) -> None:
        """Store a configuration document, or remove it for None; `change` alters the bucket's record with it."""

        def write(tx: Transaction) -> None:
            bucket = index.bucket_of(tx, name, account)
            if value is None:
                tx.delete(document_key(name, document))
            else:
                tx.put(document_key(name, document), orjson.dumps(value))
            if change is not None:
                change(bucket)
                tx.put(bucket_key(name), bucket.to_bytes())

        self._kv.write(write)

    def cors_rules(self, name: str) -> list[dict[str, Any]]:
        """Return the CORS rules of a bucket, none when it has none or does not exist. Cheap: asked often."""
        data = self._kv.get(document_key(name, "cors")) if name else None
        return [] if data is None else list(orjson.loads(data)["CORSRules"])

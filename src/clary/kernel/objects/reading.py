"""Reading of objects: their words, their bytes, and listings of them. It never waits for a writer."""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from clary.kernel.core.errors import AwsError
from clary.kernel.kv import KeyValue, Snapshot
from clary.kernel.objects import index, listing
from clary.kernel.objects.blobs import Blobs, read_range
from clary.kernel.objects.intake import SMALL_BYTES
from clary.kernel.objects.journal import read_work
from clary.kernel.objects.keys import work_key
from clary.kernel.objects.records import ObjectVersion
from clary.kernel.objects.refusals import no_such_key

T = TypeVar("T")

_LIST_BATCH = 1000


class Found(NamedTuple):
    """A version and its bytes: `data` when they are few, else the file `path`."""

    version: ObjectVersion
    data: bytes | None
    path: Path | None


class Reading:
    """What can be read of the objects of one home. `account` None asks nobody's permission."""

    def __init__(self, kv: KeyValue, blobs: Blobs) -> None:
        self._kv = kv
        self._blobs = blobs

    def find(
        self, bucket: str, key: str, version_id: str | None = None, *, account: str | None = None
    ) -> ObjectVersion:
        """Return a version, by default the current one. Raises NoSuchBucket, NoSuchKey, NoSuchVersion."""

        def look(snapshot: Snapshot) -> ObjectVersion:
            index.bucket_of(snapshot, bucket, account)
            return index.find(snapshot, bucket, key, version_id)

        return self._kv.read(look)

    def read(self, bucket: str, key: str, version_id: str | None = None, *, account: str | None = None) -> Found:
        """Return a version and its bytes. The file stays for a minute at least, whatever becomes of the object."""

        def look(snapshot: Snapshot) -> tuple[ObjectVersion, bytes | None]:
            index.bucket_of(snapshot, bucket, account)
            version = index.find(snapshot, bucket, key, version_id)
            work = snapshot.get(work_key(version.blob)) if version.size <= SMALL_BYTES else None
            return version, None if work is None else read_work(version.blob, work).body

        while True:
            version, data = self._kv.read(look)
            if version.marker or data is not None:
                return Found(version, data or b"", None)
            path = self._blobs.path(version.blob)
            try:
                if version.size <= SMALL_BYTES:
                    return Found(version, read_range(path, 0, version.size), None)
                found = self._blobs.find(version.blob)
                if found is not None:
                    return Found(version, None, Path(found))
            except FileNotFoundError:
                pass
            self._check_lost(bucket, key, version)

    def get_bytes(self, bucket: str, key: str, version_id: str | None = None, *, account: str | None = None) -> bytes:
        """Return the bytes of an object, all in memory."""
        found = self.read(bucket, key, version_id, account=account)
        return found.data if found.path is None else found.path.read_bytes()  # type: ignore[return-value]

    def local_path(self, bucket: str, key: str, version_id: str | None = None, *, account: str | None = None) -> Path:
        """Return a file with the bytes of a version. Never write to it: it is the object."""
        found = self.read(bucket, key, version_id, account=account)
        if found.path is not None:
            return found.path
        assert found.data is not None
        path = self._blobs.path(found.version.blob)
        if not os.path.exists(path) or os.path.getsize(path) != found.version.size:
            self._blobs.write_again(found.version.blob, found.data)
        return Path(path)

    def page(
        self,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str = "",
        after: str = "",
        limit: int = 1000,
        account: str | None = None,
    ) -> listing.Page[listing.Listed]:
        """Return one page of current objects and common prefixes."""
        return self.page_of(
            listing.listed, bucket, prefix=prefix, delimiter=delimiter, after=after, limit=limit, account=account
        )

    def page_of(
        self,
        make: Callable[[str, bytes], T],
        bucket: str,
        *,
        prefix: str,
        delimiter: str,
        after: str,
        limit: int,
        account: str | None,
    ) -> listing.Page[T]:
        """Return a page whose entries `make` makes, one of the functions for it in `listing`."""

        def look(snapshot: Snapshot) -> listing.Page[T]:
            index.bucket_of(snapshot, bucket, account)
            return listing.page_of_objects(
                snapshot, bucket, make, prefix=prefix, delimiter=delimiter, after=after, limit=limit
            )

        return self._kv.read(look)

    def page_of_versions(
        self,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str = "",
        after: str = "",
        after_version: str = "",
        limit: int = 1000,
        account: str | None = None,
    ) -> listing.Page[listing.ListedVersion]:
        """Return one page of versions, delete markers and common prefixes."""

        def look(snapshot: Snapshot) -> listing.Page[listing.ListedVersion]:
            index.bucket_of(snapshot, bucket, account)
            return listing.page_of_versions(
                snapshot,
                bucket,
                prefix=prefix,
                delimiter=delimiter,
                after=after,
                after_version=after_version,
                limit=limit,
            )

        return self._kv.read(look)

    def list(self, bucket: str, prefix: str = "", *, account: str | None = None) -> Iterator[listing.Listed]:
        """Yield the current objects whose keys begin with `prefix`, in byte order. Raises NoSuchBucket."""
        self._kv.read(lambda snapshot: index.bucket_of(snapshot, bucket, account))
        return self._listed(bucket, prefix)

    def _listed(self, bucket: str, prefix: str) -> Iterator[listing.Listed]:
        after = ""
        while batch := self._kv.read(partial(_batch, bucket=bucket, prefix=prefix, after=after)):
            yield from batch
            after = batch[-1].key

    def _check_lost(self, bucket: str, key: str, version: ObjectVersion) -> None:
        """Raise unless the file is missing because the object changed since it was looked up."""
        try:
            again = self.find(bucket, key, version.version_id if version.versioned else None)
        except AwsError:
            raise no_such_key(key) from None
        if again.blob == version.blob and self._blobs.find(version.blob) is None:
            raise OSError(f"the bytes of s3://{bucket}/{key} (blob {version.blob}) are missing from {self._blobs.root}")


def _batch(snapshot: Snapshot, *, bucket: str, prefix: str, after: str) -> Sequence[listing.Listed]:
    return listing.objects(snapshot, bucket, prefix, after, _LIST_BATCH)

"""S3 as a tree of files and folders, as Hadoop sees file systems; with the credentials that boto3 finds.

A path is `/bucket/key`. A folder is there when an object lies below it. One that was made and is still empty is
remembered for as long as this process lives, and never becomes an object. A file appears when all of it is stored.
Renaming copies, and then removes what it copied: it is not atomic, as on any S3.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, BinaryIO

_COPIES_AT_ONCE = 8
_DELETED_AT_ONCE = 1000


@dataclass(frozen=True)
class Entry:
    """A file or a folder. `name` is the last part of its path, `modified_ms` is 0 for folders."""

    name: str
    folder: bool
    size: int = 0
    modified_ms: int = 0


class Tree:
    """One S3, through one client; safe to use from many threads."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._made: set[str] = set()
        self._lock = threading.Lock()

    def buckets(self) -> list[str]:
        return [one["Name"] for one in self._client.list_buckets()["Buckets"]]

    def find(self, path: str) -> Entry | None:
        """What is at the path; None for nothing. Raises botocore's ClientError, as all here do."""
        bucket, key = split(path)
        name = path.rpartition("/")[2]
        if not key:
            known = not bucket or self._answers(lambda: self._client.head_bucket(Bucket=bucket)) is not None
            return Entry(name, folder=True) if known else None
        head = self._answers(lambda: self._client.head_object(Bucket=bucket, Key=key))
        if head is not None:
            modified = int(head["LastModified"].timestamp() * 1000)
            return Entry(name, folder=False, size=head["ContentLength"], modified_ms=modified)
        below = self._client.list_objects_v2(Bucket=bucket, Prefix=f"{key}/", MaxKeys=1)
        return Entry(name, folder=True) if below["KeyCount"] or self._is_made(path) else None

    def children(self, path: str) -> list[Entry]:
        """What lies right in a folder, by name."""
        bucket, key = split(path)
        if not bucket:
            return [Entry(name, folder=True) for name in self.buckets()]
        prefix = f"{key}/" if key else ""
        found: dict[str, Entry] = {}
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/")
        for page in pages:
            for one in page.get("CommonPrefixes", ()):
                name = one["Prefix"][len(prefix) : -1]
                found[name] = Entry(name, folder=True)
            for one in page.get("Contents", ()):
                name = one["Key"][len(prefix) :]
                if name and name not in found:
                    modified = int(one["LastModified"].timestamp() * 1000)
                    found[name] = Entry(name, folder=False, size=one["Size"], modified_ms=modified)
        with self._lock:
            made = [one for one in self._made if one.rpartition("/")[0] == path.rstrip("/")]
        for one in made:
            name = one.rpartition("/")[2]
            found.setdefault(name, Entry(name, folder=True))
        return [found[name] for name in sorted(found) if name]

    def open(self, path: str, offset: int, length: int | None) -> tuple[int, Iterator[bytes]]:
        """The number of bytes from `offset` on, at most `length`, and those bytes."""
        bucket, key = split(path)
        size = self._client.head_object(Bucket=bucket, Key=key)["ContentLength"]
        end = size if length is None else min(size, offset + length)
        if offset >= end:
            return 0, iter(())
        body = self._client.get_object(Bucket=bucket, Key=key, Range=f"bytes={offset}-{end - 1}")["Body"]
        return end - offset, body.iter_chunks(1024 * 1024)

    def write(self, path: str, source: BinaryIO) -> None:
        """Store what the source holds, whole or not at all."""
        bucket, key = split(path)
        self._client.upload_fileobj(source, bucket, key)

    def make_folder(self, path: str) -> None:
        """Remember a folder, and those above it."""
        with self._lock:
            while path.count("/") > 1:
                self._made.add(path)
                path = path.rpartition("/")[0]

    def rename(self, source: str, target: str) -> bool:
        """Move a file or a folder; into the target when that is a folder. False when it cannot be."""
        entry, there = self.find(source), self.find(target)
        if entry is None:
            return False
        if there is not None and there.folder:
            target = f"{target}/{entry.name}"
            there = self.find(target)
        if there is not None or target.startswith(f"{source}/"):
            return False
        bucket, key = split(source)
        to_bucket, to_key = split(target)
        keys = self._keys_below(bucket, key) if entry.folder else [key]

        def copy(one: str) -> None:
            self._client.copy({"Bucket": bucket, "Key": one}, to_bucket, to_key + one[len(key) :])

        with ThreadPoolExecutor(_COPIES_AT_ONCE) as pool:
            list(pool.map(copy, keys))
        self._delete(bucket, keys)
        with self._lock:
            moved = {one for one in self._made if one == source or one.startswith(f"{source}/")}
            self._made -= moved
            self._made |= {target + one[len(source) :] for one in moved}
        return True

    def delete(self, path: str, *, recursive: bool) -> bool:
        """Remove a file, or a folder with all below it. False when there is nothing; OSError for a full folder unless
        `recursive`."""
        entry = self.find(path)
        if entry is None:
            return False
        bucket, key = split(path)
        if not key:
            raise OSError(f"{path} is a bucket: delete it through S3")
        if not entry.folder:
            self._delete(bucket, [key])
            return True
        if not recursive and self.children(path):
            raise OSError(f"{path} is not empty")
        self._delete(bucket, self._keys_below(bucket, key))
        with self._lock:
            self._made = {one for one in self._made if one != path and not one.startswith(f"{path}/")}
        return True

    def _keys_below(self, bucket: str, key: str) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{key}/")
        return [one["Key"] for page in pages for one in page.get("Contents", ())]

    def _delete(self, bucket: str, keys: list[str]) -> None:
        for start in range(0, len(keys), _DELETED_AT_ONCE):
            some = [{"Key": key} for key in keys[start : start + _DELETED_AT_ONCE]]
            answer = self._client.delete_objects(Bucket=bucket, Delete={"Objects": some, "Quiet": True})
            for error in answer.get("Errors", ()):
                raise OSError(f"s3://{bucket}/{error['Key']} cannot be deleted: {error['Code']}: {error['Message']}")

    def _is_made(self, path: str) -> bool:
        with self._lock:
            return path in self._made

    def _answers(self, ask: Any) -> Any:
        """The answer; None when what was asked for is not there."""
        from botocore.exceptions import ClientError

        try:
            return ask()
        except ClientError as error:
            if error.response["Error"]["Code"] in {"404", "NoSuchKey", "NoSuchBucket", "NotFound"}:
                return None
            raise


def split(path: str) -> tuple[str, str]:
    """The bucket and the key of a path; empty where it has none."""
    bucket, _, key = path.strip("/").partition("/")
    return bucket, key

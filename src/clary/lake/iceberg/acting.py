"""The objects and the catalog of a home as a principal may use them: an Access for those who have a context."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from clary.kernel.auth import policies
from clary.kernel.objects import parse_s3_uri, s3_uri
from clary.kernel.objects.records import ALWAYS
from clary.kernel.rooms import Context
from clary.lake.iceberg.access import s3_location


class ListedObject(NamedTuple):
    """An object of a listing."""

    uri: str
    size_bytes: int
    modified_at: float


class ContextAccess:
    """What the caller of a context may do, in the buckets of its account. `folder` is whoever's makes it to remove."""

    def __init__(self, ctx: Context, folder: Path) -> None:
        self._ctx = ctx
        self._objects = ctx.platform.objects
        self.folder = folder

    def call(self, operation: str, *, service: str = "glue", **params: Any) -> dict[str, Any]:
        return self._ctx.call(service, operation, params)

    def link(self, uri: str, path: Path) -> None:
        bucket, key = self._allowed("s3:GetObject", uri)
        source = self._objects.local_path(bucket, key, account=self._ctx.account)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, path)
        except OSError:  # another file system, or one without links
            shutil.copyfile(source, path)

    def objects(self, prefix: str) -> Sequence[ListedObject]:
        bucket, key = parse_s3_uri(s3_location(prefix))
        self._require("s3:ListBucket", bucket)
        return [
            ListedObject(s3_uri(bucket, each.key), each.size, each.modified)
            for each in self._objects.list(bucket, key, account=self._ctx.account)
        ]

    def put(self, uri: str, path: Path) -> None:
        bucket, key = self._allowed("s3:PutObject", uri)
        self._objects.put_file(bucket, key, path, account=self._ctx.account)

    def delete(self, uris: Sequence[str]) -> None:
        for uri in uris:
            self._allowed("s3:DeleteObject", uri)
        self.discard(uris)

    def discard(self, uris: Sequence[str]) -> None:
        by_bucket: dict[str, list[str]] = {}
        for uri in uris:
            bucket, key = parse_s3_uri(s3_location(uri))
            by_bucket.setdefault(bucket, []).append(key)
        for bucket, keys in by_bucket.items():
            self._objects.delete_many(bucket, [(key, None, ALWAYS) for key in keys], account=self._ctx.account)

    def _allowed(self, action: str, uri: str) -> tuple[str, str]:
        bucket, key = parse_s3_uri(s3_location(uri))
        self._require(action, f"{bucket}/{key}")
        return bucket, key

    def _require(self, action: str, resource: str) -> None:
        arn = f"arn:{self._ctx.partition}:s3:::{resource}"
        decision = policies.authorize(self._ctx.principal, action, arn)
        if not decision.allowed:
            raise policies.denied(self._ctx.principal, action, arn, decision)

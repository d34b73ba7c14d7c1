"""A statement that runs by itself, over a platform without a server: what the room's own `Running` is to performers."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clary.kernel.core.ids import new_uuid
from clary.kernel.objects import parse_s3_uri, s3_uri
from clary.kernel.objects.records import Content
from clary.kernel.rooms import Platform
from clary.kernel.rooms.tests.in_process import ACCOUNT, REGION
from clary.systems.athena.contract import ListedObject, Outcome
from clary.systems.athena.language.parsing import parse
from clary.systems.athena.performers import performer


class Lone:
    """A statement that runs as the account's root, in the database `db`, and puts its results below `s3://data/out`."""

    def __init__(self, platform: Platform, folder: Path) -> None:
        self._platform = platform
        self.execution_id = new_uuid()
        self.catalog, self.database = "awsdatacatalog", "db"
        self.output = f"s3://data/out/{self.execution_id}"
        self.folder = folder
        self.ctx = platform.acting_as_root(ACCOUNT, REGION, "athena", "ListEngineVersions")

    def call(self, operation: str, *, service: str = "glue", **params: Any) -> dict[str, Any]:
        return self.ctx.call(service, operation, params)

    def link(self, uri: str, path: Path) -> None:
        bucket, key = parse_s3_uri(uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(self._platform.objects.local_path(bucket, key, account=ACCOUNT), path)

    def objects(self, prefix: str) -> Sequence[ListedObject]:
        bucket, key = parse_s3_uri(prefix)
        found = self._platform.objects.list(bucket, key, account=ACCOUNT)
        return [ListedObject(s3_uri(bucket, each.key), each.size, each.etag, each.modified) for each in found]

    def put(self, uri: str, path: Path) -> None:
        bucket, key = parse_s3_uri(uri)
        copy = path.with_name(path.name + ".put")
        shutil.copyfile(path, copy)
        self._platform.objects.put_file(bucket, key, copy, content=Content(), account=ACCOUNT)

    def delete(self, uris: Sequence[str]) -> None:
        for uri in uris:
            bucket, key = parse_s3_uri(uri)
            self._platform.objects.delete(bucket, key, account=ACCOUNT)

    def run(self, task: Any) -> Any:
        raise AssertionError("DDL asks no engine")

    def check(self) -> None:
        pass

    def perform(self, text: str, *parameters: str) -> Outcome:
        statement = parse(text, parameters)
        return performer(statement)(self, statement)

    def rows(self, text: str) -> list[str]:
        """What a statement answers, a text for each row."""
        return ["\t".join(value or "" for value in row) for row in self.perform(text).rows or ()]

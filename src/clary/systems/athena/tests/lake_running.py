"""A `Running` for tests of planning: what it calls, lists and reads is a server's, through its clients."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from botocore import xform_name

from clary.kernel.core.clock import SystemClock
from clary.systems.athena.contract import ListedObject
from clary.testing import Server


class ServerRunning:
    """Calls a server as its root; `calls` are the operations that were called, and how objects were listed."""

    execution_id, catalog, database, output = "execution-1", "awsdatacatalog", "default", "s3://results/execution-1"

    def __init__(self, server: Server, folder: Path, now: float | None = None) -> None:
        self.folder = folder
        self.calls: list[tuple[str, Any]] = []
        self._server = server
        clock = SystemClock() if now is None else SimpleNamespace(now=lambda: now)
        self.ctx: Any = SimpleNamespace(platform=SimpleNamespace(clock=clock))
        self._s3 = server.client("s3")

    def call(self, operation: str, *, service: str = "glue", **params: Any) -> dict[str, Any]:
        self.calls.append((operation, params))
        answer: dict[str, Any] = getattr(self._server.client(service), xform_name(operation))(**params)
        return answer

    def link(self, uri: str, path: Path) -> None:
        path.write_bytes(self._s3.get_object(**self._place(uri))["Body"].read())

    def objects(self, prefix: str) -> Sequence[ListedObject]:
        self.calls.append(("List", prefix))
        place = self._place(prefix)
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=place["Bucket"], Prefix=place["Key"])
        return [
            ListedObject(
                f"s3://{place['Bucket']}/{each['Key']}", each["Size"], each["ETag"], each["LastModified"].timestamp()
            )
            for page in pages
            for each in page.get("Contents", ())
        ]

    def put(self, uri: str, path: Path) -> None:
        self._s3.put_object(**self._place(uri), Body=path.read_bytes())

    def delete(self, uris: Sequence[str]) -> None:
        for uri in uris:
            self._s3.delete_object(**self._place(uri))

    def run(self, task: Any) -> Any:
        raise NotImplementedError("planning runs no task")

    def check(self) -> None:
        """It is never stopped."""

    @staticmethod
    def _place(uri: str) -> dict[str, str]:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        return {"Bucket": bucket, "Key": key}

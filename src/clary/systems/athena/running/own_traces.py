"""The traces of one statement as the platform sees them, whoever its caller is: the `Own` of the contract."""

import shutil
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from clary.kernel.core.ids import new_id
from clary.kernel.rooms import Platform
from clary.lake.engine.pool import FOLDER
from clary.systems.athena.contract import ListedObject
from clary.systems.athena.running.access import Access


class OwnTraces:
    """What a statement stored, and told the catalog, in an account. Close it when done."""

    def __init__(self, platform: Platform, account: str, region: str, execution_id: str, output: str) -> None:
        self.execution_id = execution_id
        self.output = output
        self.ctx = platform.acting_as_root(account, region, "athena", "StartQueryExecution")
        self._access = Access(platform, self.ctx.principal, account, region)

    @cached_property
    def folder(self) -> Path:
        """Where objects are linked to be read: beside the folders of queries, gone with them at the latest."""
        made = self.ctx.platform.settings.home / FOLDER / f"traces-{new_id()}"
        made.mkdir(parents=True)
        return made

    def call(self, operation: str, *, service: str = "glue", **params: Any) -> dict[str, Any]:
        return self.ctx.call(service, operation, params)

    def link(self, uri: str, path: Path) -> None:
        self._access.link(uri, path)

    def objects(self, prefix: str) -> Sequence[ListedObject]:
        return list(self._access.list(prefix))

    def put(self, uri: str, path: Path) -> None:
        self._access.put(uri, path)

    def delete(self, uris: Sequence[str]) -> None:
        self._access.delete(uris)

    def discard(self, uris: Sequence[str]) -> None:
        self._access.delete(uris)

    def close(self) -> None:
        if "folder" in self.__dict__:
            shutil.rmtree(self.folder, ignore_errors=True)

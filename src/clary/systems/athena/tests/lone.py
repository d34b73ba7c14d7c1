"""Statements that run by themselves, over a platform without a server: a `Running` as performers know it."""

import csv
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from clary.kernel.core.ids import new_uuid
from clary.kernel.objects import parse_s3_uri, s3_uri
from clary.kernel.objects.records import Content
from clary.kernel.rooms import Platform
from clary.kernel.rooms.tests.in_process import ACCOUNT, REGION
from clary.lake.engine.tasks import OUT
from clary.systems.athena.contract import ListedObject, Outcome, StatementFailed
from clary.systems.athena.language.parsing import parse
from clary.systems.athena.performers import performer
from clary.systems.athena.statements.undoing import undo

BUCKET = "data"


class Killed(BaseException):
    """The process is gone: nothing that it would do is done any more."""


class Lone:
    """Runs statements as the account's root, in the database `db`; results go below `s3://data/out`.

    `lives` counts what a statement may still do to the world before it is killed; None is for ever.
    """

    catalog, database, work_group, enforced = "awsdatacatalog", "db", "primary", False

    def __init__(self, platform: Platform, folder: Path) -> None:
        self._platform = platform
        self._folder = folder
        self.ctx = platform.acting_as_root(ACCOUNT, REGION, "athena", "ListEngineVersions")
        self.lives: int | None = None
        self.begin()

    def begin(self, execution_id: str = "") -> None:
        """Be another execution; or that one again, which was cut off."""
        self.execution_id = execution_id or new_uuid()
        self.resumed = bool(execution_id)
        self.output = f"s3://{BUCKET}/out/{self.execution_id}"
        self.folder = self._folder / self.execution_id
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / OUT).mkdir(parents=True)

    def call(self, operation: str, *, service: str = "glue", **params: Any) -> dict[str, Any]:
        self._live()
        return self.ctx.call(service, operation, params)

    def link(self, uri: str, path: Path) -> None:
        bucket, key = parse_s3_uri(uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(self._platform.objects.local_path(bucket, key, account=ACCOUNT), path)

    def objects(self, prefix: str) -> Sequence[ListedObject]:
        self._live()
        bucket, key = parse_s3_uri(prefix)
        found = self._platform.objects.list(bucket, key, account=ACCOUNT)
        return [ListedObject(s3_uri(bucket, each.key), each.size, each.etag, each.modified) for each in found]

    def put(self, uri: str, path: Path) -> None:
        self._live()
        bucket, key = parse_s3_uri(uri)
        copy = path.with_name(path.name + ".put")
        shutil.copyfile(path, copy)
        self._platform.objects.put_file(bucket, key, copy, content=Content(), account=ACCOUNT)

    def delete(self, uris: Sequence[str]) -> None:
        for uri in uris:
            self._live()
            bucket, key = parse_s3_uri(uri)
            self._platform.objects.delete(bucket, key, account=ACCOUNT)

    def check_delete(self, uris: Sequence[str]) -> None:
        """Root may remove all."""

    def discard(self, uris: Sequence[str]) -> None:
        self.delete(uris)

    def check_results(self, statement: Any) -> None:
        """There is a bucket for them, and root may write there."""

    def announce(self, outcome: Outcome) -> None:
        self.announced = outcome

    @property
    def own(self) -> "Lone":
        return self

    def run(self, task: Any) -> Any:
        from dataclasses import replace

        from clary.lake.engine.execution import Execution

        self._live()
        execution = Execution(self.folder)
        try:
            return execution.run(replace(task, folder=str(self.folder)), lambda: 0.0)
        finally:
            execution.close()

    def check(self) -> None:
        pass

    def perform(self, text: str, *parameters: str, again: str = "") -> Outcome:
        self.begin(again)
        statement = parse(text, parameters)
        try:
            return performer(statement)(self, statement)
        except Exception:
            undo(self, resumed=self.resumed)
            raise

    def rows(self, text: str) -> list[str]:
        """What a statement answers, a text for each row."""
        return ["\t".join(value or "" for value in row) for row in self.perform(text).rows or ()]

    def select(self, text: str) -> list[list[str]]:
        """The rows of a query, as texts; NULL is as empty as an empty text."""
        result = self.perform(text).result
        assert result is not None
        return list(csv.reader(result.read_text().splitlines()))[1:]

    def uris(self, prefix: str) -> list[str]:
        lives, self.lives = self.lives, None
        found = [each.uri for each in self.objects(f"s3://{BUCKET}/{prefix}")]
        self.lives = lives
        return found

    def _live(self) -> None:
        if self.lives is not None:
            if self.lives <= 0:
                raise Killed
            self.lives -= 1


def document(lone: Lone, name: str) -> dict[str, Any]:
    """A table of the database `db`, as the catalog has it."""
    return lone.call("GetTable", DatabaseName="db", Name=name)["Table"]


def refused(lone: Lone, text: str) -> str:
    """How a statement fails."""
    with pytest.raises(StatementFailed) as failed:
        lone.perform(text)
    return str(failed.value)

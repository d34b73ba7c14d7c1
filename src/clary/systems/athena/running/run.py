"""What a performer may use while its statement runs: the `Running` of the contract, as the caller who asked for it."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clary.kernel.core.clock import Clock
from clary.kernel.rooms import Context
from clary.lake.engine.pool import Engine, EngineLost, Pool
from clary.lake.engine.tasks import Task, TaskCancelled, TaskFailed, TaskResult
from clary.systems.athena.contract import ListedObject, Outcome
from clary.systems.athena.language.statements import Statement
from clary.systems.athena.running import results
from clary.systems.athena.running.access import Access
from clary.systems.athena.running.own_traces import OwnTraces

_TRIES = 2


@dataclass(frozen=True, slots=True)
class Limits:
    """What a query may use. `scanned_bytes` 0 is without limit."""

    memory_bytes: int
    threads: int
    scanned_bytes: int = 0


class TooLong(Exception):
    """The statement ran for longer than it may."""


class TooMuch(Exception):
    """The statement read more than its work group lets it."""


class Abandoned(Exception):
    """The statement is left as it is, to be run again by another process."""


class Run:
    """One statement that runs, in one thread; others may stop it."""

    def __init__(
        self,
        ctx: Context,
        pool: Pool,
        limits: Limits,
        *,
        execution_id: str,
        catalog: str,
        database: str,
        output: str,
        work_group: str,
        settings: Mapping[str, Any],
        ends_at: float,
    ) -> None:
        self.ctx = ctx
        self.execution_id = execution_id
        self.catalog = catalog
        self.database = database
        self.output = output
        self.work_group = work_group
        self.enforced = bool(settings.get("EnforceWorkGroupConfiguration"))
        self.resumed = False
        self.access = Access(ctx.platform, ctx.principal, ctx.account, ctx.region)
        self.own = OwnTraces(ctx.platform, ctx.account, ctx.region, execution_id, output)
        self.announced: results.Stored | None = None
        self.first_task_at: float | None = None
        self.scanned_bytes = 0
        self.scanned_rows = 0
        self.rows = 0
        self.written_bytes = 0
        self._settings = settings
        self._pool = pool
        self._limits = limits
        self._clock: Clock = ctx.platform.clock
        self._ends_at = ends_at
        self._engine: Engine | None = None
        self._lock = threading.Lock()
        self._stopped: type[Exception] | None = None

    # What performers use

    @property
    def folder(self) -> Path:
        """The folder of the query's engine, which it takes when it first needs it."""
        return self._taken().folder

    def call(self, operation: str, *, service: str = "glue", **params: Any) -> dict[str, Any]:
        return self.ctx.call(service, operation, params)

    def link(self, uri: str, path: Path) -> None:
        self.access.link(uri, path)

    def objects(self, prefix: str) -> Sequence[ListedObject]:
        found = []
        for each in self.access.list(prefix):
            found.append(each)
            if len(found) % 1000 == 0:
                self.check()
        return found

    def put(self, uri: str, path: Path) -> None:
        self.access.put(uri, path)

    def delete(self, uris: Sequence[str]) -> None:
        self.access.delete(uris)

    def check_delete(self, uris: Sequence[str]) -> None:
        self.access.check_delete(uris)

    def discard(self, uris: Sequence[str]) -> None:
        self.own.delete(uris)

    def check_results(self, statement: Statement) -> None:
        results.check(self.access, self.output, statement)

    def announce(self, outcome: Outcome) -> None:
        self.announced = results.store(self.access, self.output, outcome, self._settings)

    def run(self, task: Task) -> TaskResult:
        """Do a task; once more when the engine's process is lost on the way. Raises TaskFailed, TaskCancelled."""
        self.check()
        engine = self._taken()
        self.first_task_at = self.first_task_at or self._clock.monotonic()
        limited = replace(
            task,
            folder=str(engine.folder),
            memory_bytes=self._limits.memory_bytes,
            threads=self._limits.threads,
            seconds=max(0.0, self._ends_at - self._clock.monotonic()),
            most_scanned_bytes=max(1, self._limits.scanned_bytes - self.scanned_bytes)
            if self._limits.scanned_bytes
            else 0,
        )
        for tries_left in reversed(range(_TRIES)):
            self.check()
            try:
                done = engine.run(limited)
            except EngineLost:
                self.check()
                if not tries_left:
                    break
                self._pool.renew(engine)
            except TaskFailed as failed:
                self._count_failed(failed)
                raise
            except TaskCancelled:
                self.check()
                raise
            else:
                self._count(done)
                return done
        raise TaskFailed(
            "GENERIC_INTERNAL_ERROR",
            "The process that ran the query ended twice before it was done; it may have needed more memory than it has",
        )

    def check(self) -> None:
        """Raise TaskCancelled when it was stopped, TooLong when its time is over."""
        if self._stopped is not None:
            raise self._stopped
        if self._clock.monotonic() >= self._ends_at:
            raise TooLong

    # What its runner uses

    def stop(self) -> None:
        """Have it end soon, as cancelled; from any thread."""
        self._end_by(TaskCancelled)

    def abandon(self) -> None:
        """Have it end soon, undecided; from any thread."""
        self._end_by(Abandoned)

    def close(self) -> None:
        """Let the engine go, and its folder."""
        self.own.close()
        with self._lock:
            if self._engine is not None:
                self._engine.close()
                self._engine = None

    def _end_by(self, reason: type[Exception]) -> None:
        self._stopped = self._stopped or reason
        with self._lock:
            if self._engine is not None:
                self._engine.stop()

    def _taken(self) -> Engine:
        with self._lock:
            if self._engine is None:
                self._engine = self._pool.take()
            return self._engine

    def _count(self, done: TaskResult) -> None:
        self.scanned_bytes += done.scanned_bytes
        self.scanned_rows += done.scanned_rows
        self.rows += done.rows
        self.written_bytes += sum(each.size_bytes for each in done.files)
        if self._limits.scanned_bytes and self.scanned_bytes > self._limits.scanned_bytes:
            raise TooMuch

    def _count_failed(self, failed: TaskFailed) -> None:
        self.scanned_bytes += failed.scanned_bytes
        if failed.code == "EXCEEDED_TIME_LIMIT":
            raise TooLong
        if failed.code == "EXCEEDED_SCAN_LIMIT":
            raise TooMuch

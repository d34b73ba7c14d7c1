"""One query, from QUEUED to its end: its record says how far it is, and what is found there is all that counts.

A query that was cut off runs again from its start. Results are stored under its id before its end is recorded, so
that whoever runs it again writes the same objects over. One that does not succeed has changed nothing: what it was
storing is removed before its end is recorded, whether its caller may do that or is there at all.
"""

import logging
import threading
import traceback
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

from clary.kernel.auth.deferred import taken_up
from clary.kernel.core.errors import AwsError
from clary.kernel.core.ids import new_uuid
from clary.kernel.rooms import Context, Platform
from clary.kernel.store import Conflict, Entry, Table
from clary.lake.engine.tasks import TaskCancelled, TaskFailed
from clary.systems.athena.contract import UTILITY, Outcome, StatementFailed
from clary.systems.athena.endings import BY_USER, cancelled
from clary.systems.athena.records import (
    CANCELLED,
    FAILED,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    UNFINISHED,
    QueryExecution,
    TableWrite,
)
from clary.systems.athena.running import faults, results, reuse
from clary.systems.athena.running.own_traces import OwnTraces
from clary.systems.athena.running.run import Abandoned, Run, TooLong, TooMuch
from clary.systems.athena.statements.undoing import undo

_log = logging.getLogger("clary.athena")

MakeRun = Callable[[Context, Entry[QueryExecution]], Run]
"""Makes what a query runs by, once it is known who asked for it."""


def drive(platform: Platform, entry: Entry[QueryExecution], make_run: MakeRun) -> None:
    """Take a query to its end, whatever it meets."""
    table = platform.records(QueryExecution).within(entry.account, entry.region)
    clock = platform.clock
    if entry.value.stop and entry.status == QUEUED:
        _write(table, entry, cancelled(entry, clock.now()), CANCELLED)
        return
    if entry.status == QUEUED:
        entry = replace(entry, value=replace(entry.value, started=clock.now()))
    watch = _Watch(platform, entry)
    try:
        principal = taken_up(platform.keys.directory, entry.value.caller)
        model = platform.registry.model("athena", "StartQueryExecution")
        ctx = Context(platform, model, principal, entry.account, entry.region, new_uuid())
        run = make_run(ctx, entry)
    except AwsError as error:
        failed = watch.failed(faults.of_access(error))
        with closing(OwnTraces(platform, entry.account, entry.region, entry.name, entry.value.output)) as own:
            _write(table, entry, *_settled(own, watch, failed, FAILED, resumed=entry.status == RUNNING))
        return
    run.resumed = entry.status == RUNNING
    if entry.value.stop:
        run.stop()  # and yet it is performed, up to where it stops: it may have done all that it was to do
    begun = _Beginning(table, entry)
    try:
        ended, status = _perform(run, entry, watch, begun)
        if status != SUCCEEDED:
            ended, status = _settled(run.own, watch, ended, status, resumed=run.resumed)
        running = begun.written()
        if running is not None:
            _write(table, running, ended, status)
    except Abandoned:
        return
    finally:
        begun.written()
        run.close()  # last: whoever waits for the query need not wait for that too


class _Beginning:
    """Records that a query runs while it does so already: whoever waits for a short one need not wait for that too."""

    def __init__(self, table: Table[QueryExecution], entry: Entry[QueryExecution]) -> None:
        self._table = table
        self._entry = entry
        self._written: Entry[QueryExecution] | None = entry
        self._thread = threading.Thread(target=self._write, name="query-begins")
        if entry.status == QUEUED:
            self._thread.start()

    def written(self) -> Entry[QueryExecution] | None:
        """The record of the query that runs; None when it was cancelled before it was seen to."""
        if self._entry.status == QUEUED:
            self._thread.join()
        return self._written

    def _write(self) -> None:
        self._written = None
        self._written = _write(self._table, self._entry, self._entry.value, RUNNING)


def _perform(run: Run, entry: Entry[QueryExecution], watch: "_Watch", begun: _Beginning) -> tuple[QueryExecution, str]:
    """Run the statement and store what it came to; return the record of its end and its status."""
    from clary.systems.athena.language.parsing import parse
    from clary.systems.athena.language.statements import Query
    from clary.systems.athena.performers import performer

    value = entry.value
    try:
        past = reuse.earlier(run.ctx.platform, entry, run.access)
        if past is not None:
            return watch.reused(past), SUCCEEDED
        statement = parse(value.request["QueryString"], value.request.get("ExecutionParameters") or ())
        watch.parsed(statement.kind, statement.substatement)
        run.check_results(statement)
        if not isinstance(statement, Query) and begun.written() is None:
            raise Abandoned  # it was cancelled: what changes anything waits until that is known
        outcome = performer(statement)(run, statement)
        if isinstance(statement, Query):
            run.check()  # another statement has done by now what it was to do, whoever stops it
        watch.performed(run)
        stored = run.announced or _stored(run, value, outcome)
        return watch.succeeded(run, outcome, stored), SUCCEEDED
    except Abandoned:
        raise
    except TaskCancelled:
        return watch.cancelled(run, BY_USER), CANCELLED
    except TooMuch:
        return watch.cancelled(run, faults.TOO_MUCH), CANCELLED
    except TooLong:
        fault = faults.TIMED_OUT
    except StatementFailed as error:
        fault = faults.of_statement(error)
    except TaskFailed as error:
        fault = faults.of_task(error)
    except AwsError as error:
        fault = faults.of_access(error)
    except Exception as error:  # noqa: BLE001 - one query's trouble is not that of others
        _log.error("query %s failed: %s", entry.name, "".join(traceback.format_exception(error)))
        fault = faults.INTERNAL
    return watch.failed(fault, run), FAILED


def _stored(run: Run, value: QueryExecution, outcome: Outcome) -> results.Stored:
    """Store the results. Those of a statement that has changed something by now cannot fail it any more."""
    changes = outcome.result is None and outcome.kind != UTILITY
    try:
        return results.store(run.access, value.output, outcome, value.settings)
    except AwsError:
        if not changes:
            raise
        return results.places(value.output, outcome)  # gone since it was looked at: as if right after the end
    except Exception:
        if not changes:
            raise
        _log.exception("the results of query %s could not be stored; trying again", run.execution_id)
        raise Abandoned from None


def _settled(
    own: OwnTraces, watch: "_Watch", ended: QueryExecution, status: str, *, resumed: bool
) -> tuple[QueryExecution, str]:
    """The end of a query that did not succeed, whose traces are removed; or of one that had, and was not told so."""
    committed = undo(own, resumed=resumed)
    if committed is None:
        return ended, status
    return watch.committed(committed), SUCCEEDED


def _write(
    table: Table[QueryExecution], entry: Entry[QueryExecution], value: QueryExecution, status: str
) -> Entry[QueryExecution] | None:
    """Record what a query has come to; None when it has ended without us.

    The one who may write beside us is a client that asks for its stop: what was asked is kept, and an end is an end.
    """
    while True:
        try:
            return table.replace(entry, replace(value, stop=entry.value.stop), status=status)
        except Conflict:
            found = table.get(entry.name)
            if found is None or found.status not in UNFINISHED:
                return None
            entry = found


class _Watch:
    """How long the parts of a query take, and the record of its end."""

    def __init__(self, platform: Platform, entry: Entry[QueryExecution]) -> None:
        self._clock = platform.clock
        self._entry = entry
        self._value = entry.value
        self._began = self._parsed = self._performed = self._clock.monotonic()

    def parsed(self, kind: str, substatement: str) -> None:
        self._value = replace(self._value, kind=kind, substatement=substatement)
        self._parsed = self._performed = self._clock.monotonic()

    def performed(self, run: Run) -> None:
        self._performed = self._clock.monotonic()

    def succeeded(self, run: Run, outcome: Outcome, stored: results.Stored) -> QueryExecution:
        ended = self._ended(run)
        columns = None if not outcome.columns else [[column.name, column.type] for column in outcome.columns]
        return replace(
            ended,
            kind=outcome.kind,
            substatement=outcome.substatement,
            columns=columns,
            location=stored.location,
            manifest=stored.manifest,
            update_count=outcome.update_count,
            rows=self._rows(run, outcome, stored),
        )

    def committed(self, write: TableWrite) -> QueryExecution:
        """The end of a query that was cut off when all was done."""
        stored = results.announced(self._value.output, write.substatement)
        return replace(
            self._ended(None),
            substatement=write.substatement,
            location=stored.location,
            manifest=stored.manifest,
            update_count=write.rows if stored.manifest else None,
        )

    def reused(self, past: QueryExecution) -> QueryExecution:
        self._value = past
        self._parsed = self._clock.monotonic()
        return self._ended(None)

    def cancelled(self, run: Run, reason: str) -> QueryExecution:
        return replace(self._ended(run), reason=reason)

    def failed(self, fault: faults.Fault, run: Run | None = None) -> QueryExecution:
        return replace(self._ended(run), reason=fault.message, error=fault.document())

    def _rows(self, run: Run, outcome: Outcome, stored: results.Stored) -> dict[str, int]:
        """What GetQueryRuntimeStatistics says of rows."""
        answered = len(outcome.rows) if outcome.rows is not None else run.rows
        return {
            "InputRows": run.scanned_rows,
            "InputBytes": run.scanned_bytes,
            "OutputRows": answered,
            "OutputBytes": run.written_bytes or stored.size_bytes,
        }

    def _ended(self, run: Run | None) -> QueryExecution:
        now = self._clock.monotonic()
        completed = self._clock.now()
        performed = self._performed if self._performed > self._parsed else now
        engine = performed - self._parsed
        planning = engine if run is None or run.first_task_at is None else run.first_task_at - self._parsed
        queued = max(0.0, self._value.started - self._entry.created_at)
        spent = {
            "EngineExecutionTimeInMillis": engine,
            "QueryQueueTimeInMillis": queued,
            "ServicePreProcessingTimeInMillis": self._parsed - self._began,
            "QueryPlanningTimeInMillis": max(0.0, planning),
            "ServiceProcessingTimeInMillis": now - performed,
            "TotalExecutionTimeInMillis": completed - self._entry.created_at,
        }
        statistics: dict[str, Any] = {name: round(seconds * 1000) for name, seconds in spent.items()}
        statistics["DataScannedInBytes"] = 0 if run is None else run.scanned_bytes
        return replace(self._value, completed=completed, statistics=statistics)

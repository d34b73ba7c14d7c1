"""The queue: queries that wait, in the order in which they came, and the threads that run them."""

import importlib
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import psutil

from clary.kernel.jobs.slots import this_machine
from clary.kernel.rooms import Context, OnePerPlatform, Platform
from clary.kernel.store import Entry
from clary.lake.engine.pool import Pool
from clary.systems.athena.contract import DML
from clary.systems.athena.records import UNFINISHED, QueryExecution
from clary.systems.athena.running import told
from clary.systems.athena.running.drive import drive
from clary.systems.athena.running.run import Limits, Run

_SHARE = 0.6  # of the machine's memory, for all queries that may run at once

_log = logging.getLogger("clary.athena")

Name = tuple[str, str, str]


class Runner:
    """Runs the queries of a platform. DDL waits in a queue of its own, as on AWS. Safe to share between threads."""

    def __init__(self, platform: Platform) -> None:
        settings = platform.settings
        at_once = max(1, settings.queries_at_once)
        share = int(psutil.virtual_memory().total * _SHARE / at_once)
        self._memory_bytes = settings.query_memory_bytes or share
        self._threads = this_machine(settings.query_threads).cpus
        self._platform = platform
        self._pool = Pool(settings.home, ready=min(at_once, 2))
        self._lock = threading.Lock()
        self._taken: set[Name] = set()
        self._runs: dict[Name, Run] = {}
        self._closed = False
        self._queries = ThreadPoolExecutor(at_once, thread_name_prefix="query")
        self._statements = ThreadPoolExecutor(at_once, thread_name_prefix="ddl")
        self._queries.submit(_import)

    def offer(self, entry: Entry[QueryExecution]) -> None:
        """Have a query run, unless it waits or runs already; stop it, if that was asked."""
        name = entry.account, entry.region, entry.name
        with self._lock:
            run = self._runs.get(name)
            is_new = name not in self._taken and not self._closed
            if is_new:
                self._taken.add(name)
        if run is not None and entry.value.stop:
            run.stop()
        if not is_new:
            return
        threads = self._queries if entry.value.kind == DML else self._statements
        threads.submit(self._run, name)

    def close(self) -> None:
        """Stop what runs; it is run again by whoever comes next."""
        with self._lock:
            self._closed = True
            runs = list(self._runs.values())
        for run in runs:
            run.abandon()
        for threads in (self._queries, self._statements):
            threads.shutdown(cancel_futures=True)
        self._pool.close()

    def _run(self, name: Name) -> None:
        table = self._platform.records(QueryExecution).within(*name[:2])
        try:
            entry = table.get(name[2])
            if entry is None or entry.status not in UNFINISHED:
                return
            drive(self._platform, entry, self._make_run)
            ended = table.get(name[2])
            if ended is not None and ended.status not in UNFINISHED:
                told.tell(self._platform, ended)
        except Exception:  # noqa: BLE001 - the reconciler's next look begins it anew
            _log.exception("query %s could not be driven; trying again", name[2])
        finally:
            with self._lock:
                self._taken.discard(name)
                self._runs.pop(name, None)

    def _make_run(self, ctx: Context, entry: Entry[QueryExecution]) -> Run:
        value, settings = entry.value, self._platform.settings
        seconds = settings.query_timeout_seconds if value.kind == DML else settings.ddl_timeout_seconds
        context = value.request.get("QueryExecutionContext") or {}
        run = Run(
            ctx,
            self._pool,
            Limits(self._memory_bytes, self._threads, value.settings.get("BytesScannedCutoffPerQuery") or 0),
            execution_id=entry.name,
            catalog=context["Catalog"].lower(),
            database=context["Database"].lower(),
            output=value.output,
            work_group=entry.parent,
            settings=value.settings,
            ends_at=ctx.platform.clock.monotonic() + seconds,
        )
        with self._lock:
            self._runs[entry.account, entry.region, entry.name] = run
            if self._closed:
                run.abandon()
        return run


def _import() -> None:
    """Import what reads and plans queries before the first one waits for it."""
    for name in ("language.parsing", "running.querying"):
        importlib.import_module(f"clary.systems.athena.{name}")


runner_of = OnePerPlatform(Runner, Runner.close)
"""The runner of a platform, which works until it is closed."""

"""One task done by DuckDB: a database in memory that can reach the query's folder and nothing else."""

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import orjson

from clary.lake.engine.tasks import (
    OUT,
    RESULT,
    SPILL,
    IcebergFiles,
    PlanText,
    ResultFile,
    TableFiles,
    Task,
    TaskFailed,
    TaskResult,
    WrittenFile,
)
from clary.lake.engine.trino.setup import configure, teach
from clary.lake.engine.trino.text import write_csv
from clary.lake.formats import reading
from clary.lake.formats.parts import BytesRead
from clary.lake.scans import DataFile, Scan, ScanPartition
from clary.lake.tables import PARQUET, Column
from clary.lake.types import Type

_FIXED: dict[str, str | bool | int | float | list[str]] = {
    "allow_community_extensions": "false",
    "async_threads": "0",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "preserve_insertion_order": "false",
    "python_enable_replacements": "false",
    "python_scan_all_frames": "false",
    "threads": "1",
}
_INTERRUPT_SECONDS = 0.05
_READING_THREADS = 8  # DuckDB's default


def database() -> Any:
    """A database in memory that has no threads yet: a process may be forked with it."""
    connection = duckdb.connect(":memory:", config=_FIXED)
    configure(connection)
    return connection


class Execution:
    """A database for one task, made ready ahead of it. `connection` is one of `database` that nobody has used."""

    def __init__(self, folder: Path, connection: Any = None) -> None:
        self._folder = folder
        self._stopped = False
        self._closed = threading.Event()
        self._closing = threading.Lock()
        self._before = 0
        self._read = BytesRead()
        self._connection = database() if connection is None else connection
        self._set("allowed_directories", [f"{folder}/"])
        self._set("temp_directory", str(folder / SPILL))
        self._set("enable_external_access", False)
        self._set("async_threads", _READING_THREADS)
        self._set("threads", os.cpu_count() or 1)
        self._connection.execute("PRAGMA enable_profiling='no_output'")

    def practise(self) -> None:
        """Do once what most queries do: what that touches first takes longer than small queries do, and is there when
        they come. Leaves nothing behind."""
        path, result = self._folder / SPILL / "practice", self._folder / OUT / "practice"
        columns = (Column("a", Type("bigint")), Column("b", Type("string")))
        self._connection.execute(f"COPY (SELECT range, 'b' FROM range(100)) TO {_shown(str(path))} (FORMAT parquet)")
        file = DataFile(str(path), "", path.stat().st_size)
        scan = Scan("t", columns, (), (ScanPartition((), PARQUET),), (file,), ("a", "b"))
        sql = "SELECT x.b, sum(x.a) FROM t x JOIN t y ON x.a = y.a WHERE y.a > 1 GROUP BY x.b ORDER BY 2 LIMIT 1"
        write_csv(
            self._connection, reading.over(self._connection, sql, [scan]), ("b", "a"), ("varchar", "bigint"), result
        )
        for each in (path, result):
            each.unlink()

    def run(self, task: Task, seconds: Callable[[], float]) -> TaskResult:
        """Do the task. Raises TaskFailed, or what DuckDB raises."""
        connection = self._connection
        self._set("memory_limit", f"{task.memory_bytes}B")
        self._set("max_temp_directory_size", f"{task.spill_bytes}B")
        self._set("threads", task.threads)
        self._before = _bytes_read()
        profiles = _Profiled(connection)
        counted: Any = profiles
        try:
            sql = reading.over(connection, task.sql, task.scans, self._read)
            self._set("lock_configuration", True)
            if self._stopped:
                raise duckdb.InterruptException("INTERRUPT Error: Interrupted!")
            out = self._folder / OUT
            if isinstance(task.output, ResultFile):
                rows = write_csv(counted, sql, task.names, task.types, out / RESULT)
                files: tuple[WrittenFile, ...] = ()
            else:
                rows, files = _written(counted, sql, task, out)
        except (duckdb.Error, TaskFailed) as error:
            raise reading.failure_of(error, task.scans, self._read) or error from None
        profiles.note()
        return TaskResult(
            rows=rows,
            scanned_bytes=min(profiles.scanned_bytes, _size_of(task)) + self._read.total,
            files=files,
            scanned_rows=profiles.scanned_rows,
            seconds=seconds(),
            peak_memory_bytes=profiles.peak_memory_bytes,
        )

    def interrupt(self) -> None:
        """Have what runs now end soon, and the task with it; from another thread."""
        self._stopped = True
        threading.Thread(target=self._keep_interrupting, daemon=True).start()

    def scanned_so_far(self) -> int:
        """About what was read since the task began: bytes read, less those that may have been written here before."""
        return max(0, _bytes_read() - self._before)

    def close(self) -> None:
        """Let go of the database; it may still be interrupted, to no effect."""
        with self._closing:
            self._closed.set()
        self._connection.close()

    def _keep_interrupting(self) -> None:
        """Interrupt until the task has ended: DuckDB forgets an interruption that comes before a statement begins."""
        while True:
            with self._closing:
                if self._closed.is_set():
                    return
                self._connection.interrupt()
            self._closed.wait(_INTERRUPT_SECONDS)

    def _set(self, name: str, value: Any) -> None:
        self._connection.execute(f"SET {name} = {_shown(value)}")


def _shown(value: Any) -> str:
    """A value as a literal of DuckDB."""
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value).lower()


def _written(connection: Any, sql: str, task: Task, out: Path) -> tuple[int, tuple[WrittenFile, ...]]:
    """Write the rows as files of a table; return how many rows that changes, and the files."""
    if isinstance(task.output, TableFiles):
        from clary.lake.formats.writing import write

        files = write(connection, sql, task.output, out)
        return sum(each.rows for each in files), tuple(files)
    if isinstance(task.output, PlanText):
        return _explained(connection, sql, task.output, out / RESULT), ()
    from clary.lake.iceberg import writing

    assert isinstance(task.output, IcebergFiles)
    rows, files = writing.write(connection, sql, task.output, out)
    return rows, tuple(files)


def _explained(connection: Any, sql: str, output: PlanText, path: Path) -> int:
    """Write the plan of a query; return how many lines it has."""
    said = f"ANALYZE, FORMAT {output.format}" if output.analyze else f"FORMAT {output.format}"
    ((_, text),) = connection.execute(f"EXPLAIN ({said}) {sql}").fetchall()
    # Where the query's files lie here is nobody's business: names of their own they have none.
    path.write_text(text.replace(f"{path.parents[1]}/", ""))
    return len(text.splitlines())


class _Profiled:
    """A connection that sums up what the statements read which are run by it, one after the other. It learns of Trino's
    functions as they are called."""

    def __init__(self, connection: Any) -> None:
        self.scanned_bytes = 0
        self.scanned_rows = 0
        self.peak_memory_bytes = 0
        self._connection = connection
        self._last: tuple[Any, ...] = ()
        self._known: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str, *arguments: Any) -> Any:
        self.note()
        teach(self._connection, sql, self._known)
        return self._connection.execute(sql, *arguments)

    def sql(self, sql: str, *arguments: Any) -> Any:
        self.note()
        teach(self._connection, sql, self._known)
        return self._connection.sql(sql, *arguments)

    def note(self) -> None:
        """Count the statement that was run last, once it is over."""
        found: Any = self._connection.get_profiling_information()
        profile = orjson.loads(found) if isinstance(found, str | bytes) else found
        query, system = profile.get("query") or {}, profile.get("system") or {}
        this = query.get("sql"), query.get("total_time"), query.get("cpu_time")
        if not query or this == self._last:
            return
        self._last = this
        read, spilled = int(profile["io"]["total_bytes_read"]), int(system["total_bytes_spilled"])
        # What was put aside is read again by about as much; what was scanned of files leaves out how they end.
        self.scanned_bytes += max(int(query["total_bytes_scanned"]), read - spilled) if spilled else read
        self.scanned_rows += int(query["total_rows_scanned"])
        self.peak_memory_bytes = max(self.peak_memory_bytes, int(system["peak_buffer_memory"]))


def _size_of(task: Task) -> int:
    """How many bytes the scans' files have: of small ones DuckDB reads the ends more than once, which counts once."""
    files = [file for scan in task.scans for file in scan.files]
    deletes = {path for file in files for path in file.deletes}
    return sum(file.size_bytes for file in files) + sum(os.stat(path).st_size for path in deletes)


def _bytes_read() -> int:
    """What this process has read so far, less what it wrote: that it may have read again."""
    with contextlib.suppress(OSError, ValueError):
        facts = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
        return int(facts["rchar"]) - int(facts["wchar"])
    return 0

"""One task done by DuckDB: a database in memory that can reach the query's folder and nothing else."""

import contextlib
import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import orjson

from clary.lake.engine.tasks import OUT, RESULT, SPILL, ResultFile, Task, TaskResult

_FIXED: dict[str, str | bool | int | float | list[str]] = {
    "allow_community_extensions": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "preserve_insertion_order": "false",
    "python_enable_replacements": "false",
    "python_scan_all_frames": "false",
}


class Execution:
    """A database for one task, made ready ahead of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stopped = False
        self._read_before = 0
        self._connection = duckdb.connect(":memory:", config=_FIXED)
        self._set("TimeZone", "UTC")
        self._set("allowed_directories", [f"{folder}/"])
        self._set("temp_directory", str(folder / SPILL))
        self._set("enable_external_access", False)
        _prepare(self._connection)

    def run(self, task: Task, seconds: Callable[[], float]) -> TaskResult:
        """Do the task. Raises TaskFailed, or what DuckDB raises."""
        connection = self._connection
        self._set("memory_limit", f"{task.memory_bytes}B")
        self._set("max_temp_directory_size", f"{task.spill_bytes}B")
        self._set("threads", task.threads)
        connection.execute("PRAGMA enable_profiling='no_output'")
        counts = _views(connection, task)
        self._set("lock_configuration", True)
        self._read_before = _read_bytes()
        if self._stopped:
            raise duckdb.InterruptException("INTERRUPT Error: Interrupted!")
        out = self._folder / OUT
        if isinstance(task.output, ResultFile):
            rows = _result(connection, task, out / RESULT)
            files: tuple[Any, ...] = ()
        else:
            writing = importlib.import_module("clary.lake.formats.writing")
            files = tuple(writing.write(connection, task.sql, task.output, out))
            rows = sum(each.rows for each in files)
        profile = _profile(connection)
        return TaskResult(
            rows=rows,
            scanned_bytes=int(profile["io"]["total_bytes_read"]) + sum(count() for count in counts),
            files=files,
            scanned_rows=int(profile["query"]["total_rows_scanned"]),
            seconds=seconds(),
            peak_memory_bytes=int(profile["system"]["peak_buffer_memory"]),
        )

    def interrupt(self) -> None:
        """Have what runs now end soon; from another thread."""
        self._stopped = True
        self._connection.interrupt()

    def scanned_so_far(self) -> int:
        """About what was read since the task began: bytes read, less those that may have been written here before."""
        return max(0, _read_bytes() - self._read_before)

    def close(self) -> None:
        self._connection.close()

    def _set(self, name: str, value: Any) -> None:
        self._connection.execute(f"SET {name} = {_shown(value)}")


def _shown(value: Any) -> str:
    """A value as a literal of DuckDB."""
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value).lower()


def _prepare(connection: Any) -> None:
    """Trino's functions, where DuckDB has them not or otherwise."""
    if importlib.util.find_spec("clary.lake.engine.trino") is not None:
        importlib.import_module("clary.lake.engine.trino.setup").prepare(connection)


def _views(connection: Any, task: Task) -> list[Callable[[], int]]:
    """Make a view of each scan; return what tells how many bytes readers of our own have read."""
    if not task.scans:
        return []
    reading = importlib.import_module("clary.lake.formats.reading")
    return [count for scan in task.scans for count in reading.view(connection, scan)]


def _result(connection: Any, task: Task, path: Path) -> int:
    """Write the rows as Athena's CSV; return how many they are."""
    quoted = str(path).replace("'", "''")
    (count,) = connection.execute(
        f"COPY ({task.sql}) TO '{quoted}' (FORMAT csv, HEADER, FORCE_QUOTE *, NULLSTR '')"
    ).fetchone()
    return int(count)


def _profile(connection: Any) -> dict[str, Any]:
    found: Any = connection.get_profiling_information()
    profile: dict[str, Any] = orjson.loads(found) if isinstance(found, str | bytes) else found
    return profile


def _read_bytes() -> int:
    """What this process has read so far, less what it wrote: that it may have read again."""
    with contextlib.suppress(OSError, ValueError):
        facts = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
        return int(facts["rchar"]) - int(facts["wchar"])
    return 0

"""Threads that write batches into files, each file by one of them; which rows belong together the batches say."""

import os
import queue
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from clary.lake.engine.tasks import TableFiles, WrittenFile
from clary.lake.formats import names
from clary.lake.formats.sinks import Shape, Sink, sink_of

_WAITING = 4
_ALONE_BATCHES = 8
"""So many batches of rows that need not be parted go to one thread, lest small tables have many files."""


@dataclass(slots=True)
class _Writer:
    """A thread's own: what waits for it, and the file that it has open."""

    waiting: "queue.Queue[tuple[str, Any] | None]" = field(default_factory=lambda: queue.Queue(_WAITING))
    thread: threading.Thread | None = None
    run: str = ""
    sink: Sink | None = None
    path: Path | None = None


class Writers:
    """Takes batches and knows the files that came of them, once it is closed; a failure of a thread is raised here."""

    def __init__(self, shape: Shape, folder: Path, output: TableFiles, threads: int, largest_bytes: int) -> None:
        self.files: list[WrittenFile] = []
        self._shape = shape
        self._folder = folder
        self._output = output
        self._keys = output.columns[len(output.columns) - len(output.keys) :]
        self._largest = largest_bytes
        self._writers = [_Writer() for _ in range(max(threads, 1))]
        self._lock = threading.Lock()
        self._failure: BaseException | None = None
        self._batches = 0
        self._runs = 0
        self._last_run = ""
        self._numbers: dict[str, int] = {}

    def __enter__(self) -> "Writers":
        for writer in self._writers:
            writer.thread = threading.Thread(target=self._work, args=(writer,), daemon=True)
            writer.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is not None:
            self._failure = self._failure or error
        for writer in self._writers:
            writer.waiting.put(None)
        for writer in self._writers:
            if writer.thread is not None:
                writer.thread.join()
        if error is None and self._failure is not None:
            raise self._failure
        if error is None:
            self._add_empty_buckets()
            self.files.sort(key=lambda file: file.path)

    def add(self, batch: Any) -> None:
        """Have the rows of a batch written; waits while much is waiting."""
        if self._failure is not None:
            raise self._failure
        if names.RUN not in batch.schema.names:
            self._batches += 1
            self._put(self._batches // _ALONE_BATCHES if self._batches < _ALONE_BATCHES else self._batches, "", batch)
            return
        place = batch.schema.get_field_index(names.RUN)
        runs, rows = batch.column(place), batch.remove_column(place)
        start = 0
        for run, end in names.runs_of(runs):
            self._runs += run != self._last_run
            self._last_run = run
            self._put(self._runs, run, rows.slice(start, end - start))
            start = end

    def _put(self, number: int, run: str, rows: Any) -> None:
        self._writers[number % len(self._writers)].waiting.put((run, rows))

    def _work(self, writer: _Writer) -> None:
        while (item := writer.waiting.get()) is not None:
            if self._failure is not None:
                continue
            try:
                self._write(writer, *item)
            except BaseException as error:  # noqa: BLE001 - it is raised by the thread that adds
                self._failure = error
        try:
            if self._failure is None:
                self._close(writer)
        except BaseException as error:  # noqa: BLE001
            self._failure = error

    def _write(self, writer: _Writer, run: str, rows: Any) -> None:
        if writer.sink is not None and (writer.run != run or writer.sink.size_bytes >= self._largest):
            self._close(writer)
        if writer.sink is None:
            writer.run, writer.path = run, self._path(run)
            writer.sink = sink_of(self._shape, writer.path)
        writer.sink.add(rows)

    def _close(self, writer: _Writer) -> None:
        sink, writer.sink = writer.sink, None
        if sink is None or writer.path is None:
            return
        sink.close()
        values, bucket = self._parted(writer.run)
        size = os.path.getsize(writer.path)
        with self._lock:
            self.files.append(WrittenFile(str(writer.path), values, sink.rows, size, bucket))

    def _path(self, run: str) -> Path:
        values, bucket = self._parted(run)
        folder = self._folder / names.folder_name(self._keys, values) if self._keys else self._folder
        os.makedirs(folder, exist_ok=True)
        with self._lock:
            number = self._numbers[run] = self._numbers.get(run, -1) + 1
        name = self._output.name or "part"
        if bucket < 0:
            return folder / f"{name}_{number:05d}{self._shape.ending}"
        again = f"-{number}" if number else ""
        return folder / f"{name}_bucket-{bucket:05d}{again}{self._shape.ending}"

    def _parted(self, run: str) -> tuple[tuple[str | None, ...], int]:
        """The values of the keys and the bucket that rows share."""
        parts = run.split(names.BETWEEN) if run else [""] * len(self._keys)
        bucket = int(parts.pop()) if self._output.buckets and len(parts) > len(self._keys) else -1
        return tuple(part or None for part in parts[: len(self._keys)]), bucket

    def _add_empty_buckets(self) -> None:
        """A table that is not parted has a file for each bucket, as Hive has it, be it an empty one."""
        if not self._output.buckets or self._keys:
            return
        there = {file.bucket for file in self.files}
        for bucket in range(self._output.buckets):
            if bucket not in there:
                path = self._path(str(bucket))
                sink_of(self._shape, path).close()
                self.files.append(WrittenFile(str(path), (), 0, os.path.getsize(path), bucket))

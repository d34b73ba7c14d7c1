"""The process that runs one query's tasks: DuckDB, confined to the query's folder.

It is forked by the nursery, waits for tasks on a socket, and ends when the other end closes it. A thread of its own
hears of that, and of orders to stop, while DuckDB works.
"""

import contextlib
import os
import pickle
import queue
import resource
import socket
import threading
from pathlib import Path
from typing import Any, Self

import duckdb

from clary.kernel.core.clock import SystemClock
from clary.kernel.jobs.confinement import needed_folders
from clary.lake.engine import faults, landlock, messages, tasks
from clary.lake.engine.execution import Execution
from clary.lake.engine.messages import Ended
from clary.lake.engine.tasks import OUT, SPILL

STOP = b""
TIME = "EXCEEDED_TIME_LIMIT", "Query exceeded the time that it may take"
SCANNED = "EXCEEDED_SCAN_LIMIT", "Query exceeded the bytes that it may scan"
_SPARE_BYTES = 1 << 30
_LOOK_SECONDS = 0.05
_MOMENT_SECONDS = 0.05
_LONGEST_SECONDS = 3600.0


def serve(connection: socket.socket, folder: str, opened: Any) -> None:
    """Do tasks until the other end is closed, the first by the database `opened`; never returns."""
    _confine(Path(folder))
    orders: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    hearing = _Hearing(connection, orders)
    first = Execution(Path(folder), opened)
    threading.Thread(target=hearing.listen, daemon=True).start()
    messages.send(connection, messages.packed({"ready": True}))
    order = _soon(orders)
    if order is None:
        _practise(first)  # nobody waits
    execution: Execution | None = first
    while True:
        task = pickle.loads(order or orders.get())
        execution = execution or Execution(Path(folder))
        hearing.listen_for(execution)
        messages.send(connection, messages.packed(_answer(execution, task)))
        order = _soon(orders)  # if not, the process ends mostly: what the task leaves need not be cleared away
        execution.close()
        execution = None


def _practise(execution: Execution) -> None:
    with contextlib.suppress(OSError, duckdb.Error):  # what hinders it is told of the query that it hinders, too
        execution.practise()


def _soon(orders: "queue.SimpleQueue[bytes]") -> bytes | None:
    """The next order, when it comes in a moment."""
    with contextlib.suppress(queue.Empty):
        return orders.get(timeout=_MOMENT_SECONDS)
    return None


class _Hearing:
    """What listens to the socket beside the work."""

    def __init__(self, connection: socket.socket, orders: "queue.SimpleQueue[bytes]") -> None:
        self._connection = connection
        self._orders = orders
        self._lock = threading.Lock()
        self._execution: Execution | None = None
        self._stopped = False

    def listen_for(self, execution: Execution) -> None:
        """Stop this one when that is asked for, or was already: a query that is stopped does nothing more."""
        with self._lock:
            self._execution = execution
            if self._stopped:
                execution.interrupt()

    def listen(self) -> None:
        with contextlib.suppress(Ended):
            while True:
                message = messages.receive(self._connection)
                if message != STOP:
                    self._orders.put(message)
                    continue
                with self._lock:
                    self._stopped = True
                    if self._execution is not None:
                        self._execution.interrupt()
        os._exit(0)


def _confine(folder: Path) -> None:
    """See the query's folder, of which what is linked into it cannot be written, and the system's own files alone."""
    system = [Path("/", name) for name in ("usr", "lib", "lib64", "bin", "etc", "sys", "proc", "dev")]
    landlock.restrict(
        read=[folder, *system, *needed_folders()],
        write=[folder / OUT, folder / SPILL, Path("/dev/null")],
    )


def _answer(execution: Execution, task: tasks.Task) -> dict[str, Any]:
    clock = SystemClock()
    began = clock.monotonic()
    _limit_memory(task.memory_bytes)
    with _Watch(execution, task, clock) as watch:
        try:
            return messages.answer_of(execution.run(task, lambda: clock.monotonic() - began))
        except Exception as error:  # noqa: BLE001 - whatever it meets, the other end is told
            code, message = watch.why or faults.told(error, task.scans)
            return {"failed": code, "message": message, "scanned_bytes": execution.scanned_so_far()}


class _Watch:
    """Ends a task that takes too long or reads too much; `why` says that it did."""

    def __init__(self, execution: Execution, task: tasks.Task, clock: SystemClock) -> None:
        self.why: tuple[str, str] | None = None
        self._execution = execution
        self._task = task
        self._clock = clock
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        most = self._task.most_scanned_bytes
        ends_at = self._clock.monotonic() + self._task.seconds
        while not self._over.wait(
            min(_LOOK_SECONDS if most else _LONGEST_SECONDS, max(0.0, ends_at - self._clock.monotonic()))
        ):
            if self._clock.monotonic() >= ends_at:
                self.why = TIME
            elif most and self._execution.scanned_so_far() > most:
                self.why = SCANNED
            else:
                continue
            self._execution.interrupt()
            return


def _limit_memory(limit: int) -> None:
    """Have the kernel refuse what DuckDB's own limit does not count, once it is much more."""
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        now = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:"))
        most = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (now + limit + _SPARE_BYTES, most))

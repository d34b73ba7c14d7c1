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
from typing import Any

from clary.kernel.core.clock import SystemClock
from clary.lake.engine import faults, messages, tasks
from clary.lake.engine.execution import Execution
from clary.lake.engine.messages import Ended

STOP = b""
_SPARE_BYTES = 1 << 30


def serve(connection: socket.socket, folder: str) -> None:
    """Do tasks until the other end is closed; never returns."""
    orders: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    hearing = _Hearing(connection, orders)
    execution = Execution(Path(folder))
    threading.Thread(target=hearing.listen, daemon=True).start()
    messages.send(connection, messages.packed({"ready": True}))
    while True:
        task = pickle.loads(orders.get())
        hearing.execution = execution
        messages.send(connection, messages.packed(_answer(execution, task)))
        hearing.execution = None
        execution.close()
        execution = Execution(Path(folder))


class _Hearing:
    """What listens to the socket beside the work."""

    def __init__(self, connection: socket.socket, orders: "queue.SimpleQueue[bytes]") -> None:
        self._connection = connection
        self._orders = orders
        self.execution: Execution | None = None

    def listen(self) -> None:
        with contextlib.suppress(Ended):
            while True:
                message = messages.receive(self._connection)
                if message != STOP:
                    self._orders.put(message)
                elif self.execution is not None:
                    self.execution.interrupt()
        os._exit(0)


def _answer(execution: Execution, task: tasks.Task) -> dict[str, Any]:
    clock = SystemClock()
    began = clock.monotonic()
    _limit_memory(task.memory_bytes)
    try:
        return messages.answer_of(execution.run(task, lambda: clock.monotonic() - began))
    except Exception as error:  # noqa: BLE001 - whatever it meets, the other end is told
        code, message = faults.told(error)
        return {"failed": code, "message": message, "scanned_bytes": execution.scanned_so_far()}


def _limit_memory(limit: int) -> None:
    """Have the kernel refuse what DuckDB's own limit does not count."""
    used = resource.getrlimit(resource.RLIMIT_DATA)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (limit * 2 + _SPARE_BYTES, used[1]))

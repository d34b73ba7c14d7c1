"""`python -m clary.runtime function`: one instance of a Lambda function, on the Unix socket CLARY_BIND_UNIX_SOCKET.

    GET /ping             200
    POST /invocations     the event in the body. 200 with the answer in the body, and in its headers what else there is
                          to tell (`Clary-...`); 409 when an invocation is under way: the caller takes another instance

One thread: it never waits for anything but the next thing to happen. The user's code runs in a worker (`instance`),
which is replaced when it dies, runs late or takes too much memory, while the server stays.
"""

import base64
import contextlib
import json
import os
import selectors
import signal
import socket
import sys
import time
import uuid
from dataclasses import dataclass
from functools import partial
from typing import Any

from clary.runtime.functions import documents, frames, places
from clary.runtime.functions.instance import Worker
from clary.runtime.functions.journal import Journal
from clary.runtime.functions.requests import BadRequest, Connection, Request

INIT_SECONDS = 10.0  # what an import may take beside the function's timeout
_MEASURE_SECONDS = 0.05
_MIB = 1024**2


@dataclass
class Invocation:
    """The invocation under way. `began` is when its handler was called, None while the code is still imported."""

    connection: Connection
    request: str
    arn: str
    client_context: str
    wants_tail: bool
    event: bytes
    began: float | None = None
    deadline: float = 0.0


class Server:
    """The instance, until SIGTERM, after which it finishes what is under way."""

    def __init__(
        self, listener: socket.socket, handler: str, folders: list[str], memory_mb: int, seconds: float
    ) -> None:
        self._listener = listener
        self._handler = handler
        self._folders = folders
        self._limit_bytes = memory_mb * _MIB
        self._seconds = seconds
        self._journal = Journal(memory_mb, os.environ.get("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"))
        self._selector = selectors.DefaultSelector()
        self._worker: Worker | None = None
        self._current: Invocation | None = None
        self._leaving = False
        self._measure_at = 0.0
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self) -> None:
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "_leaving", True))
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._awake)
        self._journal.say(f"INIT_START Runtime Version: python:{sys.version.split()[0]}")
        self._start_worker()
        while not (self._leaving and self._current is None):
            for key, _ in self._selector.select(self._timeout()):
                key.data()
            self._meet_deadlines()
        self._journal.flush()
        if self._worker is not None:
            self._worker.kill()

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            link, _ = self._listener.accept()
            connection = Connection(link)
            self._selector.register(link, selectors.EVENT_READ, partial(self._take, connection))

    def _awake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)
        worker = self._worker
        if worker is not None:
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if pid:
                self._hear(worker)  # what it said last counts, though its end may have been heard of first
                if self._worker is worker:
                    self._worker_ended(worker, os.waitstatus_to_exitcode(status))

    def _take(self, connection: Connection) -> None:
        try:
            request = connection.take()
        except EOFError:
            self._forget(connection)
            return
        except BadRequest as error:
            connection.answer(400, str(error).encode())
            self._forget(connection)
            return
        if request is None:
            return
        if request.path == "/ping":
            connection.answer(200)
        elif request.path != "/invocations":
            connection.answer(404)
        elif self._current is not None or self._leaving:
            connection.answer(409)
        else:
            self._begin(connection, request)
        if not connection.open:
            self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(connection.link)
        connection.open = False
        connection.link.close()

    def _begin(self, connection: Connection, request: Request) -> None:
        said = request.headers
        self._current = Invocation(
            connection=connection,
            request=said.get("clary-request-id") or str(uuid.uuid4()),
            arn=said.get("clary-function-arn", ""),
            client_context=said.get("clary-client-context", ""),
            wants_tail=said.get("clary-log-type") == "Tail",
            event=request.body,
        )
        self._journal.start(self._current.request)
        if self._worker is None:
            self._start_worker()
        worker = self._worker
        assert worker is not None
        if worker.fault is not None:
            self._refuse(worker, worker.fault)
        elif worker.ready:
            self._call(worker)
        else:
            self._current.deadline = max(time.monotonic(), worker.began + INIT_SECONDS) + self._seconds

    def _call(self, worker: Worker) -> None:
        current = self._current
        assert current is not None
        current.began = time.monotonic()
        current.deadline = current.began + self._seconds
        self._measure_at = current.began + _MEASURE_SECONDS
        now = time.time()
        about = {
            "request": current.request,
            "arn": current.arn,
            "client_context": current.client_context,
            "deadline_ms": int((now + self._seconds) * 1000),
            "trace": f"Root=1-{int(now):08x}-{uuid.uuid4().hex[:24]};Sampled=0",
        }
        worker.call(json.dumps(about).encode(), current.event)
        current.event = b""

    def _refuse(self, worker: Worker, fault: bytes) -> None:
        """Answer with why the code cannot be imported. The next invocation has it tried again."""
        self._drop(worker)
        self._finish(fault, failed=True, used_bytes=worker.used_bytes, status="Status: error")

    def _start_worker(self) -> None:
        sys.stdout.flush()
        worker = self._worker = Worker(self._folders, self._handler)
        self._measure_at = time.monotonic()
        self._selector.register(worker.link, selectors.EVENT_READ, partial(self._hear, worker))
        self._selector.register(worker.output, selectors.EVENT_READ, partial(self._copy_output, worker))

    def _drop(self, worker: Worker) -> None:
        """End a worker, with what it printed last taken."""
        worker.kill()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(worker.pid, 0)
        while chunk := worker.printed():
            self._journal.printed(chunk)
        for descriptor in (worker.link, worker.output):
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(descriptor)
        worker.close()
        if self._worker is worker:
            self._worker = None

    def _copy_output(self, worker: Worker) -> None:
        chunk = worker.printed()
        self._journal.printed(chunk)
        if self._current is None:
            self._journal.flush()
        if not chunk:  # it has closed its standard streams
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(worker.output)

    def _hear(self, worker: Worker) -> None:
        found = worker.frames()
        for kind, payload in found:
            if kind == frames.READY:
                worker.ready = True
                worker.init_seconds = time.monotonic() - worker.began
                worker.measure(self._limit_bytes)
                if self._current is not None:
                    self._call(worker)
            elif kind == frames.BROKEN:
                worker.fault = payload
                if self._current is not None:
                    self._refuse(worker, payload)
                    return
            elif self._current is not None:
                self._answered(worker, kind, payload)
        if not found and not self._connected(worker):
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(worker.link)

    def _connected(self, worker: Worker) -> bool:
        try:
            return bool(worker.link.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return True
        except OSError:
            return False

    def _answered(self, worker: Worker, kind: bytes, payload: bytes) -> None:
        while chunk := worker.printed():  # all that was printed before the answer is there by now
            self._journal.printed(chunk)
        worker.peak()
        init, worker.init_seconds = worker.init_seconds, None
        self._finish(payload, failed=kind == frames.ERROR, used_bytes=worker.used_bytes, init_seconds=init)

    def _worker_ended(self, worker: Worker, code: int) -> None:
        current = self._current
        self._drop(worker)
        if current is None:
            return
        if code < 0:
            reason = (
                f"Runtime exited with error: signal: {'killed' if code == -signal.SIGKILL else signal.strsignal(-code)}"
            )
        elif code:
            reason = f"Runtime exited with error: exit status {code}"
        else:
            reason = "Runtime exited without providing a reason"
        out_of_memory = code == -signal.SIGKILL and worker.nearly(self._limit_bytes)
        kind = "Runtime.OutOfMemory" if out_of_memory else "Runtime.ExitError"
        used = self._limit_bytes if out_of_memory else worker.used_bytes
        self._journal.say(f"RequestId: {current.request} Error: {reason}\n{kind}")
        found = documents.died(current.request, reason, kind)
        self._finish(documents.dump(found), failed=True, used_bytes=used, status=f"Status: error\tError Type: {kind}")

    def _timeout(self) -> float | None:
        if self._current is None and (self._worker is None or self._worker.ready or self._worker.fault is not None):
            return None
        now = time.monotonic()
        due = self._measure_at
        if self._current is not None:
            due = min(due, self._current.deadline)
        return max(0.0, due - now)

    def _meet_deadlines(self) -> None:
        current, worker = self._current, self._worker
        now = time.monotonic()
        if worker is not None and now >= self._measure_at and (current is not None or not worker.ready):
            worker.measure(self._limit_bytes)
            self._measure_at = now + _MEASURE_SECONDS
            self._journal.flush()
        if current is not None and now >= current.deadline:
            used = worker.used_bytes if worker is not None else 0
            if worker is not None:
                self._drop(worker)
            self._journal.late(current.request, self._seconds)
            found = documents.ran_late(current.request, self._seconds)
            self._finish(documents.dump(found), failed=True, used_bytes=used, status="Status: timeout")

    def _finish(
        self, answer: bytes, *, failed: bool, used_bytes: int, init_seconds: float | None = None, status: str = ""
    ) -> None:
        current = self._current
        assert current is not None
        self._current = None
        seconds = time.monotonic() - current.began if current.began is not None else 0.0
        self._journal.report(current.request, seconds, used_bytes, init_seconds, status)
        headers: dict[str, Any] = {"Clary-Duration-Ms": f"{seconds * 1000:.3f}"}
        if failed:
            headers["Clary-Function-Error"] = "Unhandled"
        if current.wants_tail:
            headers["Clary-Log-Result"] = base64.b64encode(self._journal.tail()).decode()
        current.connection.answer(200, answer, headers)
        self._journal.flush()
        if not current.connection.open:
            self._forget(current.connection)


def serve_function() -> int:
    """Serve the function that the environment describes until SIGTERM. The exit code is 0."""
    address = os.environ.pop("CLARY_BIND_UNIX_SOCKET")
    memory_mb = int(os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"])
    seconds = float(os.environ.pop("CLARY_FUNCTION_TIMEOUT_SECONDS"))
    task, layers = places.lay()
    os.environ["LAMBDA_TASK_ROOT"] = str(task)
    os.environ["PATH"] = f"{layers}/bin:{os.environ.get('PATH', os.defpath)}"
    os.chdir(task)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(address)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(128)
    folders = places.path_entries(task, layers)
    Server(listener, os.environ.get("_HANDLER", ""), folders, memory_mb, seconds).run()
    return 0

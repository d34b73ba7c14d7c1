"""Engines: a process and a folder for each query, some of them ready ahead of time.

A query has an engine for itself, and what it leaves behind ends with it: the process is killed, the folder removed.
Folders lie in the file system of the objects, so that objects can be linked into them.
"""

import contextlib
import logging
import os
import pickle
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from typing import Any

import orjson
import psutil

from clary.kernel.core.ids import new_id
from clary.kernel.jobs import confinement
from clary.lake.engine import messages
from clary.lake.engine.messages import LARGEST_ANSWER_BYTES, Ended
from clary.lake.engine.tasks import OUT, SPILL, Task, TaskCancelled, TaskFailed, TaskResult

FOLDER = "queries"
"""Below the home: the folders of queries that run or are ready to."""
_STOP = b""
_INTERRUPT_SECONDS = 5.0
_PATIENCE_SECONDS = 120.0  # of a busy machine; what has not answered by then never will
_TRIES = 3
# Of a process with threads a fork has the locks that they held, and nobody who lets go of them.
_WITHOUT_THREADS = {"JE_ARROW_MALLOC_CONF": "background_thread:false", "OPENBLAS_NUM_THREADS": "1"}
_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)

_log = logging.getLogger("clary.lake")


class EngineLost(Exception):
    """The process of an engine ended before its task did."""


class Pool:
    """The engines of a home. Safe to share between threads; close it when done."""

    def __init__(self, home: Path, *, ready: int) -> None:
        self._home = home
        self._folder = home / FOLDER
        self._wanted = ready
        self._lock = threading.Lock()
        self._spare: deque[Engine] = deque()
        self._nursery: _Nursery | None = None
        self._closed = False
        self._news = threading.Event()
        shutil.rmtree(self._folder, ignore_errors=True)  # what a killed process left
        self._folder.mkdir(parents=True)
        self._filler = threading.Thread(target=self._fill, name="engines", daemon=True)
        self._filler.start()
        self._news.set()

    def take(self) -> "Engine":
        """An engine for one query: one that stands ready, or a new one. Close it when the query has ended."""
        while True:
            with self._lock:
                engine = self._spare.popleft() if self._spare else None
                if not self._spare:
                    self._news.set()  # otherwise others are made when this query has ended: now the CPUs are its own
            if engine is None:
                return self._make(self._folder / new_id())
            if not engine.is_lost():
                return engine
            engine.close()

    def renew(self, engine: "Engine") -> None:
        """Give an engine whose process was lost another one, over the same folder without what it had written."""
        engine.end()
        _make_rooms(engine.folder)
        engine.begin(*self._fork(engine.folder))

    def close(self) -> None:
        """End all engines that nobody took, and let no more be made."""
        with self._lock:
            self._closed = True
            spare = list(self._spare)
            self._spare.clear()
        self._news.set()
        self._filler.join()
        for engine in spare:
            engine.close()
        if self._nursery is not None:
            self._nursery.close()

    def closed(self) -> None:
        """Hear that a query has ended: there is time to make another engine ready."""
        self._news.set()

    def kill(self, nursery: "_Nursery", pid: int) -> None:
        """Kill a worker that would not end; where it came from, for elsewhere its number is another's."""
        with self._lock:
            nursery.kill(pid)

    def _fill(self) -> None:
        while True:
            self._news.wait()
            self._news.clear()
            while not self._closed and len(self._spare) < self._wanted:
                try:
                    engine = self._make(self._folder / new_id())
                except OSError:
                    _log.exception("no engine can be made ready")
                    break
                with self._lock:
                    if not self._closed:
                        self._spare.append(engine)
                        continue
                engine.close()
            if self._closed:
                return

    def _make(self, folder: Path) -> "Engine":
        folder.mkdir()
        _make_rooms(folder)
        engine = Engine(self, folder)
        engine.begin(*self._fork(folder))
        return engine

    def _fork(self, folder: Path) -> tuple[socket.socket, int, "_Nursery"]:
        with self._lock:
            for tries_left in reversed(range(_TRIES)):
                try:
                    self._nursery = self._nursery or _Nursery(self._home)
                    return *self._nursery.fork(folder), self._nursery
                except OSError:
                    if self._nursery is not None:
                        self._nursery.close()
                        self._nursery = None
                    if not tries_left:
                        raise
            raise AssertionError("the last try returns or raises")


class Engine:
    """A process and its folder, for one query. One thread runs tasks; others may stop them."""

    def __init__(self, pool: Pool, folder: Path) -> None:
        self.folder = folder
        self._pool = pool
        self._connection: socket.socket | None = None
        self._sending = threading.Lock()
        self._pid = 0
        self._nursery: _Nursery | None = None
        self._stopping: threading.Timer | None = None
        self._is_ready = False

    def begin(self, connection: socket.socket, pid: int, nursery: "_Nursery") -> None:
        self._connection, self._pid, self._nursery, self._is_ready = connection, pid, nursery, False

    def is_lost(self) -> bool:
        """Whether the process has ended while it waited."""
        assert self._connection is not None
        looks = select.poll()
        looks.register(self._connection, 0)  # with nothing asked for it tells of a closed end, whatever came before
        return bool(looks.poll(0))

    def run(self, task: Task) -> TaskResult:
        """Do a task. Raises TaskFailed, TaskCancelled when it was stopped, EngineLost when the process ended, or did
        not answer long after the time that the task may take."""
        connection = self._connection
        assert connection is not None
        try:
            if not self._is_ready:
                connection.settimeout(_PATIENCE_SECONDS)
                messages.receive(connection, LARGEST_ANSWER_BYTES)
                self._is_ready = True
            connection.settimeout(task.seconds + _PATIENCE_SECONDS)
            with self._sending:
                messages.send(connection, pickle.dumps(task))
            return _outcome(orjson.loads(messages.receive(connection, LARGEST_ANSWER_BYTES)))
        except (Ended, ValueError, TypeError, KeyError, AttributeError):
            raise EngineLost from None

    def stop(self) -> None:
        """Have the task that runs end, now or by force in a moment; `run` raises TaskCancelled or EngineLost then."""
        connection = self._connection
        if connection is None:
            return
        with contextlib.suppress(Ended), self._sending:
            messages.send(connection, _STOP)
        self._stopping = threading.Timer(_INTERRUPT_SECONDS, self._pool.kill, (self._nursery, self._pid))
        self._stopping.daemon = True
        self._stopping.start()

    def end(self) -> None:
        """End the process; the folder stays."""
        if self._stopping is not None:
            self._stopping.cancel()
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            assert self._nursery is not None
            self._pool.kill(self._nursery, self._pid)

    def close(self) -> None:
        """End the process and remove the folder."""
        self.end()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._pool.closed()


class _Nursery:
    """The process that workers are forked from. Whoever calls holds the pool's lock."""

    def __init__(self, home: Path) -> None:
        sandbox = _sandbox(home)
        if sandbox and self._start(sandbox):
            return
        if sandbox:
            _log.warning("bubblewrap cannot make a sandbox here: engines are confined by less")
        if not self._start([]):
            raise OSError("the process that engines are forked from cannot be started")

    def _start(self, sandbox: list[str]) -> bool:
        """Start it, and wait until it is ready; False when it ended instead. Raises OSError when it was killed, or does
        not get ready."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._orders = ours
        ours.settimeout(_PATIENCE_SECONDS)
        with theirs:
            self._process = subprocess.Popen(
                [*sandbox, sys.executable, "-m", "clary.lake.engine.nursery", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                env=os.environ | _WITHOUT_THREADS,
            )
        try:
            if ours.recv(4096):
                return True
        except TimeoutError:
            self.close()
            raise OSError("the process that engines are forked from does not get ready") from None
        ours.close()
        if self._process.wait() in _KILLED:
            raise OSError("the process that engines are forked from was killed while it started")
        return False

    def fork(self, folder: Path) -> tuple[socket.socket, int]:
        """A worker for a folder: its socket and its process id. Raises OSError."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                socket.send_fds(self._orders, [orjson.dumps({"folder": str(folder)})], [theirs.fileno()])
                answer = self._orders.recv(4096)
            if not answer:
                raise OSError("the process that engines are forked from has ended")
        except OSError:
            ours.close()
            raise
        return ours, int(orjson.loads(answer)["pid"])

    def kill(self, pid: int) -> None:
        with contextlib.suppress(OSError):
            self._orders.send(orjson.dumps({"kill": pid}))

    def close(self) -> None:
        self._orders.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_INTERRUPT_SECONDS)
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            for each in psutil.Process(self._process.pid).children(recursive=True):  # those in the sandbox, too
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()
        self._process.kill()
        self._process.wait()


def _sandbox(home: Path) -> list[str]:
    """What starts a program in a sandbox without a network that sees the queries' folders alone of this home; empty
    where bubblewrap is missing. It ends with the program, which ends when its orders do."""
    program = shutil.which("bwrap")
    if program is None:
        return []
    folder = str(home / FOLDER)
    return [
        *(program, "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net", "--new-session"),
        *("--cap-drop", "ALL", "--clearenv", "--setenv", "PATH", os.environ.get("PATH", os.defpath)),
        *("--setenv", "LANG", "C.UTF-8", "--setenv", "HOME", "/nowhere"),
        *(word for name, value in _WITHOUT_THREADS.items() for word in ("--setenv", name, value)),
        *confinement.system(),
        *("--proc", "/proc", "--dev", "/dev"),
        *confinement.platform(home),
        *("--bind", folder, folder, "--chdir", "/", "--"),
    ]


def _make_rooms(folder: Path) -> None:
    """Have the places where tasks write, with nothing in them."""
    for name in (OUT, SPILL):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir()


def _outcome(answer: dict[str, Any]) -> TaskResult:
    if "result" in answer:
        return messages.result_of(answer)
    code, message = str(answer["failed"]), str(answer["message"])
    if code == "INTERRUPTED":
        raise TaskCancelled(message)
    raise TaskFailed(code, message, scanned_bytes=int(answer["scanned_bytes"]))


def link(source: Path, target: Path) -> None:
    """Have the bytes of a file at another path of the same file system, at no cost where it can link."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)

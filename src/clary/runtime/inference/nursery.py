"""Where the processes of a multi-model server are forked: one that has loaded what all models need, and nothing else.

A fork takes milliseconds, and what was loaded before is in memory once for all. The nursery has no threads and no
event loop, so that a fork of it is whole. It also is the models' parent: it ends them when asked, or when the server
has died, and reports how each ended.

    server to nursery   {"fork": directory} with a socket      {"kill": pid}
    nursery to server   {"ended": pid, "code": exit code or minus the signal}
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback

from clary.runtime import algorithms
from clary.runtime.ending import spare_what_is_loaded
from clary.runtime.inference.model_process import serve_model

# Keeps messages apart, and tells of the other's end, which datagrams do not; there the look at the parent must do.
_PACKETS = socket.SOCK_SEQPACKET if sys.platform == "linux" else socket.SOCK_DGRAM
_MESSAGE_BYTES = 65536
_LOOK_SECONDS = 1.0
_SET_DEATH_SIGNAL = 1
_LIBRARIES = {"sklearn": ("sklearn", "pandas"), "pytorch": ("torch",), "xgboost": ("xgboost", "llvmlite.binding")}


def start_nursery(listener: socket.socket) -> tuple[int, socket.socket]:
    """Fork the nursery; return its process id and the socket to talk to it. To be called before there are threads.

    `listener` is closed there: callers must not find it open when nobody answers any more.
    """
    spare_what_is_loaded()  # a collection in either process would copy what both share
    ours, theirs = socket.socketpair(socket.AF_UNIX, _PACKETS)
    child = os.fork()
    if child:
        theirs.close()
        return child, ours
    code = 1
    try:
        ours.close()
        listener.close()
        _preload()
        code = _Nursery(theirs).run()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def fork_model(nursery: socket.socket, directory: str, descriptor: int) -> None:
    """Ask for a process that serves the model in `directory` on the socket `descriptor`."""
    socket.send_fds(nursery, [json.dumps({"fork": directory}).encode()], [descriptor])


def kill_model(nursery: socket.socket, process: int) -> None:
    with contextlib.suppress(OSError):
        nursery.send(json.dumps({"kill": process}).encode())


def _preload() -> None:
    """Load the libraries of the framework. One that cannot be loaded is for the models to complain of."""
    algorithm = os.environ.get("CLARY_ALGORITHM", "")
    framework = os.environ.get("CLARY_FRAMEWORK") or algorithm
    with contextlib.suppress(Exception):
        if algorithm:
            algorithms.load(algorithm)
        for name in _LIBRARIES.get(framework, ()):
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        importlib.import_module("clary.runtime.inference.handlers")
    gc.collect()
    spare_what_is_loaded()


class _Nursery:
    def __init__(self, server: socket.socket) -> None:
        self._server = server
        self._children: set[int] = set()

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _ignore)  # the server's end is ours
        signalled, wakes = socket.socketpair()
        signalled.setblocking(False)
        wakes.setblocking(False)
        signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _ignore)
        server = os.getppid()
        while os.getppid() == server:
            readable, _, _ = select.select([self._server, signalled], [], [], _LOOK_SECONDS)
            if signalled in readable:
                with contextlib.suppress(BlockingIOError):
                    signalled.recv(4096)
            if self._server in readable and not self._obey(signalled, wakes):
                break
            self._reap()
        for child in self._children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        return 0

    def _obey(self, *private: socket.socket) -> bool:
        try:
            text, descriptors, _, _ = socket.recv_fds(self._server, _MESSAGE_BYTES, 1)
        except ConnectionError:
            return False
        if not text:
            return False
        order = json.loads(text)
        if "fork" in order:
            self._fork(order["fork"], descriptors[0], private)
        elif order["kill"] in self._children:
            os.kill(order["kill"], signal.SIGKILL)
        return True

    def _reap(self) -> None:
        while self._children:
            child, status = os.waitpid(-1, os.WNOHANG)
            if not child:
                return
            self._children.discard(child)
            with contextlib.suppress(OSError):
                self._server.send(json.dumps({"ended": child, "code": os.waitstatus_to_exitcode(status)}).encode())

    def _fork(self, directory: str, descriptor: int, private: tuple[socket.socket, ...]) -> None:
        nursery = os.getpid()
        sys.stdout.flush()  # or each child would say it again
        sys.stderr.flush()
        try:
            child = os.fork()
        except OSError as error:
            print(f"cannot fork for {directory}: {error}", file=sys.stderr, flush=True)
            os.close(descriptor)
            return
        if child:
            self._children.add(child)
            os.close(descriptor)
            return
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._server.close()
            for one in private:
                one.close()
            _die_with(nursery)
            _be_first_to_go()
            code = serve_model(descriptor, directory)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


def _ignore(number: int, frame: object) -> None:
    """A handler in place of SIG_IGN, which programs that a script starts would inherit."""


def _be_first_to_go() -> None:
    """When the machine is out of memory, let it be a model that is ended rather than the server."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("500")


def _die_with(parent: int) -> None:
    """Have the system end this process when its parent ends, however that happens. Where it cannot, EOF must do."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

"""A small process that has everything imported and forks shims: a fork costs milliseconds where a start costs a second.

It also keeps a few sandboxes warm for what was asked before. It belongs to the controller: its input is a pipe whose
other end the controller holds, and when that closes, by intent or by death, the nursery and what waits in it end. Shims
that look after a host are their own masters by then.

    python -m clary.executors.process.nursery HOME [--plain]

A request is a line of JSON. It comes over the controller's pipe, or on a connection of its own to the nursery's socket,
where a line answers it: `ok` once the shim exists.
"""

import gc
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from clary.executors.process import memory
from clary.executors.process.entry import choose_sandbox, detach, run_host
from clary.executors.process.warm import WarmKey, wait_for_host
from clary.kernel.core.clock import SystemClock
from clary.kernel.events import socket_path
from clary.kernel.jobs.folder import empty

NAME = "nursery"
_MOST_WARM = 3
_REFILL_SECONDS = 1.0  # let the host that took a sandbox have the processors first
_PATIENCE_SECONDS = 1.0
_LONGEST_REQUEST = 8192


class Nursery:
    """Answers requests until its lifeline closes. One thread: only then is forking safe."""

    def __init__(self, home: Path, plain: bool) -> None:
        self._home = home
        self._sandbox = choose_sandbox(plain)
        self._warms = self._sandbox.read_only_views
        self._clock = SystemClock()
        self._selector = selectors.DefaultSelector()
        self._waiting: OrderedDict[WarmKey, socket.socket] = OrderedDict()
        self._refills: dict[WarmKey, float] = {}
        self._rest = b""
        self._path = socket_path(home, NAME)
        self._path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen(128)
        self._inode = self._path.stat().st_ino

    def run(self) -> None:
        """Serve until the lifeline, fd 0, closes."""
        empty(self._home / "jobs" / ".warm")  # of a nursery that was killed; its sandboxes died with it
        memory.sweep(self._home)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(0, selectors.EVENT_READ)
        open_ = True
        while open_:
            for key, _ in self._selector.select(self._timeout()):
                if key.fileobj is self._listener:
                    self._serve()
                elif key.fd == 0:
                    open_ = self._hear_controller()
                else:
                    self._drop(key.data)
            self._refill()
        with suppress(FileNotFoundError):
            if self._path.stat().st_ino == self._inode:  # else another nursery has taken over the place
                self._path.unlink()

    def _hear_controller(self) -> bool:
        """Take what came over the pipe; False when the controller let go of it."""
        chunk = os.read(0, _LONGEST_REQUEST)
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self.handle(json.loads(line))
        return bool(chunk)

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection, suppress(OSError, ValueError, KeyError):
            connection.settimeout(_PATIENCE_SECONDS)
            with connection.makefile("rb") as file:
                self.handle(json.loads(file.readline(_LONGEST_REQUEST)))
            connection.sendall(b"ok\n")

    def handle(self, request: dict[str, Any]) -> None:
        """Launch a host, when the request names one; keep an interpreter warm for the next, when it names modules."""
        key = WarmKey(request["account"], tuple(request["modules"])) if request["modules"] is not None else None
        if "job" in request:
            self._launch(request["job"], request["host"], key)
        if key is not None and self._warms:
            self._refills.setdefault(key, self._clock.monotonic() + ("job" in request) * _REFILL_SECONDS)

    def _launch(self, job: str, host: str, key: WarmKey | None) -> None:
        orders = self._waiting.pop(key, None) if key is not None else None
        if orders is not None:
            self._selector.unregister(orders)
            with orders, suppress(OSError):
                orders.send(json.dumps([job, host]).encode())
                return
        self._fork(lambda: run_host(self._home, job, host, self._sandbox))

    def _refill(self) -> None:
        now = self._clock.monotonic()
        for key in [key for key, due in self._refills.items() if due <= now]:
            del self._refills[key]
            if key in self._waiting:
                self._waiting.move_to_end(key)
                continue
            while len(self._waiting) >= _MOST_WARM:
                self._drop(next(iter(self._waiting)))
            ours, theirs = socket.socketpair()
            self._fork(partial(wait_for_host, self._home, key, theirs), theirs.fileno())
            theirs.close()
            self._waiting[key] = ours
            self._selector.register(ours, selectors.EVENT_READ, key)

    def _timeout(self) -> float | None:
        if not self._refills:
            return None
        return max(0.0, min(self._refills.values()) - self._clock.monotonic())

    def _drop(self, key: WarmKey) -> None:
        """Close our end: who waits there ends, or has ended."""
        orders = self._waiting.pop(key)
        self._selector.unregister(orders)
        orders.close()

    def _fork(self, work: Callable[[], None], *keep: int) -> None:
        """Run `work` in a process that belongs to nobody: its parent is gone when it begins."""
        middle = os.fork()
        if middle:
            os.waitpid(middle, 0)
            return
        try:
            if os.fork():
                os._exit(0)
            detach(keep)
            work()
        except Exception:  # noqa: BLE001  # nobody else could tell
            traceback.print_exc()
        finally:
            os._exit(0)


def main() -> NoReturn:
    home, *flags = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    nursery = Nursery(Path(home), "--plain" in flags)
    memory.available()  # looked up once, for all who are forked
    gc.collect()
    gc.freeze()
    nursery.run()
    sys.exit(0)


if __name__ == "__main__":
    main()

"""Sandboxes that stand ready: an interpreter inside that has imported what the next job needs.

Each belongs to a shim-to-be, which waits for the name of a host. Told one, it makes the sandbox's folder the
host's and becomes its shim; told nothing before the other end closes, it ends, and the sandbox with it.
"""

import contextlib
import json
import os
import select
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

from clary.executors.process import bubblewrap, layout
from clary.executors.process.bubblewrap import BubblewrapProcess, BubblewrapSandbox
from clary.executors.process.entry import run_host
from clary.executors.process.memory import MemoryGroup
from clary.kernel.core.ids import new_id
from clary.kernel.jobs.contract import HostSpec, InputMode, Kind
from clary.kernel.jobs.folder import HostFolder, empty

_RUNTIME = ("python", "-m", "clary.runtime")
_HOST = "algo-1"


@dataclass(frozen=True)
class WarmKey:
    """What a ready sandbox is good for: hosts of this account that want these modules."""

    account: str
    modules: tuple[str, ...]

    @classmethod
    def parse(cls, account: str, warm: str) -> "WarmKey | None":
        """From a spec's `warm`, such as "python:xgboost,pandas"; None for what no interpreter of ours can be."""
        language, _, modules = warm.partition(":")
        return cls(account, tuple(filter(None, modules.split(",")))) if language == "python" else None


def suitable(spec: HostSpec) -> WarmKey | None:
    """The key whose sandbox could run this host; None when it needs one made for it."""
    plain_host = (spec.host == _HOST or spec.kind is Kind.SERVICE) and spec.network and not spec.resources.gpus
    views = any(channel.mode is InputMode.FAST_FILE for channel in spec.channels)
    if spec.warm is None or spec.argv[:3] != _RUNTIME or not plain_host or views:
        return None
    return WarmKey.parse(spec.account, spec.warm)


class WarmSandbox:
    """Hands the host to the interpreter that waits, or to a new sandbox when that died meanwhile."""

    read_only_views = True

    def __init__(self, waiting: BubblewrapProcess, stdin: int) -> None:
        self._waiting = waiting
        self._stdin = stdin

    def launch(self, spec: HostSpec, folder: HostFolder) -> BubblewrapProcess:
        layout.write_peers(folder.box, spec.peers)
        layout.working_folder(spec, folder)
        self._waiting.limit_memory(spec.resources.memory_bytes)
        environment = layout.environment(spec, bubblewrap.ROOTS)
        call = {"argv": list(spec.argv[3:]), "env": environment, "cwd": spec.cwd, "stdout": None, "stderr": None}
        try:
            with os.fdopen(self._stdin, "w") as file:
                file.write(json.dumps(call) + "\n")
        except BrokenPipeError:
            self._waiting.kill()
            return BubblewrapSandbox().launch(spec, folder)
        return self._waiting


def wait_for_host(home: Path, key: WarmKey, orders: socket.socket) -> None:
    """Make a sandbox ready, wait for an order, become that host's shim. Ends when there will be no order."""
    box = home / "jobs" / ".warm" / new_id()
    stdin, stdin_write = os.pipe()
    try:
        process = _make_ready(home, key, box, stdin)
    finally:
        os.close(stdin)
    try:
        # Its output ends when it died, for example because a module cannot be imported: then it is good for nothing.
        ready, _, _ = select.select([orders.fileno(), process.stdout], [], [])
        order = orders.recv(4096) if orders.fileno() in ready else b""
        if order:
            job, host = json.loads(order)
            _drain(process)
            run_host(home, job, host, WarmSandbox(process, stdin_write), lambda folder: _move_in(folder, box))
    finally:
        process.kill()
        process.close()
        shutil.rmtree(box, ignore_errors=True)


def _make_ready(home: Path, key: WarmKey, box: Path, stdin: int) -> BubblewrapProcess:
    layout.make_box(box)
    cache = layout.account_cache(home, key.account)
    arguments = bubblewrap.arguments(box, cache, hidden=home, hostname=_HOST, network=True)
    for name, value in layout.base_environment(bubblewrap.ROOTS).items():
        arguments += ["--setenv", name, value]
    argv = (*_RUNTIME, "warm", "--preload", ",".join(key.modules))
    return bubblewrap.start(arguments, argv, MemoryGroup(home), stdin=stdin)


def _move_in(folder: HostFolder, box: Path) -> None:
    """Make the sandbox's folder the host's. A half-staged one may lie there, of a shim that died early."""
    empty(folder.box)
    box.rename(folder.box)


def _drain(process: BubblewrapProcess) -> None:
    """Forget what the modules printed when they were imported: it is not the job's."""
    for fd in (process.stdout, process.stderr):
        os.set_blocking(fd, False)
        with contextlib.suppress(BlockingIOError):
            while os.read(fd, 65536):
                pass
        os.set_blocking(fd, True)

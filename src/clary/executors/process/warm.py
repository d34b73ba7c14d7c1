"""Sandboxes that stand ready: an interpreter inside that has imported what the next job needs.

Each belongs to a shim-to-be, which waits for the name of a host. Told one, it makes the sandbox's folder the
host's and becomes its shim; told nothing before the other end closes, it ends, and the sandbox with it.
"""

import contextlib
import json
import os
import select
import socket
import threading
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
_READY = "home/.ready"  # below the box outside, below the platform's folder inside
_LOOK_SECONDS = 0.005


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
    """A sandbox whose interpreter imports its modules and then waits for a host on its input."""

    read_only_views = True

    def __init__(self, home: Path, key: WarmKey) -> None:
        self._box = home / "jobs" / ".warm" / new_id()
        layout.make_box(self._box)
        stdin, self._stdin = os.pipe()
        try:
            self._process = _start(home, key, self._box, stdin)
        finally:
            os.close(stdin)

    @property
    def stdout(self) -> int:
        return self._process.stdout

    def move_in(self, folder: HostFolder) -> None:
        """Make the sandbox's folder the host's, unless the sandbox died; then the host gets a new one.

        First wait until the interpreter is ready: before, the sandbox may still be mounting the folder by its name.
        """
        never = threading.Event()
        while not (self._box / _READY).exists() and self._process.alive():
            never.wait(_LOOK_SECONDS)
        if self._process.alive():
            _drain(self._process)
            empty(folder.box)  # half-staged by a shim that died early, if it exists
            self._box.rename(folder.box)
            self._box = folder.box

    def launch(self, spec: HostSpec, folder: HostFolder) -> BubblewrapProcess:
        if self._box != folder.box:
            return BubblewrapSandbox().launch(spec, folder)
        layout.write_peers(folder.box, spec.peers)
        layout.working_folder(spec, folder)
        self._process.limit_memory(spec.resources.memory_bytes)
        environment = layout.environment(spec, bubblewrap.ROOTS)
        call = {"argv": list(spec.argv[3:]), "env": environment, "cwd": spec.cwd, "stdout": None, "stderr": None}
        try:
            with os.fdopen(self._stdin, "w") as file:
                file.write(json.dumps(call) + "\n")
        except BrokenPipeError:
            return BubblewrapSandbox().launch(spec, folder)
        return self._process

    def close(self) -> None:
        """End what is left of it."""
        self._process.kill()
        self._process.close()
        empty(self._box)
        with contextlib.suppress(OSError):  # somebody may have forgotten the host meanwhile
            self._box.rmdir()


def wait_for_host(home: Path, key: WarmKey, orders: socket.socket) -> None:
    """Make a sandbox ready, wait for an order, become that host's shim. Ends when there will be no order."""
    sandbox = WarmSandbox(home, key)
    try:
        # Its output ends when it died, for example because a module cannot be imported: then it is good for nothing.
        ready, _, _ = select.select([orders.fileno(), sandbox.stdout], [], [])
        if orders.fileno() not in ready:
            orders.shutdown(socket.SHUT_RD)  # whoever orders from now on learns that nobody is here
        order = orders.recv(4096)  # one that had come before is carried out: in another sandbox, by `move_in`
        if order:
            job, host = json.loads(order)
            run_host(home, job, host, sandbox, sandbox.move_in)
    finally:
        sandbox.close()


def _start(home: Path, key: WarmKey, box: Path, stdin: int) -> BubblewrapProcess:
    cache = layout.account_cache(home, key.account)
    arguments = bubblewrap.arguments(box, cache, hidden=home, hostname=_HOST, network=True)
    environment = layout.base_environment(bubblewrap.ROOTS) | {"CLARY_READY_FILE": f"{layout.PLATFORM_ROOT}/{_READY}"}
    for name, value in environment.items():
        arguments += ["--setenv", name, value]
    argv = (*_RUNTIME, "warm", "--preload", ",".join(key.modules))
    return bubblewrap.start(arguments, argv, MemoryGroup(home), stdin=stdin)


def _drain(process: BubblewrapProcess) -> None:
    """Forget what the modules printed when they were imported: it is not the job's."""
    for fd in (process.stdout, process.stderr):
        os.set_blocking(fd, False)
        with contextlib.suppress(BlockingIOError):
            while os.read(fd, 65536):
                pass
        os.set_blocking(fd, True)

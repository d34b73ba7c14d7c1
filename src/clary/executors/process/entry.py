"""Where a shim process begins: detached from who started it, then looking after one host to its end.

Also the slow start of a shim, when no nursery answers:  python -m clary.executors.process.entry HOME JOB HOST
"""

import gc
import itertools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from clary.executors.process.bubblewrap import BubblewrapSandbox, unavailable
from clary.executors.process.plain import PlainSandbox
from clary.kernel.core.clock import SystemClock
from clary.kernel.jobs.embedded import HomeServices
from clary.kernel.jobs.folder import HostFolder
from clary.kernel.jobs.sandbox import Sandbox
from clary.kernel.jobs.shim import look_after

_MANY_DESCRIPTORS = 4096


def choose_sandbox(plain: bool) -> Sandbox:
    """The best sandbox that this machine allows, or a plain process when that is asked for."""
    return PlainSandbox() if plain or unavailable() else BubblewrapSandbox()


def detach(keep: tuple[int, ...] = ()) -> None:
    """Leave the session, files and signal handlers of who forked us."""
    os.setsid()
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    edges = [2, *sorted(keep), _MANY_DESCRIPTORS]
    for low, high in itertools.pairwise(edges):
        os.closerange(low + 1, high)
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(name, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)


def run_host(
    home: Path, job: str, host: str, sandbox: Sandbox, taken: Callable[[HostFolder], None] = lambda _: None
) -> None:
    """Be the shim of a host, when it needs one; returns when the host ended. `taken` is called once we are."""
    folder = HostFolder(home, job, host)
    if not folder.take():
        return
    taken(folder)
    errors = os.open(folder.shim_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(errors, 2)
    os.close(errors)
    gc.disable()  # it would copy the memory shared with the nursery; a shim is short of garbage
    clock = SystemClock()
    look_after(folder, lambda spec: HomeServices(home, spec.account, spec.region, clock, spec.role), sandbox, clock)


def main() -> None:
    home, job, host, *flags = sys.argv[1:]
    detach()
    run_host(Path(home), job, host, choose_sandbox("--plain" in flags))
    os._exit(0)  # threads may still wait for readers who never come


if __name__ == "__main__":
    main()

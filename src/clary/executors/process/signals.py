"""Ask a program to end, find out whom to ask, and end who does not listen."""

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_SIGTERM_BIT = 1 << (signal.SIGTERM - 1)


def terminate(main: int) -> None:
    """Send SIGTERM to process `main`, or, when it does not handle that, to its nearest descendants that do.

    A container's first process is often a shell that runs the program; it would die at once and take with it a
    program that wanted to save its work.
    """
    for pid in _listeners(main) or [main]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


def children(pid: int) -> list[int]:
    """The direct children of `pid`; empty where the system does not say."""
    found = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


def adopt_orphans() -> None:
    """Become the parent of our descendants whose own parent dies, where the system knows that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def sweep() -> None:
    """Kill our descendants, also those that come to us meanwhile."""
    while remaining := children(os.getpid()):
        for child in remaining:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        for child in remaining:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, 0)


def _listeners(pid: int) -> list[int]:
    if _handles_sigterm(pid):
        return [pid]
    return [listener for child in children(pid) for listener in _listeners(child)]


def _handles_sigterm(pid: int) -> bool:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) & _SIGTERM_BIT)
    return False

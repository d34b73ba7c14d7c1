"""Limit the memory of a host by a control group, where this process may make one; count it in the placement at least.

Version 2: a sibling of our own group, since a group with processes cannot have children with controllers. Version 1:
a child of our own group.
"""

import contextlib
import hashlib
import os
import threading
from functools import cache
from pathlib import Path

from clary.kernel.core.clock import SystemClock
from clary.kernel.core.ids import new_id

_ROOT = Path("/sys/fs/cgroup")
_MIB = 1024**2
_NEW_SECONDS = 60.0
_REMOVALS = 100
_REMOVAL_PAUSE_SECONDS = 0.005


@cache
def _parent() -> tuple[Path, bool] | None:
    """The group to make groups in, and whether it is of version 2; None when there is none that we may use."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, own = line.split(":", 2)
            if controllers == "" and own != "/":
                found = (_ROOT / own.lstrip("/")).parent
                if "memory" in _controllers(found) and _usable(found):
                    return found, True
            elif "memory" in controllers.split(","):
                found = _ROOT / "memory" / own.lstrip("/")
                if _usable(found):
                    return found, False
    return None


def _controllers(group: Path) -> list[str]:
    try:
        return (group / "cgroup.subtree_control").read_text().split()
    except OSError:
        return []


def _usable(parent: Path) -> bool:
    """Whether we may make a group there and put ourselves into it; tried with the group of a process of its own."""
    probe = parent / f"clary-probe-{os.getpid()}"
    try:
        probe.mkdir()
        try:
            return os.access(probe / "cgroup.procs", os.W_OK) and os.access(parent / "cgroup.procs", os.W_OK)
        finally:
            probe.rmdir()
    except OSError:
        return False


def available() -> bool:
    return _parent() is not None


class MemoryGroup:
    """A new group for one host of a home; harmless where there can be none."""

    def __init__(self, home: Path) -> None:
        parent = _parent()
        self._path = parent[0] / f"{_prefix(home)}{new_id()}" if parent else None
        self._second = parent[1] if parent else True
        self._limit = 0
        if self._path is not None:
            self._path.mkdir()

    def wrap(self, command: list[str]) -> list[str]:
        """The command, made to join the group before it begins."""
        if self._path is None:
            return command
        return ["/bin/sh", "-c", 'echo $$ >"$0" && exec "$@"', str(self._path / "cgroup.procs"), *command]

    def limit(self, size: int) -> None:
        """Let the host have `size` bytes; 0 is without limit."""
        if self._path is None or not size:
            return
        self._limit = size
        name = "memory.max" if self._second else "memory.limit_in_bytes"
        with contextlib.suppress(OSError):
            (self._path / name).write_text(str(size))
        with contextlib.suppress(OSError):
            swap = "memory.swap.max" if self._second else "memory.memsw.limit_in_bytes"
            (self._path / swap).write_text("0" if self._second else str(size))

    def remark(self) -> str:
        """That the host ran out of memory, if it did."""
        if self._path is None or not self._limit:
            return ""
        name = "memory.events" if self._second else "memory.oom_control"
        try:
            facts = dict(line.split() for line in (self._path / name).read_text().splitlines())
        except (OSError, ValueError):
            return ""
        if int(facts.get("oom_kill", 0)) == 0:
            return ""
        return f"The host ran out of memory: it may use {self._limit // _MIB} MiB. Choose a larger instance type."

    def remove(self) -> None:
        """Take the group away. Its processes were killed, and may need an instant to be gone."""
        never = threading.Event()
        for _ in range(_REMOVALS):
            if self._path is None or _removed(self._path):
                return
            never.wait(_REMOVAL_PAUSE_SECONDS)


def sweep(home: Path) -> None:
    """Take away the groups of this home that nothing is in: their shims were killed. New ones may not be in use yet."""
    parent = _parent()
    old = SystemClock().now() - _NEW_SECONDS
    for group in parent[0].glob(f"{_prefix(home)}*") if parent else ():
        with contextlib.suppress(OSError):
            if group.stat().st_mtime < old:
                group.rmdir()


def _prefix(home: Path) -> str:
    return f"clary-{hashlib.sha256(os.fsencode(home)).hexdigest()[:12]}-"


def _removed(group: Path) -> bool:
    try:
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True

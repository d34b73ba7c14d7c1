"""How much of this machine hosts use: processors, memory and disk, measured from their processes and their folders.

A host's processes are those below its main process, which in a sandbox is the sandbox's own first process. What they
used and have handed on to whoever waited for their end is counted too, so that short-lived workers do not go missing.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from clary.kernel.core.clock import Clock
from clary.kernel.jobs.contract import Observation, Phase
from clary.kernel.jobs.folder import HostFolder

_MOST_FILES = 200_000  # of a host's folder that are looked at, so that one full of files holds up nobody
_BLOCK_BYTES = 512

Place = tuple[str, str]
"""The job and the host."""


@dataclass(frozen=True)
class Usage:
    """What a host uses: 100 `cpu_percent` is one processor kept busy since it was measured last; the rest is of now."""

    cpu_percent: float
    memory_bytes: int
    disk_bytes: int


class UsageMeter:
    """Measures hosts of one home, again and again."""

    def __init__(self, home: Path, clock: Clock) -> None:
        self._home = home
        self._clock = clock
        self._before: dict[Place, tuple[int, float, float]] = {}

    def measure(self, hosts: Iterable[Observation]) -> dict[Place, Usage]:
        """The usage of those that run. Whoever is left out, or new, is measured from its start the next time."""
        children = _children()
        used: dict[Place, Usage] = {}
        seen: dict[Place, tuple[int, float, float]] = {}
        for host in hosts:
            if host.phase is not Phase.RUNNING or host.pid is None:
                continue
            place = host.job, host.host
            found = _processes(host.pid, children)
            if found is None:
                continue
            started_at, cpu_seconds, memory_bytes = found
            now = self._clock.now()
            pid, before_at, before_seconds = self._before.get(place, (host.pid, started_at, 0.0))
            if pid != host.pid:
                before_at, before_seconds = started_at, 0.0
            seen[place] = host.pid, now, cpu_seconds
            busy = max(cpu_seconds - before_seconds, 0.0) / max(now - before_at, 0.001)
            used[place] = Usage(100 * busy, memory_bytes, disk_bytes(HostFolder(self._home, *place).box))
        self._before = seen
        return used


def disk_bytes(folder: Path) -> int:
    """What the files below a folder take on disk. No link is followed, and a file with several names counts once."""
    total = looked = 0
    known: set[tuple[int, int]] = set()
    folders = [os.fspath(folder)]
    while folders and looked < _MOST_FILES:
        try:
            entries = os.scandir(folders.pop())
        except OSError:  # gone meanwhile, or not ours to look into
            continue
        with entries:
            for entry in entries:
                looked += 1
                try:
                    status = entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                except OSError:
                    continue
                if (status.st_dev, status.st_ino) not in known:
                    total += status.st_blocks * _BLOCK_BYTES
                if status.st_nlink > 1:
                    known.add((status.st_dev, status.st_ino))
    return total


def _children() -> dict[int, list[int]]:
    """Every process's children."""
    children: dict[int, list[int]] = {}
    for process in psutil.process_iter(["ppid"]):
        children.setdefault(process.info["ppid"] or 0, []).append(process.pid)
    return children


def _processes(main: int, children: Mapping[int, list[int]]) -> tuple[float, float, int] | None:
    """When the main process started, and the processor seconds and memory of all; None when it is gone."""
    try:
        started_at = psutil.Process(main).create_time()
    except psutil.Error:
        return None
    seconds, memory = 0.0, 0
    waiting = [main]
    while waiting:
        pid = waiting.pop()
        waiting += children.get(pid, ())
        try:
            process = psutil.Process(pid)
            times = process.cpu_times()
            seconds += times.user + times.system + times.children_user + times.children_system
            memory += _memory_bytes(process)
        except psutil.Error:  # it ended meanwhile
            continue
    return started_at, seconds, memory


def _memory_bytes(process: psutil.Process) -> int:
    """Its own memory, with its share of what it has in common with others where the system tells that."""
    try:
        return int(process.memory_full_info().pss)
    except (psutil.AccessDenied, AttributeError):
        return int(process.memory_info().rss)

"""How much memory processes really take: pages that several share are counted once among them."""

from collections.abc import Iterable
from pathlib import Path

import psutil

_KIB = 1024


def memory_of(processes: Iterable[int], alone: Iterable[int] = ()) -> dict[int, int]:
    """Bytes of memory by process, swapped pages included: of `processes` with their descendants, of `alone` without.

    A process that has ended has none.
    """
    return {process: _share(process) for process in alone} | {
        process: sum(map(_share, [process, *_descendants(process)])) for process in processes
    }


def _descendants(process: int) -> list[int]:
    """All processes below this one. The system lists them for each thread that has started some."""
    try:
        lists = [file.read_text() for file in Path(f"/proc/{process}/task").glob("*/children")]
    except OSError:
        return []
    if not lists:
        return _descendants_slowly(process)
    children = [int(number) for text in lists for number in text.split()]
    return [one for child in children for one in (child, *_descendants(child))]


def _descendants_slowly(process: int) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(process).children(recursive=True)]
    except psutil.Error:
        return []


def _share(process: int) -> int:
    """The proportional set size where the system tells it, else the memory that is the process's alone."""
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_bytes()
    except OSError:
        return _unique(process)
    size = 0
    for line in text.splitlines():
        name, _, rest = line.partition(b":")
        if name in (b"Pss", b"SwapPss"):
            size += int(rest.split()[0]) * _KIB
    return size


def _unique(process: int) -> int:
    try:
        return int(psutil.Process(process).memory_full_info().uss)
    except psutil.Error:
        return 0

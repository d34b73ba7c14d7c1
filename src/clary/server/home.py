"""The home folder: its layout, who holds it, and how the running server is found."""

import fcntl
import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import orjson
import psutil

from clary.kernel.core.clock import SystemClock

_FOLDERS = ("run", "log", "objects", "kv", "jobs", "cache")
_PATIENCE_SECONDS = 1.0
_HEIR_SECONDS = 60.0
_POLL_SECONDS = 0.01


class HomeInUse(Exception):
    """Another process holds this home."""


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What a running server says about itself in `run/server.json`."""

    pid: int
    endpoint: str
    version: str
    ephemeral: bool
    region: str
    started_at: float


def prepare(home: Path) -> None:
    """Make the folders of a home, each for its owner alone: the home itself may have been there before, open to all."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    for folder in _FOLDERS:
        (home / folder).mkdir(exist_ok=True, mode=0o700)


def hold(home: Path, name: str, patience_seconds: float = _PATIENCE_SECONDS) -> IO[str]:
    """Take the lock `name` of this home; it is let go when the file is closed or the process ends.

    Raises HomeInUse with the holder's process id. Patient where the holder is no more: then what still has the lock is
    somebody who asks `is_held`, or what the holder had just forked, and lets go of it as soon as the machine lets it.
    """
    handle = (home / "run" / f"{name}.lock").open("a+", encoding="utf-8")
    clock, pause = SystemClock(), threading.Event()
    began = clock.monotonic()
    while not _try_lock(handle, fcntl.LOCK_EX):
        handle.seek(0)
        holder = handle.read().strip()
        if clock.monotonic() >= began + (patience_seconds if _lives(holder) else _HEIR_SECONDS):
            handle.close()
            raise HomeInUse(f"process {holder or 'unknown'} already runs the {name} of {home}")
        pause.wait(_POLL_SECONDS)
    handle.truncate(0)
    handle.write(str(os.getpid()))
    handle.flush()
    return handle


def is_held(home: Path, name: str) -> bool:
    """Whether some process holds the lock `name`."""
    path = home / "run" / f"{name}.lock"
    if not path.exists():
        return False
    with path.open("a+", encoding="utf-8") as handle:
        return not _try_lock(handle, fcntl.LOCK_SH)  # shared: others who ask are no holders


def _try_lock(handle: IO[str], how: int) -> bool:
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lives(holder: str) -> bool:
    return holder.isdigit() and psutil.pid_exists(int(holder))


def announce(home: Path, info: ServerInfo) -> None:
    """Tell clients and jobs where the server is. Atomic: readers see the old or the new."""
    path = home / "run" / "server.json"
    fresh = path.with_suffix(".new")
    fresh.write_bytes(orjson.dumps(asdict(info)))
    fresh.replace(path)


def withdraw(home: Path) -> None:
    (home / "run" / "server.json").unlink(missing_ok=True)


def was_cut_short(home: Path) -> bool:
    """Whether the last server ended without withdrawing what it announced; asked by the next, before it announces."""
    return (home / "run" / "server.json").exists()


def running(home: Path) -> ServerInfo | None:
    """The server that runs over this home, or None."""
    if not is_held(home, "supervisor"):
        return None
    try:
        return ServerInfo(**orjson.loads((home / "run" / "server.json").read_bytes()))
    except (FileNotFoundError, orjson.JSONDecodeError, TypeError):
        return None

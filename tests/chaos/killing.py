"""Killing parts of a server at random, and waiting for what must come true afterwards."""

import os
import random
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from botocore.exceptions import BotoCoreError, ClientError

from clary.kernel.core.clock import SystemClock
from clary.server.lifecycle import role_of

PATIENCE_SECONDS = 180.0
_ENGINE = "clary.lake.engine.nursery"
_UP = "clary.cli up"


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for a condition, patiently; errors of a server that is coming back count as not yet."""
    clock, pause = SystemClock(), threading.Event()
    deadline = clock.monotonic() + PATIENCE_SECONDS  # an answer may take as long as its client waits for it
    while clock.monotonic() < deadline:
        try:
            found = condition()
        except (BotoCoreError, ClientError):
            found = None
        if found:
            return found
        pause.wait(0.1)
    raise AssertionError(f"waited {PATIENCE_SECONDS:g} s in vain: {what}")


def processes_of(folder: Path) -> list[psutil.Process]:
    """Every process that belongs to this home, by its environment or its command line."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and _belongs(process, folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def _belongs(process: psutil.Process, folder: Path) -> bool:
    line = " ".join(process.cmdline())
    if str(folder) in line or process.environ().get("CLARY_HOME") == str(folder):
        return True
    parent = process.parent()
    return _ENGINE in line and parent is not None and _belongs(parent, folder)  # in a sandbox nothing else says so


def nobody_left(folder: Path) -> None:
    """Wait until no process belongs to this home: what a nursery keeps ready ends a moment after it."""
    wait_until(lambda: not processes_of(folder), f"every process of {folder} ends")


def role(process: psutil.Process) -> str:
    """Which part of Clary a process is; a shim is forked from the nursery and then belongs to nobody."""
    try:
        line, parent = process.cmdline(), process.parent()
        parents, below = (parent.cmdline(), role_of(parent)) if parent is not None else ([], "")
    except psutil.NoSuchProcess:
        return "other"  # it has ended meanwhile
    words, above = " ".join(line), " ".join(parents)
    if line[2:3] == [_ENGINE]:
        return "engine" if parents == line else "engine nursery"
    if "clary.executors.process" in words:
        return "nursery" if below == "controller" else "shim"
    if _UP in words:
        return "other" if _UP in above else "supervisor"  # a process that it has forked has no title yet
    return role_of(process) or "other"


def kill_one(folder: Path, victim: str, chance: random.Random) -> list[str]:
    """Kill one process of the role if there is any; return the roles killed."""
    with suppress(ProcessLookupError, psutil.NoSuchProcess):
        targets = sorted(process.pid for process in processes_of(folder) if role(process) == victim)
        if targets:
            os.kill(chance.choice(targets), signal.SIGKILL)
            return [victim]
    return []


def kill_next(
    folder: Path, victim: str, chance: random.Random, *, unless: Callable[[], bool] = lambda: False
) -> list[str]:
    """`kill_one` once there is one, which a busy machine may start late; `unless` says that none will come."""
    killed: list[str] = []

    def look() -> bool:
        killed.extend(kill_one(folder, victim, chance))
        return bool(killed) or unless()

    wait_until(look, f"there is a {victim} to kill")
    return killed

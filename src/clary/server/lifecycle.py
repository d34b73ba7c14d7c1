"""Starting, finding and ending a server from outside: what the command line and tests use."""

import http.client
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from clary.executors.process import ProcessExecutor
from clary.kernel.core.clock import SystemClock
from clary.kernel.core.settings import Settings
from clary.server import home
from clary.server.home import ServerInfo

_POLL_SECONDS = 0.02
_START_SECONDS = 180.0  # it imports for seconds of CPU, of which a busy machine gives it but little
_ANSWER_SECONDS = 10.0
_STOP_SECONDS = 30.0


class DidNotStart(Exception):
    """The server ended or stayed silent; the message holds the end of its log."""


def start_detached(settings: Settings) -> ServerInfo:
    """Start a server that outlives this process, and return once it answers. Its output goes to `log/server.log`."""
    home.prepare(settings.home)
    log_path = settings.home / "log" / "server.log"
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "clary.cli", "up"],
            env=os.environ | settings.environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return wait_until_ready(settings.home, process, log_path)


def wait_until_ready(folder: Path, process: subprocess.Popen[bytes], log_path: Path) -> ServerInfo:
    """Wait for the server that `process` runs over the home `folder` to answer.

    Raises DidNotStart, and then has ended it: nobody waits for it any more.
    """
    clock, pause = SystemClock(), threading.Event()
    deadline = clock.monotonic() + _START_SECONDS
    while clock.monotonic() < deadline and process.poll() is None:
        info = home.running(folder)
        if info is not None and info.pid == process.pid and answers(info.endpoint):
            return info
        pause.wait(_POLL_SECONDS)
    _end(process.pid)
    process.wait()
    lines = log_path.read_text("utf-8", "replace").splitlines() if log_path.exists() else []
    raise DidNotStart("\n".join(lines[-15:]) or "the server gave no reason")


def answers(endpoint: str) -> bool:
    """Whether a gateway answers at this URL."""
    where = urlsplit(endpoint)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", "/_clary/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def role_of(process: psutil.Process) -> str:
    """What a child of a supervisor is, by its title: gateway, controller or carrier; empty where it has none yet."""
    try:
        words = " ".join(process.cmdline()).split()
    except psutil.Error:  # it has ended
        return ""
    return words[1] if words[:1] == ["clary"] and words[2:3] == ["of"] else ""


def stop(info: ServerInfo) -> bool:
    """Ask a server to end and wait for it; False when it had to be killed."""
    return _end(info.pid)


def _end(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        process.send_signal(signal.SIGTERM)
        process.wait(_STOP_SECONDS)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        with suppress(psutil.NoSuchProcess):
            for part in [*process.children(), process]:
                with suppress(psutil.NoSuchProcess):
                    part.kill()
        return False
    return True


def end_hosts(settings: Settings) -> int:
    """End every job host and model server of this home at once; return how many there were."""
    return ProcessExecutor(settings.home).end_all() if settings.home.exists() else 0

"""`clary up`: hold the home, bind the port, keep controller, carrier and gateways running, and end them together."""

import errno
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, field

from clary import __version__
from clary.kernel.auth.keys import Keys, is_loopback
from clary.kernel.core.clock import SystemClock
from clary.kernel.core.settings import Settings
from clary.kernel.store.sql import open_sqlite
from clary.server import home
from clary.server.home import ServerInfo

_log = logging.getLogger("clary.supervisor")

_STOP_SECONDS = 10.0
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 10.0
_STEADY_SECONDS = 30.0
_HEIR_SECONDS = 30.0
_HEIR_LOOKS_SECONDS = 0.1


class CannotStart(Exception):
    """Why the server cannot start; the message tells what to do."""


@dataclass(slots=True)
class _Child:
    role: str
    arguments: list[str]
    files: tuple[int, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    pause_seconds: float = _FIRST_PAUSE_SECONDS
    start_at: float = field(default=0.0)


class Supervisor:
    """One server over one home, from `run` to SIGTERM or SIGINT."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clock = SystemClock()
        self._wake = threading.Event()
        self._stopping = False
        self._children: list[_Child] = []

    def run(self) -> None:
        """Serve until told to stop. Raises CannotStart."""
        settings = self._settings
        home.prepare(settings.home)
        try:
            lock = home.hold(settings.home, "supervisor")
        except home.HomeInUse as error:
            raise CannotStart(f"{error}. Use `clary status` to see it, `clary down` to stop it.") from None
        with lock, self._bind() as listener:
            self._prepare_keys()
            endpoint = _endpoint(settings, listener)
            self._children = [_Child("controller", []), _Child("carrier", [])] + [
                _Child("gateway", [str(listener.fileno()), endpoint], (listener.fileno(),))
                for _ in range(settings.workers)
            ]
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._stop)
            signal.signal(signal.SIGCHLD, lambda *_: self._wake.set())
            home.announce(
                settings.home,
                ServerInfo(os.getpid(), endpoint, __version__, settings.ephemeral, settings.region, self._clock.now()),
            )
            try:
                self._supervise()
            finally:
                home.withdraw(settings.home)
                self._end_children()

    def _bind(self) -> socket.socket:
        """The socket that the gateways share. Those of a supervisor that was killed may hold the address until they
        have noticed, which one that was just starting does late."""
        patience_seconds = _HEIR_SECONDS if home.was_cut_short(self._settings.home) else 0.0
        deadline = self._clock.monotonic() + patience_seconds
        waits = False
        while True:
            try:
                return self._listener()
            except OSError as error:
                if error.errno != errno.EADDRINUSE or self._clock.monotonic() >= deadline:
                    raise self._cannot_listen(error) from None
                if not waits:
                    _log.warning("waiting for %s, which what a killed server left may hold", self._settings.listen)
                waits = True
                self._wake.wait(_HEIR_LOOKS_SECONDS)
            except OverflowError as error:
                raise self._cannot_listen(error) from None

    def _cannot_listen(self, error: Exception) -> CannotStart:
        return CannotStart(
            f"cannot listen on {self._settings.listen}: {error}. Choose another with --listen HOST:PORT."
        )

    def _listener(self) -> socket.socket:
        host, port = self._settings.host, self._settings.port
        listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            listener.listen(2048)
        except (OSError, OverflowError):
            listener.close()
            raise
        listener.set_inheritable(True)
        return listener

    def _prepare_keys(self) -> None:
        """On loopback, make the default key pair; beyond it, insist on keys that somebody made."""
        store = open_sqlite(self._settings.home / "records.db")
        try:
            keys = Keys(store, self._clock, self._settings)
            if is_loopback(self._settings.host):
                keys.ensure_default()
            elif not keys.any_made():
                raise CannotStart(
                    f"listening on {self._settings.listen} opens Clary to the network, and no access key has been made "
                    "for it. Make one with `clary keys create`, then start again; or listen on 127.0.0.1."
                )
        finally:
            store.close()

    def _supervise(self) -> None:
        while not self._stopping:
            now = self._clock.monotonic()
            waits = [_LONGEST_PAUSE_SECONDS]
            for child in self._children:
                if child.process is not None and child.process.poll() is not None:
                    self._bury(child, now)
                if child.process is None and child.start_at <= now:
                    self._start(child, now)
                elif child.process is None:
                    waits.append(child.start_at - now)
            self._wake.wait(min(waits))
            self._wake.clear()

    def _start(self, child: _Child, now: float) -> None:
        child.process = subprocess.Popen(
            [sys.executable, "-m", "clary.server.processes", child.role, str(os.getpid()), *child.arguments],
            env=os.environ | self._settings.environment(),
            pass_fds=child.files,
            stdin=subprocess.DEVNULL,
        )
        child.started_at = now

    def _bury(self, child: _Child, now: float) -> None:
        """Note a death and when to start again: at once after a steady run, later and later in a crash loop."""
        assert child.process is not None
        if now - child.started_at > _STEADY_SECONDS:
            child.pause_seconds = _FIRST_PAUSE_SECONDS
        _log.warning(
            "the %s ended with status %s; starting it again in %.1f s",
            child.role,
            child.process.returncode,
            child.pause_seconds,
        )
        child.process = None
        child.start_at = now + child.pause_seconds
        child.pause_seconds = min(child.pause_seconds * 2, _LONGEST_PAUSE_SECONDS)

    def _stop(self, *_: object) -> None:
        self._stopping = True
        self._wake.set()

    def _end_children(self) -> None:
        alive = [child.process for child in self._children if child.process is not None]
        for process in alive:
            process.terminate()
        deadline = self._clock.monotonic() + _STOP_SECONDS
        for process in alive:
            try:
                process.wait(max(0.1, deadline - self._clock.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _endpoint(settings: Settings, listener: socket.socket) -> str:
    """The URL for clients on this machine."""
    port = listener.getsockname()[1]
    host = settings.host
    if host in {"0.0.0.0", "::"}:
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

"""`clary up`: hold the home, bind the port, keep controller, carrier and gateways running, and end them together.

They are forked from the supervisor, which has imported all they need: a process starts in milliseconds, and what they
have in common lies in memory once. So the supervisor has no thread and opens no store for long.
"""

import errno
import gc
import logging
import os
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from queue import Empty, SimpleQueue
from typing import IO

from clary import __version__
from clary.kernel.auth.keys import Keys, is_loopback
from clary.kernel.core.clock import SystemClock
from clary.kernel.core.settings import Settings
from clary.kernel.store.sql import open_sqlite
from clary.server import home, processes
from clary.server.home import ServerInfo

_log = logging.getLogger("clary.supervisor")

_STOP_SECONDS = 10.0
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 10.0
_STEADY_SECONDS = 30.0
_HEIR_SECONDS = 60.0
_HEIR_LOOKS_SECONDS = 0.1
_HEARD = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
_FORKING = get_context("fork")


class CannotStart(Exception):
    """Why the server cannot start; the message tells what to do."""


@dataclass(slots=True)
class _Child:
    role: str
    process: ForkProcess | None = None
    started_at: float = 0.0
    pause_seconds: float = _FIRST_PAUSE_SECONDS
    start_at: float = field(default=0.0)


class Supervisor:
    """One server over one home, from `run` to SIGTERM or SIGINT."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clock = SystemClock()
        # Not an Event: a signal handler that sets one may wait for a lock that the code it interrupts holds.
        self._wakes: SimpleQueue[None] = SimpleQueue()
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
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._stop)
            signal.signal(signal.SIGCHLD, lambda *_: self._wakes.put(None))
            home.announce(
                settings.home,
                ServerInfo(os.getpid(), endpoint, __version__, settings.ephemeral, settings.region, self._clock.now()),
            )
            processes.load()
            gc.collect()
            gc.freeze()  # what is never collected stays shared
            roles = ["controller", "carrier", *["gateway"] * settings.workers]
            self._children = [_Child(role) for role in roles]
            try:
                self._supervise(lock, listener, endpoint)
            finally:
                home.withdraw(settings.home)
                self._end_children()

    def _wait(self, seconds: float) -> None:
        """Wait for a signal, for so long at most."""
        with suppress(Empty):
            self._wakes.get(timeout=max(0.0, seconds))

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
                self._wait(_HEIR_LOOKS_SECONDS)
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

    def _supervise(self, lock: IO[str], listener: socket.socket, endpoint: str) -> None:
        while not self._stopping:
            now = self._clock.monotonic()
            waits = [_LONGEST_PAUSE_SECONDS]
            for child in self._children:
                if child.process is not None and child.process.exitcode is not None:
                    self._bury(child, now)
                if child.process is None and child.start_at <= now:
                    self._start(child, now, lock, listener, endpoint)
                elif child.process is None:
                    waits.append(child.start_at - now)
            self._wait(min(waits))

    def _start(self, child: _Child, now: float, lock: IO[str], listener: socket.socket, endpoint: str) -> None:
        supervisor = os.getpid()

        def be() -> None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            for number in (signal.SIGTERM, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEARD)
            lock.close()  # it is still the supervisor's
            if child.role != "gateway":
                listener.close()
            processes.be(child.role, self._settings, supervisor, listener, endpoint)

        signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)  # none may be heard by the child as if it were this process
        try:
            child.process = _FORKING.Process(target=be, name=child.role)
            child.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEARD)
        child.started_at = now

    def _bury(self, child: _Child, now: float) -> None:
        """Note a death and when to start again: at once after a steady run, later and later in a crash loop."""
        assert child.process is not None
        if now - child.started_at > _STEADY_SECONDS:
            child.pause_seconds = _FIRST_PAUSE_SECONDS
        _log.warning(
            "the %s ended with status %s; starting it again in %.1f s",
            child.role,
            child.process.exitcode,
            child.pause_seconds,
        )
        child.process = None
        child.start_at = now + child.pause_seconds
        child.pause_seconds = min(child.pause_seconds * 2, _LONGEST_PAUSE_SECONDS)

    def _stop(self, *_: object) -> None:
        self._stopping = True
        self._wakes.put(None)

    def _end_children(self) -> None:
        alive = [child.process for child in self._children if child.process is not None]
        for process in alive:
            process.terminate()
        deadline = self._clock.monotonic() + _STOP_SECONDS
        for process in alive:
            process.join(max(0.1, deadline - self._clock.monotonic()))
            if process.exitcode is None:
                process.kill()
                process.join()


def _endpoint(settings: Settings, listener: socket.socket) -> str:
    """The URL for clients on this machine."""
    port = listener.getsockname()[1]
    host = settings.host
    if host in {"0.0.0.0", "::"}:
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

"""Ask a service whether it is well: `GET /ping` must answer 200."""

import http.client
import re
import socket
import threading
from collections.abc import Callable
from enum import Enum
from pathlib import Path

from clary.kernel.core.clock import Clock, SystemClock

_TIMEOUT_SECONDS = 2.0
_FIRST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 0.5
_PAUSE_WHEN_WELL_SECONDS = 2.0
_FAILURES_UNTIL_ILL = 3
_BUSY_PAUSE_SECONDS = 0.005
_REQUEST = b"GET /ping HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: identity\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r]")
_LONGEST_HEAD = 64 * 1024


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_seconds: float) -> None:
        super().__init__("localhost", timeout=timeout_seconds)
        self._path = path
        self._timeout_seconds = timeout_seconds

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        clock, pause = SystemClock(), threading.Event()
        give_up_at = clock.monotonic() + self._timeout_seconds
        while True:
            try:
                return self.sock.connect(str(self._path))
            except BlockingIOError:  # a Unix socket whose queue is full says so instead of letting one wait
                if clock.monotonic() > give_up_at:
                    raise TimeoutError("too many wait for the service already") from None
            pause.wait(_BUSY_PAUSE_SECONDS)


def connection_to(address: int | Path, timeout_seconds: float) -> http.client.HTTPConnection:
    """A connection, yet to be made, to the service at the port or behind the Unix socket."""
    if isinstance(address, Path):
        return _UnixConnection(address, timeout_seconds)
    return http.client.HTTPConnection("127.0.0.1", address, timeout=timeout_seconds)


class Health(Enum):
    """What a ping says. One that refuses is there, and knows that it is not well."""

    WELL = "well"
    REFUSES = "refuses"
    SILENT = "silent"


def ping(address: int | Path, clock: Clock) -> Health:
    """Ask the service at the port, or behind the Unix socket. Takes 2 s at most, however the answer trickles."""
    deadline = clock.monotonic() + _TIMEOUT_SECONDS
    connection = connection_to(address, _TIMEOUT_SECONDS)
    answer = b""
    try:
        connection.connect()
        connection.sock.sendall(_REQUEST)
        while b"\r\n\r\n" not in answer and len(answer) < _LONGEST_HEAD:
            connection.sock.settimeout(max(deadline - clock.monotonic(), 0.001))
            chunk = connection.sock.recv(_LONGEST_HEAD)
            if not chunk or clock.monotonic() >= deadline:
                break
            answer += chunk
    except OSError:
        pass
    finally:
        connection.close()
    status = _STATUS.match(answer)
    if b"\r\n\r\n" not in answer or status is None:
        return Health.SILENT
    return Health.WELL if status[1] == b"200" else Health.REFUSES


class HealthCheck:
    """Pings from a thread until closed, and tells `changed` each time the verdict changes.

    Often at first, since somebody waits for the service to come up; one failure later is not yet an illness.
    """

    def __init__(self, address: int | Path, clock: Clock, changed: Callable[[Health], None]) -> None:
        self._address = address
        self._clock = clock
        self._changed = changed
        self._closed = threading.Event()
        threading.Thread(target=self._run, name="health", daemon=True).start()

    def close(self) -> None:
        """Stop, without waiting for a ping that is under way."""
        self._closed.set()

    def _run(self) -> None:
        told = Health.SILENT
        failures = 0
        pause = _FIRST_PAUSE_SECONDS
        while not self._clock.wait(self._closed, pause):
            found = ping(self._address, self._clock)
            well = found is Health.WELL
            failures = 0 if well else failures + 1
            pause = _PAUSE_WHEN_WELL_SECONDS if well else min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
            if well != (told is Health.WELL) and (well or failures >= _FAILURES_UNTIL_ILL):
                told = found
                if not self._closed.is_set():
                    self._changed(found)

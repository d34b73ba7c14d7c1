"""Ask a service whether it is well: `GET /ping` must answer 200."""

import http.client
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from clary.kernel.core.clock import Clock

_TIMEOUT_SECONDS = 2.0
_FIRST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 0.5
_PAUSE_WHEN_WELL_SECONDS = 2.0
_FAILURES_UNTIL_ILL = 3


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_seconds: float) -> None:
        super().__init__("localhost", timeout=timeout_seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def connection_to(address: int | Path, timeout_seconds: float) -> http.client.HTTPConnection:
    """A connection, yet to be made, to the service at the port or behind the Unix socket."""
    if isinstance(address, Path):
        return _UnixConnection(address, timeout_seconds)
    return http.client.HTTPConnection("127.0.0.1", address, timeout=timeout_seconds)


def ping(address: int | Path) -> bool:
    """Whether the service at the port, or behind the Unix socket, answers its ping with 200 in time."""
    connection = connection_to(address, _TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class HealthCheck:
    """Pings from a thread until closed, and tells `changed` each time the verdict changes.

    Often at first, since somebody waits for the service to come up; one failure later is not yet an illness.
    """

    def __init__(self, address: int | Path, clock: Clock, changed: Callable[[bool], None]) -> None:
        self._address = address
        self._clock = clock
        self._changed = changed
        self._closed = threading.Event()
        threading.Thread(target=self._run, name="health", daemon=True).start()

    def close(self) -> None:
        """Stop, without waiting for a ping that is under way."""
        self._closed.set()

    def _run(self) -> None:
        well = False
        failures = 0
        pause = _FIRST_PAUSE_SECONDS
        while not self._clock.wait(self._closed, pause):
            answered = ping(self._address)
            failures = 0 if answered else failures + 1
            pause = _PAUSE_WHEN_WELL_SECONDS if answered else min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
            if answered != well and (answered or failures >= _FAILURES_UNTIL_ILL) and not self._closed.is_set():
                well = answered
                self._changed(well)

"""Wake-ups between processes: what makes a created job start in milliseconds.

A wake-up is a hint, never a message: it may be lost, doubled or late, and whoever is woken reads the records to
learn what there is to do. The period of every reconciler heals what a lost one would leave.
"""

import contextlib
import hashlib
import os
import socket
import tempfile
from pathlib import Path

_LONGEST_SOCKET_PATH = 100
_LARGEST_DATAGRAM = 8192


def socket_path(home: Path, name: str) -> Path:
    """Where the socket `name` of this home lives: in `<home>/run`, or, when that path is too long for a socket, in
    the user's runtime folder under a name made from the home."""
    direct = home / "run" / f"{name}.sock"
    if len(os.fsencode(direct)) <= _LONGEST_SOCKET_PATH:
        return direct
    folder = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    return folder / f"clary-{hashlib.sha256(os.fsencode(home)).hexdigest()[:16]}-{name}.sock"


PROCESSES = ("controller", "carrier")
"""The processes that are woken; each is told of all topics and leaves those of others alone."""


class Waker:
    """The sending end. Cheap to make, safe to share between threads, and never blocks."""

    def __init__(self, home: Path) -> None:
        self._paths = [str(socket_path(home, process)) for process in PROCESSES]
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def wake(self, topic: str, key: str | None = None) -> None:
        """Hint that there is something to do about `key` of `topic`; None means look at everything."""
        datagram = topic.encode() if key is None else f"{topic}\0{key}".encode()
        for path in self._paths:
            with contextlib.suppress(OSError):  # nobody listens, or its queue is full: the period will do
                self._socket.sendto(datagram, path)

    def close(self) -> None:
        self._socket.close()


class Alarm:
    """The receiving end: one for each of PROCESSES in a home, owned by the one that is active."""

    def __init__(self, home: Path, process: str = "controller") -> None:
        path = socket_path(home, process)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        self._socket.bind(str(path))
        self._path = path

    def wait(self, timeout_seconds: float) -> list[tuple[str, str | None]]:
        """The wake-ups that came, at once when there are any, else the first within the time; may be empty."""
        self._socket.settimeout(max(timeout_seconds, 0.001))
        found: list[tuple[str, str | None]] = []
        try:
            found.append(_read(self._socket.recv(_LARGEST_DATAGRAM)))
            self._socket.setblocking(False)
            while True:
                found.append(_read(self._socket.recv(_LARGEST_DATAGRAM)))
        except (TimeoutError, BlockingIOError):
            return [wake for wake in dict.fromkeys(found) if wake[0]]

    def interrupt(self) -> None:
        """Make a `wait` under way return, from any thread or signal handler."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(b"", str(self._path))

    def close(self) -> None:
        self._socket.close()
        self._path.unlink(missing_ok=True)


def _read(datagram: bytes) -> tuple[str, str | None]:
    topic, separator, key = datagram.decode(errors="replace").partition("\0")
    return topic, key if separator else None

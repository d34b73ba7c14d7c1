"""The worker as its server sees it: started, listened to, measured, ended."""

import contextlib
import os
import signal
import socket
import time
from pathlib import Path

from clary.runtime.functions import frames
from clary.runtime.functions.worker import become

_READ_BYTES = 1 << 18
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Worker:
    """One forked process. `ready` once it has imported the code, `fault` the document when it cannot."""

    def __init__(self, folders: list[str], handler: str) -> None:
        self.began = time.monotonic()
        self.ready = False
        self.fault: bytes | None = None
        self.init_seconds: float | None = None
        self.used_bytes = 0
        self.too_large = False
        self.link, theirs = socket.socketpair()
        self.output, output = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            self._leave_the_server_behind(keep=(theirs.fileno(), output))
            become(theirs, output, folders, handler)
        theirs.close()
        os.close(output)
        os.set_blocking(self.output, False)
        self.link.setblocking(False)
        self._reader = frames.Reader()
        self._inherited = self._resident()

    def call(self, about: bytes, event: bytes) -> None:
        """Hand it an invocation; it is ready, and waits for one."""
        self.link.setblocking(True)
        with contextlib.suppress(OSError):  # it has just died, which its end will tell
            frames.send(self.link, frames.CALL, about + b"\n" + event)
        self.link.setblocking(False)

    def frames(self) -> list[tuple[bytes, bytes]]:
        """What it said since the last look."""
        with contextlib.suppress(BlockingIOError):
            try:
                return self._reader.feed(self.link.recv(_READ_BYTES))
            except OSError:
                return []
        return []

    def printed(self) -> bytes:
        """What it printed since the last look, up to a quarter of a mebibyte."""
        try:
            return os.read(self.output, _READ_BYTES)
        except BlockingIOError:
            return b""

    def measure(self, limit_bytes: int) -> None:
        """Look at the memory it uses, beyond what it was forked with; kill it when that is too much."""
        used = self._resident()
        self.used_bytes = max(self.used_bytes, used)
        if used - self._inherited > limit_bytes:
            self.too_large = True
            self.kill()

    def peak(self) -> None:
        """Look at the most memory that it ever used."""
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    self.used_bytes = max(self.used_bytes, int(line.split()[1]) * 1024)

    def nearly(self, limit_bytes: int) -> bool:
        """Whether its memory was about used up when last measured: then whoever killed it did so for that."""
        return self.too_large or self.used_bytes - self._inherited > limit_bytes * 0.7

    def kill(self) -> None:
        """End it and all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):  # it may not have its own group yet
            os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        self.link.close()
        os.close(self.output)

    def _resident(self) -> int:
        try:
            return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE_BYTES
        except (OSError, IndexError):
            return self.used_bytes

    def _leave_the_server_behind(self, keep: tuple[int, ...]) -> None:
        """Close everything but the standard streams and what connects the two: the sockets are the server's."""
        for name in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
            if int(name) > 2 and int(name) not in keep:
                with contextlib.suppress(OSError):
                    os.close(int(name))
        signal.set_wakeup_fd(-1)

"""The lines around what a function prints, and the end of them that a caller may ask for."""

import os
import time

TAIL_BYTES = 4096
_MOST_HELD_BYTES = 64 * 1024


class Journal:
    """The log of one instance, for standard output, which the platform sends to the log stream.

    What is written is held until `flush`, so that a short invocation is one write.
    """

    def __init__(self, memory_mb: int, version: str) -> None:
        self._memory_mb = memory_mb
        self._version = version
        self._tail = bytearray()
        self._held = bytearray()
        self._open_line = False

    def printed(self, chunk: bytes) -> None:
        """Pass on what the function printed."""
        if chunk:
            self._open_line = not chunk.endswith(b"\n")
            self._write(chunk)

    def say(self, line: str) -> None:
        """Add a line of the platform's own."""
        start = "\n" if self._open_line else ""
        self._open_line = False
        self._write(f"{start}{line}\n".encode("utf-8", "replace"))

    def start(self, request: str) -> None:
        self._tail.clear()
        self.say(f"START RequestId: {request} Version: {self._version}")

    def late(self, request: str, seconds: float) -> None:
        now = time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
        self.say(f"{stamp} {request} Task timed out after {seconds:.2f} seconds\n")

    def report(self, request: str, seconds: float, used_bytes: int, init_seconds: float | None, status: str) -> None:
        """End an invocation. `status` is empty for one that the runtime itself saw through."""
        milliseconds = seconds * 1000
        billed = max(1, -int(-milliseconds // 1))
        used = min(-(-used_bytes // 1024**2), self._memory_mb)
        self.say(
            f"END RequestId: {request}\n"
            f"REPORT RequestId: {request}\tDuration: {milliseconds:.2f} ms\tBilled Duration: {billed} ms\t"
            f"Memory Size: {self._memory_mb} MB\tMax Memory Used: {used} MB\t"
            + (f"Init Duration: {init_seconds * 1000:.2f} ms\t" if init_seconds is not None else "")
            + status
        )

    def tail(self) -> bytes:
        """The last 4 KB since the invocation started."""
        return bytes(self._tail[-TAIL_BYTES:])

    def flush(self) -> None:
        """Write out what is held."""
        held, self._held = self._held, bytearray()
        with memoryview(held) as view:
            done = 0
            while done < len(view):
                done += os.write(1, view[done:])

    def _write(self, data: bytes) -> None:
        self._held += data
        if len(self._held) > _MOST_HELD_BYTES:
            self.flush()
        self._tail += data
        if len(self._tail) > 8 * TAIL_BYTES:
            del self._tail[:-TAIL_BYTES]

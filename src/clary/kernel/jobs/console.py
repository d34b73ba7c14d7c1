"""What a job prints: cut into lines, kept in a file, sent to its log stream, searched for metrics.

Lines end at a newline or, for progress bars, a carriage return. A line longer than a log event may be becomes
several events. Bytes that are not UTF-8 are replaced, so that nothing a job prints can stop its log.
"""

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from clary.kernel.core.clock import Clock
from clary.kernel.jobs.contract import FAILURE_REASON_LIMIT, FinalMetric, HostSpec
from clary.kernel.jobs.metric_matcher import MetricMatcher
from clary.kernel.jobs.services import Telemetry

FLUSH_SECONDS = 0.1
_LONGEST_EVENT = 256 * 1024 - 26  # the limit of CloudWatch Logs, with its overhead for each event
_BATCH_EVENTS = 10_000
_BATCH_BYTES = 1024 * 1024
_TAIL_LINES = 20
_LONGEST_FILE = 64 * 1024 * 1024


class LineCutter:
    """Turns chunks of bytes into whole lines; keeps what has no end yet."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[str]:
        data = self._rest + chunk
        held = b""
        if b"\r" in data:
            if data.endswith(b"\r"):  # its newline may be the first byte of the next chunk
                data, held = data[:-1], b"\r"
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = data.split(b"\n")
        while len(rest) > _LONGEST_EVENT:
            piece, rest = _cut(rest)
            lines.append(piece)
        self._rest = rest + held
        return _decode(lines)

    def end(self) -> list[str]:
        """The last line, when it had no end."""
        rest, self._rest = self._rest.rstrip(b"\r"), b""
        return _decode([rest])


def _decode(lines: list[bytes]) -> list[str]:
    found = []
    for line in lines:
        rest = line
        while len(rest) > _LONGEST_EVENT:
            piece, rest = _cut(rest)
            found.append(piece.decode(errors="replace"))
        if rest:  # CloudWatch has no empty events
            found.append(rest.decode(errors="replace"))
    return found


def _cut(line: bytes) -> tuple[bytes, bytes]:
    """Split at the longest event, but not within a character."""
    at = _LONGEST_EVENT
    while at > _LONGEST_EVENT - 4 and line[at] & 0xC0 == 0x80:
        at -= 1
    return line[:at], line[at:]


class Console:
    """The two output streams of one host. Use it from the main thread only."""

    def __init__(
        self, spec: HostSpec, log: Path, telemetry: Telemetry, clock: Clock, complain: Callable[[str], None]
    ) -> None:
        self._spec = spec
        self._telemetry = telemetry
        self._clock = clock
        self._complain = complain
        self._path = log
        self._file = self._open()
        self._cutters = {"stdout": LineCutter(), "stderr": LineCutter()}
        self._tails: dict[str, deque[str]] = {name: deque(maxlen=_TAIL_LINES) for name in self._cutters}
        self._events: list[tuple[int, str]] = []
        self._bytes = 0
        self._values: list[tuple[str, float, float]] = []
        self.due: float | None = None
        """When `flush` is next due, on the monotonic clock; None while there is nothing to flush."""
        self._matcher = MetricMatcher(spec.metrics, self.say)

    @property
    def final_metrics(self) -> tuple[FinalMetric, ...]:
        return self._matcher.final

    def feed(self, stream: str, chunk: bytes) -> None:
        """Take what was read from `stream`; empty bytes are its end."""
        cutter = self._cutters[stream]
        self._take(stream, cutter.feed(chunk) if chunk else cutter.end())

    def say(self, message: str) -> None:
        """Add a line of the platform's own."""
        self._take("stdout", [f"[clary] {message}"], match=False)

    def last_words(self) -> str:
        """The end of stderr, or of stdout when nothing came on stderr; what a process says last explains it best."""
        return "\n".join(self._tails["stderr"] or self._tails["stdout"])[-FAILURE_REASON_LIMIT:]

    def flush(self) -> None:
        """Send what was collected; everything fed before is durable afterwards."""
        self.due = None
        events, self._events, self._bytes = self._events, [], 0
        values, self._values = self._values, []
        self._file.flush()
        self._keep_file_short()
        try:
            if events and self._spec.log is not None:
                self._telemetry.log(self._spec.log.group, self._spec.log.stream, events)
            if values and self._spec.metric_namespace:
                self._telemetry.metric(self._spec.metric_namespace, self._spec.metric_dimensions, values)
        except Exception as error:  # noqa: BLE001  # a full disk must not end the job; log.txt may still have it
            self._complain(f"{len(events)} log events and {len(values)} metric values were not stored: {error!r}")

    def close(self) -> None:
        self.flush()
        self._file.close()

    def _open(self) -> TextIO:
        return open(self._path, "a", encoding="utf-8", errors="replace")

    def _keep_file_short(self) -> None:
        """Put a long file aside, in place of the one before: a service may talk for years."""
        if self._file.tell() > _LONGEST_FILE:
            self._file.close()
            self._path.replace(self._path.with_suffix(".old.txt"))
            self._file = self._open()

    def _take(self, stream: str, lines: list[str], *, match: bool = True) -> None:
        if not lines:
            return
        now = self._clock.now()
        milliseconds = int(now * 1000)
        self._file.write("\n".join(lines) + "\n")
        self._tails[stream].extend(lines)
        self._events.extend((milliseconds, line) for line in lines)
        self._bytes += sum(map(len, lines))
        if match:
            self._values.extend(self._matcher.match(lines, now))
        if self.due is None:
            self.due = self._clock.monotonic() + FLUSH_SECONDS
        if len(self._events) >= _BATCH_EVENTS or self._bytes >= _BATCH_BYTES:
            self.flush()

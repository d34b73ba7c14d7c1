"""A load generator that costs little beside what it measures: prepared requests, replayed over kept connections.

Every connection has one request in flight. A run is bounded in time and in count; what answers with an error or not
at all is counted, and never measured as if it had worked.
"""

import asyncio
import http.client
import itertools
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httptools
import uvloop


@dataclass
class Outcome:
    """What came of one run. Times are seconds; a failure is an answer outside 2xx, or none.

    `own_cpu_seconds` is what this load generator used itself.
    """

    seconds: float = 0.0
    own_cpu_seconds: float = 0.0
    done: int = 0
    failed: int = 0
    bytes_received: int = 0
    latencies: list[float] = field(default_factory=list)
    first_bytes: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return self.done / self.seconds if self.seconds else 0.0

    def percentile(self, percent: float) -> float:
        return _percentile(self.latencies, percent)

    def first_percentile(self, percent: float) -> float:
        """Until the first byte of an answer's body."""
        return _percentile(self.first_bytes, percent)


def _percentile(values: list[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else float("nan")


class _Client(asyncio.Protocol):
    """One connection: sends the next request as soon as the last one was answered."""

    def __init__(self, run: "_Run") -> None:
        self._run = run
        self._transport: Any = None
        self._parser: Any = None
        self._sent_at = 0.0
        self._waits = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._parser = httptools.HttpResponseParser(self)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._run.outcome.bytes_received += len(data)
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        if self._waits:
            self._waits = False
            self._run.outcome.first_bytes.append(time.perf_counter() - self._sent_at)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status == 100:
            return
        outcome = self._run.outcome
        if 200 <= status < 300:
            outcome.done += 1
            outcome.latencies.append(time.perf_counter() - self._sent_at)
        else:
            outcome.failed += 1
            self._run.last_failure = status
        if self._parser.should_keep_alive():
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._run.over():
            self._run.outcome.failed += error is not None
            self._run.reconnect()
        else:
            self._run.left()

    def _send(self) -> None:
        if self._run.over():
            self._transport.close()
            return
        self._run.sent += 1
        self._waits = True
        self._sent_at = time.perf_counter()
        self._transport.write(next(self._run.requests))


class _Run:
    def __init__(self, port: int, requests: Sequence[bytes], connections: int, seconds: float, count: int) -> None:
        self.outcome = Outcome()
        self.requests = itertools.cycle(requests)
        self.sent = 0
        self.last_failure = 0
        self._port = port
        self._open = connections
        self._count = count
        self._seconds = seconds
        self._until = 0.0
        self._done = asyncio.Event()

    def over(self) -> bool:
        return self.sent >= self._count or time.perf_counter() >= self._until

    def left(self) -> None:
        self._open -= 1
        if self._open == 0:
            self._done.set()

    def reconnect(self) -> None:
        asyncio.ensure_future(self._connect())  # noqa: RUF006 - the run ends by `left`

    async def _connect(self) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: _Client(self), "127.0.0.1", self._port)
        except OSError:
            self.outcome.failed += 1
            self.left()

    async def all(self) -> Outcome:
        started, used = time.perf_counter(), time.process_time()
        self._until = started + self._seconds
        await asyncio.gather(*(self._connect() for _ in range(self._open)))
        try:
            await asyncio.wait_for(self._done.wait(), self._seconds + 30)
        except TimeoutError:
            self.outcome.failed += self._open
        self.outcome.seconds = time.perf_counter() - started
        self.outcome.own_cpu_seconds = time.process_time() - used
        return self.outcome


def replay(
    port: int, requests: Sequence[bytes], *, connections: int = 16, seconds: float = 3.0, count: int = 10**9
) -> Outcome:
    """Send `requests` in turn to a server on the loopback, again and again, until the time or the count is up."""

    async def run() -> Outcome:
        return await _Run(port, requests, connections, seconds, count).all()

    return uvloop.run(run())


def ask(port: int, request: bytes, *, seconds: float = 30.0) -> tuple[int, bytes]:
    """Send one request on a connection of its own; return the status and the body of the answer."""
    with socket.create_connection(("127.0.0.1", port), seconds) as connection:
        connection.sendall(request)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status, answer.read()

"""HTTP/2 with prior knowledge: many requests on one connection, windows, resets, endings, and nonsense."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from clary.server import http2
from clary.server.tests.test_protocol import SECONDS, Served, serve


class Client:
    """One connection of a client: it sends, and keeps what came of each stream."""

    def __init__(self, window_bytes: int = 65535) -> None:
        self.frames = h2.connection.H2Connection()
        self.frames.local_settings = h2.settings.Settings(
            client=True, initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window_bytes}
        )
        self.heads: dict[int, dict[bytes, bytes]] = {}
        self.bodies: dict[int, bytes] = defaultdict(bytes)
        self.ended: set[int] = set()
        self.reset: dict[int, Any] = {}
        self.gone = False
        self._news = asyncio.Event()

    async def open(self, port: int) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
        self.frames.initiate_connection()
        self._flush()
        self._reading = asyncio.ensure_future(self._read())

    def ask(self, path: str, body: bytes = b"", *, ends: bool = True, method: str = "POST") -> int:
        stream = self.frames.get_next_available_stream_id()
        pseudo = [(":method", method), (":scheme", "http"), (":authority", "here:1"), (":path", path)]
        self.frames.send_headers(stream, [*pseudo, ("x-a", "b")], end_stream=ends and not body)
        if body:
            self.frames.send_data(stream, body, end_stream=ends)
        self._flush()
        return stream

    async def until(self, look: Any) -> None:
        async with asyncio.timeout(SECONDS):
            while not look():
                self._news.clear()
                await self._news.wait()

    async def close(self) -> None:
        self._reading.cancel()
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()

    def _flush(self) -> None:
        self.writer.write(self.frames.data_to_send())

    async def _read(self) -> None:
        while data := await self.reader.read(65536):
            try:
                events = self.frames.receive_data(data)
            except h2.exceptions.ProtocolError:
                break
            for event in events:
                self._take(event)
            self._flush()
            self._news.set()
        self.gone = True
        self._news.set()

    def _take(self, event: Any) -> None:
        if isinstance(event, h2.events.ResponseReceived):
            self.heads[event.stream_id] = {bytes(name): bytes(value) for name, value in event.headers}
        elif isinstance(event, h2.events.DataReceived):
            self.bodies[event.stream_id] += event.data
            self.frames.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.ended.add(event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            self.reset[event.stream_id] = event.error_code
        elif isinstance(event, h2.events.ConnectionTerminated):  # for new streams, but not for h2
            self.frames.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN


@asynccontextmanager
async def connected(served: Served, **options: Any) -> AsyncIterator[Client]:
    client = Client(**options)
    await client.open(served.port)
    try:
        yield client
    finally:
        await client.close()


def test_requests_are_answered_side_by_side() -> None:
    async def scenario(served: Served) -> None:
        async with connected(served) as client:
            late, first, empty = (
                client.ask("/late?x=1", b"wait"),
                client.ask("/a%20b", b"one"),
                client.ask("/", method="GET"),
            )
            await client.until(lambda: {first, empty} <= client.ended)
            assert client.bodies[first] == b"/a%20b one"
            head = client.heads[first]
            assert (head[b":status"], head[b"date"], head[b"content-length"]) == (b"200", b"now", b"10")
            assert late not in client.ended
            served.release.set()
            await client.until(lambda: late in client.ended)
            assert client.bodies[late] == b"/late wait"
            scope = next(scope for scope in served.seen if scope["path"] == "/a b")
            assert (scope["http_version"], scope["query_string"]) == ("2", b"")
            assert dict(scope["headers"]) == {b"host": b"here:1", b":authority": b"here:1", b"x-a": b"b"}

    serve(scenario)


def test_large_bodies_pass_through_small_windows() -> None:
    async def scenario(served: Served) -> None:
        async with connected(served, window_bytes=1000) as client:
            stream = client.ask("/big", ends=False)
            sent = b""
            while len(sent) < 3_000_000:
                await client.until(lambda: client.frames.local_flow_control_window(stream) > 0)
                room = min(client.frames.local_flow_control_window(stream), client.frames.max_outbound_frame_size)
                client.frames.send_data(stream, bytes(room))
                client._flush()
                sent += bytes(room)
            client.frames.end_stream(stream)
            client._flush()
            await client.until(lambda: stream in client.ended)
            assert client.bodies[stream] == b"/big " + sent

    serve(scenario)


def test_who_leaves_a_stream_or_the_connection_is_noticed() -> None:
    async def scenario(served: Served) -> None:
        async with connected(served, window_bytes=100_000) as client:
            stream = client.ask("/endless")
            await client.until(lambda: len(client.bodies[stream]) > 200_000)
            client.frames.reset_stream(stream)
            client._flush()
            other = client.ask("/still", b"here")
            await client.until(lambda: other in client.ended)
            client.ask("/endless")
        await served.quiet()
        assert served.ended == ["http.disconnect", "http.disconnect"]

    serve(scenario)


def test_faults_reset_their_stream_alone() -> None:
    async def scenario(served: Served) -> None:
        async with connected(served) as client:
            fails, half, split = client.ask("/fails"), client.ask("/half"), client.ask("/split")
            await client.until(lambda: {fails, half, split} <= client.reset.keys())
            good = client.ask("/good")
            await client.until(lambda: good in client.ended)

    serve(scenario)


def test_a_client_that_says_goodbye_still_gets_its_answers() -> None:
    async def scenario(served: Served) -> None:
        async with connected(served) as client:
            stream = client.ask("/late", b"x")
            await client.until(lambda: True)
            client.writer.write(b"\0\0\x08\x07\0\0\0\0\0" + bytes(8))  # GOAWAY, after which h2 would take nothing in
            await asyncio.sleep(0.05)
            served.release.set()
            await client.until(lambda: stream in client.ended and client.gone)
            assert client.bodies[stream] == b"/late x"

    serve(scenario)


def test_what_is_not_http2_and_what_is_too_much_ends_the_connection(monkeypatch: Any) -> None:
    monkeypatch.setattr(http2, "_RESETS_ALLOWED", 5)

    async def scenario(served: Served) -> None:
        preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        for nonsense in (b"x" * 100, b"\0\0\x01\x01\x05\0\0\0\0\0"):
            assert await served.talk(preface + nonsense)
        async with connected(served) as client:
            while not client.gone:
                stream = client.ask("/late")
                client.frames.reset_stream(stream)
                client._flush()
                await asyncio.sleep(0.01)
        served.release.set()
        await served.quiet()

    serve(scenario)


def test_shutting_down_lets_requests_finish() -> None:
    async def scenario(served: Served) -> None:
        async with connected(served) as client:
            stream = client.ask("/late", b"x")
            await client.until(lambda: True)
            while not served.seen:
                await asyncio.sleep(0.01)
            for connection in list(served.state.connections):
                connection.shutdown()
            served.release.set()
            await client.until(lambda: client.gone)
            assert client.bodies[stream] == b"/late x"

    serve(scenario)

"""The protocol between sockets and the application: order, limits, endings, and clients that do not behave."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from clary.server import patience, protocol
from clary.server.protocol import Connection

SECONDS = 120.0


class Served:
    """The protocol over an application that answers with what it was asked for and sent."""

    def __init__(self) -> None:
        self.state = ServerState()
        self.state.default_headers = [(b"date", b"now")]
        self.port = 0
        self.seen: list[dict[str, Any]] = []
        self.ended: list[str] = []
        self.release = asyncio.Event()

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen.append(scope)
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.ended.append("gone")
                return
            body, more = body + message["body"], message["more_body"]
        match scope["path"]:
            case "/late":
                await self.release.wait()
            case "/fails":
                raise ValueError("on purpose")
            case "/split":
                await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"1\r\nb: 2")]})
            case "/endless":
                await self._endless(receive, send)
                return
            case "/half":
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": b"half", "more_body": True})
                raise ValueError("on purpose")
        answer = scope["raw_path"] + b" " + body
        headers = [(b"content-length", b"%d" % len(answer))]
        if scope["path"] == "/whole" and scope["extensions"]["clary.whole"].answer(200, headers, answer):
            return
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _endless(self, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        gone = asyncio.ensure_future(receive())
        while not gone.done():
            await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})
            await asyncio.sleep(0)
        self.ended.append((await gone)["type"])

    async def talk(self, *parts: bytes, half_close: bool = False) -> bytes:
        """What comes back until the server closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.01)  # so that parts arrive apart
            if half_close:
                writer.write_eof()
            return await reader.read()
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def quiet(self) -> None:
        """Wait until no connection and no task is left."""
        while self.state.connections or self.state.tasks:
            await asyncio.sleep(0.01)


def serve(scenario: Callable[[Served], Awaitable[None]]) -> None:
    async def run() -> None:
        served = Served()
        config = uvicorn.Config(served.app, lifespan="off", log_config=None)
        config.load()
        config.loaded_app = lambda *given: served.app(*given)  # type: ignore[assignment]
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(config, served.state, {}, loop), "127.0.0.1", 0)
        served.port = server.sockets[0].getsockname()[1]
        async with server, asyncio.timeout(SECONDS):
            await scenario(served)
            await served.quiet()

    config = uvicorn.Config(lambda: None, loop="uvloop")
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(run())


def get(path: str, *headers: str, version: str = "1.1") -> bytes:
    return "\r\n".join([f"GET {path} HTTP/{version}", "Host: x", *headers, "", ""]).encode()


LAST = get("/last", "Connection: close")


def test_requests_that_come_at_once_are_answered_in_order() -> None:
    async def scenario(served: Served) -> None:
        posted = b"POST /whole HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
        answers = await served.talk(get("/one") + posted + get("/two") + LAST)
        found = [answers.index(each) for each in (b"/one ", b"/whole abc", b"/two ", b"/last ")]
        assert found == sorted(found)
        assert answers.count(b"HTTP/1.1 200 OK\r\ndate: now\r\n") == 4
        assert answers.count(b"connection: close") == 1

    serve(scenario)


def test_a_body_may_come_in_pieces_and_wait_to_be_asked_for() -> None:
    async def scenario(served: Served) -> None:
        head = b"PUT /p HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 6\r\nConnection: close\r\n\r\n"
        answer = await served.talk(head, b"abc", b"def")
        assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"/p abcdef")

    serve(scenario)


def test_a_trailer_adds_no_header() -> None:
    async def scenario(served: Served) -> None:
        head = b"PUT /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        assert (await served.talk(head + b"3\r\nabc\r\n0\r\nX-Amz-Evil: 1\r\n\r\n")).endswith(b"/p abc")
        assert [name for name, _ in served.seen[0]["headers"]] == [b"host", b"transfer-encoding", b"connection"]

    serve(scenario)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n bad: folded\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000,
    ],
)
def test_what_is_no_request_is_refused(request_: bytes) -> None:
    async def scenario(served: Served) -> None:
        assert (await served.talk(request_)).startswith(b"HTTP/1.1 400 ")
        assert served.seen == []

    serve(scenario)


def test_a_fault_is_a_500_and_half_an_answer_is_not_taken_for_a_whole_one() -> None:
    async def scenario(served: Served) -> None:
        assert (await served.talk(get("/fails"))).startswith(b"HTTP/1.1 500 ")
        assert (await served.talk(get("/split"))).startswith(b"HTTP/1.1 500 ")
        with suppress(ConnectionError):
            half = await served.talk(get("/half"))
            assert b"half" not in half or not half.endswith(b"0\r\n\r\n")

    serve(scenario)


def test_old_clients_and_other_protocols_get_an_answer_and_an_end() -> None:
    async def scenario(served: Served) -> None:
        assert (await served.talk(get("/old", version="1.0"))).endswith(b"/old ")
        upgraded = await served.talk(get("/up", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"), b"PRI * HTTP/2")
        assert upgraded.startswith(b"HTTP/1.1 200 OK")
        assert upgraded.endswith(b"/up ")

    serve(scenario)


def test_a_half_closed_client_gets_its_answers() -> None:
    async def scenario(served: Served) -> None:
        talk = asyncio.create_task(served.talk(get("/late") + get("/two"), half_close=True))
        while not served.seen:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        served.release.set()
        answers = await talk
        assert b"/late " in answers
        assert answers.endswith(b"/two ")

    serve(scenario)


def test_a_stream_ends_when_its_client_sends_no_more() -> None:
    async def scenario(served: Served) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(get("/endless"))
        await reader.readexactly(65536)
        writer.write_eof()  # as closing does that has read everything
        with suppress(ConnectionError):
            while await reader.read(65536):
                pass
        await served.quiet()
        assert served.ended == ["http.disconnect"]
        writer.close()

    serve(scenario)


def test_a_client_that_leaves_in_the_middle_of_its_request_is_not_waited_for() -> None:
    async def scenario(served: Served) -> None:
        head = b"PUT /p HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n"
        assert await served.talk(head, b"abc", half_close=True) == b""
        await served.quiet()
        assert served.ended == ["gone"]

    serve(scenario)


def test_who_takes_nothing_holds_back_who_sends_and_is_left_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "STALL_SECONDS", 1.0)

    async def scenario(served: Served) -> None:
        client = socket.create_connection(("127.0.0.1", served.port))
        with client:
            client.sendall(get("/endless"))
            while not served.ended:
                for connection in served.state.connections:
                    assert connection.transport.get_write_buffer_size() <= 3 * 65536
                await asyncio.sleep(0.05)
            assert served.ended == ["http.disconnect"]

    serve(scenario)


def test_clients_that_leave_too_much_untaken_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "MOST_UNSENT_BYTES", 100_000)

    async def scenario(served: Served) -> None:
        clients = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(3)]
        for client in clients:
            client.sendall(get("/endless"))
        while len(served.ended) < 2:
            await asyncio.sleep(0.05)
        for client in clients:
            client.close()

    serve(scenario)


def test_more_connections_than_there_are_files_for_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_OTHER_FILES", 1 << 40)

    async def scenario(served: Served) -> None:
        idle = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(16)]
        while len(served.state.connections) < 16:
            await asyncio.sleep(0.01)
        assert (await served.talk(LAST)).startswith(b"HTTP/1.1 503 ")
        for client in idle:
            client.close()
        await served.quiet()
        assert (await served.talk(LAST)).startswith(b"HTTP/1.1 200 ")

    serve(scenario)


def test_silence_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "_HEAD_SECONDS", 0.1)

    async def scenario(served: Served) -> None:
        assert await served.talk() == b""
        assert await served.talk(b"GET / HT") == b""

    serve(scenario)


def test_an_answer_before_the_body_is_read_by_who_still_sends() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"2"), (b"connection", b"close")]
        assert scope["extensions"]["clary.whole"].answer(403, headers, b"no")

    async def scenario(served: Served) -> None:
        served.app = app  # type: ignore[method-assign]
        size = 20_000_000
        answer = await served.talk(b"PUT /p HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size, bytes(size))
        assert answer.startswith(b"HTTP/1.1 403 ")

    serve(scenario)

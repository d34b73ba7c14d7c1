"""The HTTP client against servers on real sockets, well-behaved and otherwise."""

import asyncio
import contextlib
import select
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from clary.kernel.serving.connections import Answer, Broken, ModelServer, TimedOut, Unreachable

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PATIENCE_SECONDS = 60.0
HEAD = b"POST /invocations HTTP/1.1\r\nHost: model\r\nContent-Length: %d\r\n\r\n"


@pytest.fixture(autouse=True)
def no_connection_grows_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that stalls, one that was used a moment ago would."""
    monkeypatch.setattr("clary.kernel.serving.connections.LONGEST_IDLE_SECONDS", 600.0)


class Counter:
    """How many connections a server has accepted."""

    def __init__(self) -> None:
        self.connections = 0


@asynccontextmanager
async def serving(path: Path, script: Script) -> AsyncIterator[tuple[ModelServer, Counter]]:
    counter = Counter()
    accepted: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        counter.connections += 1
        task = asyncio.current_task()
        assert task is not None
        accepted.add(task)
        try:
            await script(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            await hang_up(writer)

    server = await asyncio.start_unix_server(accept, path)
    client = ModelServer(f"unix:{path}", asyncio.get_running_loop(), 1 << 20)
    try:
        yield client, counter
    finally:
        client.close()
        server.close()
        if accepted:
            await asyncio.wait(accepted, timeout=PATIENCE_SECONDS)


@contextlib.contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """A socket that accepts nothing by itself."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.setblocking(False)
        yield listener


async def taken(listener: socket.socket, body: bytes) -> socket.socket:
    """The next connection to a listener, once a request with this body was read from it."""
    loop = asyncio.get_running_loop()
    connection, _ = await loop.sock_accept(listener)
    while not (await loop.sock_recv(connection, 1 << 16)).endswith(body):
        pass
    return connection


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
    return await reader.readexactly(size)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        body = await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nX-Model: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


async def ask(client: ModelServer, body: bytes = b"hello", timeout: float = PATIENCE_SECONDS) -> Answer:
    return await client.ask(HEAD % len(body), body, timeout)


def answering(*replies: bytes) -> Script:
    """A server that answers each request of a connection with the next reply, then closes it."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for reply in replies:
            await read_request(reader)
            writer.write(reply)
            await writer.drain()

    return script


def test_connections_are_kept_and_shared(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path / "s", echo) as (client, counter):
            for _ in range(20):
                answer = await ask(client)
                assert (answer.status, answer.body, answer.header(b"x-model")) == (200, b"hello", "a")
            assert counter.connections == 1
            large = b"x" * 300_000
            answers = await asyncio.gather(*(ask(client, large + b"%d" % i) for i in range(10)))
            assert [one.body[300_000:] for one in answers] == [b"%d" % i for i in range(10)]
            assert counter.connections == 10
            assert client.outstanding == 0

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("reply", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.0 200 OK\r\n\r\nold", b"old"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
    ],
)
def test_framings_of_an_answer(tmp_path: Path, reply: bytes, body: bytes) -> None:
    async def scenario() -> None:
        async with serving(tmp_path / "s", answering(reply)) as (client, _):
            assert (await ask(client)).body == body
            assert (await ask(client)).body == body  # on whichever connection is right

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"\x00\x01garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-More: and more\r\n" * 300_000,
        b"HTTP/1.1 200 OK\r\nX-Endless: " + b"x" * 3_000_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 300_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n" + b"X-Trailer: x\r\n" * 300_000,
    ],
)
def test_an_answer_that_is_none_is_broken(tmp_path: Path, reply: bytes) -> None:
    async def scenario() -> None:
        async with serving(tmp_path / "s", answering(reply)) as (client, counter):
            with pytest.raises(Broken):
                await ask(client)
            assert counter.connections == 1, "a request on a fresh connection must not be sent again"
            assert client.outstanding == 0

    asyncio.run(scenario())


def test_a_kept_connection_that_the_server_closed_is_replaced(tmp_path: Path) -> None:
    sent = asyncio.Event()

    async def close_silently(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = await read_request(reader)
        cast(asyncio.ReadTransport, writer.transport).pause_reading()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await sent.wait()  # the next request arrives, and is never read

    async def scenario() -> None:
        async with serving(tmp_path / "s", close_silently) as (client, counter):
            assert (await ask(client)).body == b"hello"
            again = asyncio.create_task(ask(client, b"again"))
            await asyncio.sleep(0)  # it is written
            sent.set()
            assert (await again).body == b"again"
            assert counter.connections == 2

    asyncio.run(scenario())


def test_a_request_that_a_server_took_before_it_left_is_not_sent_again(tmp_path: Path) -> None:
    async def die_of_the_second(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await read_request(reader)

    async def scenario() -> None:
        async with serving(tmp_path / "s", die_of_the_second) as (client, counter):
            assert (await ask(client)).body == b"hello"
            with pytest.raises(Broken):
                await ask(client, b"again")
            assert counter.connections == 1

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "surplus", [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother", b"HTTP/1.1 200", b"HT", b"{}"]
)
def test_what_follows_an_answer_is_never_the_next(tmp_path: Path, surplus: bytes) -> None:
    first = b"HTTP/1.1 200 OK\r\nX-Mine: yes\r\nContent-Length: 2\r\n\r\nok"
    rest = b" OK\r\nContent-Length: 5\r\n\r\nother"

    async def scenario() -> None:
        async with serving(tmp_path / "s", answering(first + surplus, rest)) as (client, counter):
            for number in (1, 2):
                answer = await ask(client)
                assert (answer.body, answer.headers) == (b"ok", [(b"x-mine", b"yes"), (b"content-length", b"2")])
                assert counter.connections == number

    asyncio.run(scenario())


def test_a_slow_answer_times_out_and_its_connection_is_not_used_again(tmp_path: Path) -> None:
    release = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = await read_request(reader)
        if body == b"slow":
            await release.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    async def scenario() -> None:
        async with serving(tmp_path / "s", slow) as (client, _):
            with pytest.raises(TimedOut):
                await ask(client, b"slow", 0.05)
            assert (await ask(client, b"quick")).body == b"quick"
            task = asyncio.create_task(ask(client, b"slow"))
            await asyncio.sleep(0.02)
            assert client.outstanding == 1
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            release.set()
            assert client.outstanding == 0
            assert (await ask(client, b"after")).body == b"after"

    asyncio.run(scenario())


def test_a_server_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(Unreachable):
            await ask(ModelServer(f"unix:{tmp_path}/none", loop, 1))
        with pytest.raises(Unreachable):
            await ask(ModelServer("tcp:1", loop, 1))

    asyncio.run(scenario())


@pytest.mark.parametrize("kept", [False, True])
def test_a_request_that_a_server_did_not_take_before_it_left_may_be_sent_to_another(tmp_path: Path, kept: bool) -> None:
    """What is queued at a listening socket, not yet accepted, as its process dies."""

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        with listening(tmp_path / "s") as listener, contextlib.ExitStack() as accepted:
            client = ModelServer(f"unix:{tmp_path}/s", loop, 1 << 20)
            asked = asyncio.create_task(ask(client, b"first"))
            if kept:
                connection = accepted.enter_context(await taken(listener, b"first"))
                await loop.sock_sendall(connection, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                await asked
                asked = asyncio.create_task(ask(client, b"second"))
                await asyncio.sleep(0)  # it is written
                accepted.close()  # so that it is written once more, to a connection of its own
            while not select.select([listener], [], [], 0)[0]:
                await asyncio.sleep(0)
        with pytest.raises(Unreachable):
            await asked
        assert client.outstanding == 0
        client.close()

    asyncio.run(scenario())


def test_the_end_of_a_streamed_answer_is_told_once_also_of_one_that_was_asked_for_twice(tmp_path: Path) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        with listening(tmp_path / "s") as listener, contextlib.ExitStack() as accepted:
            client = ModelServer(f"unix:{tmp_path}/s", loop, 1 << 20)
            asked = asyncio.create_task(ask(client, b"first"))
            connection = accepted.enter_context(await taken(listener, b"first"))
            await loop.sock_sendall(connection, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            await asked
            ends: list[None] = []
            streamed = asyncio.create_task(
                client.ask_streamed(HEAD % 6, b"second", PATIENCE_SECONDS, lambda: ends.append(None))
            )
            await asyncio.sleep(0)  # it is written
            accepted.close()  # unread, so that it is written once more, to a connection of its own
            connection = accepted.enter_context(await taken(listener, b"second"))
            assert ends == []
            await loop.sock_sendall(connection, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
            _, chunks = await streamed
            assert ends == []
            await loop.sock_sendall(connection, b"done")
            assert [chunk async for chunk in chunks] == [b"done"]
            assert ends == [None]
        client.close()

    asyncio.run(scenario())


def test_a_streamed_answer_comes_in_pieces(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def tokens(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await go.wait()
        writer.write(b"3\r\ntwo\r\n0\r\n\r\n")

    async def scenario() -> None:
        async with serving(tmp_path / "s", tokens) as (client, counter):
            answer, chunks = await client.ask_streamed(HEAD % 0, b"", PATIENCE_SECONDS)
            assert answer.status == 200
            assert await anext(chunks) == b"one"
            go.set()
            assert [chunk async for chunk in chunks] == [b"two"]
            assert client.outstanding == 0
            _, chunks = await client.ask_streamed(HEAD % 0, b"", PATIENCE_SECONDS)
            await anext(chunks)
            await chunks.aclose()
            assert client.outstanding == 0
            assert counter.connections <= 2

    asyncio.run(scenario())


def test_a_large_stream_waits_for_its_reader_and_leaves_a_usable_connection(tmp_path: Path) -> None:
    large = b"x" * (5 << 20)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"

    async def scenario() -> None:
        async with serving(tmp_path / "s", answering(head % len(large) + large, head % 2 + b"ok")) as (client, counter):
            _, chunks = await client.ask_streamed(HEAD % 0, b"", PATIENCE_SECONDS)
            size = 0
            async for chunk in chunks:
                size += len(chunk)
                await asyncio.sleep(0)
            assert size == len(large)
            assert (await ask(client)).body == b"ok"
            assert counter.connections == 1

    asyncio.run(scenario())


def test_a_stream_that_breaks_off_says_so(tmp_path: Path) -> None:
    reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n"

    async def scenario() -> None:
        async with serving(tmp_path / "s", answering(reply)) as (client, _):
            _, chunks = await client.ask_streamed(HEAD % 0, b"", PATIENCE_SECONDS)
            with pytest.raises(Broken):
                _ = [chunk async for chunk in chunks]

    asyncio.run(scenario())


def test_more_requests_than_connections_wait_their_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clary.kernel.serving.connections.MOST_CONNECTIONS", 4)

    async def scenario() -> None:
        async with serving(tmp_path / "s", echo) as (client, counter):
            answers = await asyncio.gather(*(ask(client, b"%d" % i) for i in range(50)))
            assert [one.body for one in answers] == [b"%d" % i for i in range(50)]
            assert counter.connections <= 4

    asyncio.run(scenario())

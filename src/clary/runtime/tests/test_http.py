"""The model server's HTTP: what callers may do, and what they may do wrong without harm to others."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from clary.runtime.inference import http
from clary.runtime.inference.contract import Reply
from clary.runtime.tests.conftest import Job
from clary.runtime.tests.servers import Server, serving, wait_until

ECHO = """
def model_fn(model_dir): return None
def transform_fn(model, body, content_type, accept): return body, content_type
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> "Server":  # type: ignore[misc]
    job = Job(tmp_path_factory.mktemp("http"))
    job.put("model/code/inference.py", ECHO)
    with serving(job, CLARY_BIND_UNIX_SOCKET=str(job.root / "s"), MAX_CONTENT_LENGTH="100000") as made:
        yield made
    assert made.process.returncode == 0


def request(body: bytes, *headers: bytes, path: bytes = b"/invocations") -> bytes:
    lines = [b"POST %b HTTP/1.1" % path, b"content-length: %d" % len(body), b"content-type: text/x", *headers, b"", b""]
    return b"\r\n".join(lines) + body


def answer(caller: socket.socket, held: bytes = b"") -> tuple[int, bytes, bytes]:
    """The status and body of the next answer, and what came after it."""
    while b"\r\n\r\n" not in held:
        part = caller.recv(65536)
        assert part, held
        held += part
    head, _, rest = held.partition(b"\r\n\r\n")
    size = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    while len(rest) < size:
        rest += caller.recv(65536)
    return int(head.split(b" ")[1]), rest[:size], rest[size:]


def rest_of(caller: socket.socket) -> bytes:
    """All until the server closes, or breaks, the connection."""
    received = b""
    try:
        while part := caller.recv(65536):
            received += part
    except ConnectionError:
        pass
    return received


def test_requests_follow_each_other_on_a_connection_and_in_one_packet(server: Server) -> None:
    with server.connect() as caller:
        for body in (b"one", b"two", b"", b"three" * 1000):
            caller.sendall(request(body))
            assert answer(caller)[:2] == (200, body)
        bodies = [b"%d" % number for number in range(300)]
        caller.sendall(b"".join(map(request, bodies)))
        held = b""
        for body in bodies:
            status, found, held = answer(caller, held)
            assert (status, found) == (200, body)


def test_a_request_may_come_in_any_pieces(server: Server) -> None:
    known = request(b"known")
    with server.connect() as caller:
        caller.sendall(known)
        assert answer(caller)[1] == b"known"
        for whole in (known, request(b"other", b"x-header: y")):
            for cut in range(1, len(whole), 7):
                caller.sendall(whole[:cut])
                caller.sendall(whole[cut:])
                assert answer(caller)[1] == whole[-5:]


def test_chunked_bodies_and_expectations(server: Server) -> None:
    head = b"POST /invocations HTTP/1.1\r\ncontent-type: text/x\r\n"
    with server.connect() as caller:
        caller.sendall(head + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
        caller.sendall(b"4\r\ndefg\r\n0\r\n\r\n")
        assert answer(caller)[:2] == (200, b"abcdefg")
        caller.sendall(head + b"content-length: 2\r\nexpect: 100-continue\r\n\r\n")
        assert caller.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        caller.sendall(b"ab")
        assert answer(caller)[:2] == (200, b"ab")
        caller.sendall(head + b"content-length: 200000\r\nexpect: 100-continue\r\n\r\n")
        assert answer(caller)[0] == 413
    with server.connect() as caller:
        caller.sendall(head + b"transfer-encoding: chunked\r\n\r\n")
        caller.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        caller.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        assert answer(caller)[0] == 413


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), b"400"),
        (b"HELO you\r\n\r\n", b"400"),
        (b"POST /invocations HTTP/1.1\r\ncontent-length: -3\r\n\r\n", b"400"),
        (b"POST /invocations HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\nabc", b"400"),
        (b"POST /invocations HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nnothex\r\n", b"400"),
        (b"GET /" + b"x" * 70000 + b" HTTP/1.1\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\n" + b"".join(b"h%d: %b\r\n" % (n, b"v" * 1000) for n in range(100)) + b"\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nendless: " + b"x" * 300000, b"431"),
        (request(b"x" * 200000), b"413"),
    ],
)
def test_what_is_no_good_request_is_refused_and_the_connection_closed(
    server: Server, sent: bytes, status: bytes
) -> None:
    with server.connect() as caller:
        caller.sendall(sent)
        assert rest_of(caller).startswith(b"HTTP/1.1 " + status)
    assert server.invoke("fine")[0] == 200


def test_upgrades_are_not_made(server: Server) -> None:
    with server.connect() as caller:
        caller.sendall(b"GET /ping HTTP/1.1\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n")
        assert rest_of(caller).startswith(b"HTTP/1.1 200")


def test_a_caller_may_close_its_side_and_still_gets_its_answers(server: Server) -> None:
    with server.connect() as caller:
        caller.sendall(request(b"one") + request(b"two"))
        caller.shutdown(socket.SHUT_WR)
        received = rest_of(caller)
    assert received.count(b"HTTP/1.1 200") == 2
    assert received.endswith(b"two")
    with server.connect() as caller:
        caller.sendall(request(b"half")[:-2])
        caller.shutdown(socket.SHUT_WR)
        assert rest_of(caller) == b""


def test_other_paths_and_methods(server: Server) -> None:
    assert server.ask("HEAD", "/ping")[0] == 200
    assert server.ask("GET", "/invocations")[0] == 405
    assert server.ask("POST", "/ping")[0] == 404
    assert server.ask("GET", "/invocations/%ff?x=y")[0] == 404
    with server.connect() as caller:
        caller.sendall(request(b"x", b"connection: close"))
        assert b"connection: close" in rest_of(caller)


def test_a_thousand_connections_of_which_many_do_nothing(server: Server) -> None:
    callers = [server.connect() for _ in range(1200)]
    try:
        for number, caller in enumerate(callers):
            if number % 3 == 0:
                caller.sendall(request(b"%d" % number))
            elif number % 3 == 1:
                caller.sendall(request(b"%d" % number)[: number % 60])
        for number, caller in enumerate(callers):
            if number % 3 == 0:
                assert answer(caller)[:2] == (200, b"%d" % number)
        assert server.invoke("fine")[0] == 200
    finally:
        for caller in callers:
            caller.close()


def test_who_does_not_read_is_not_answered_without_end(server: Server) -> None:
    """Pipelined requests whose answers nobody takes are left in the socket instead of being answered into memory."""
    with server.connect() as caller:
        caller.settimeout(1)
        whole = request(b"x" * 60000) * 200
        with pytest.raises(TimeoutError):
            caller.sendall(whole)
        assert server.invoke("fine")[0] == 200


def test_slow_and_silent_callers_are_let_go(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(http, "ARRIVAL_SECONDS", 0.05)
    monkeypatch.setattr(http, "KEEP_ALIVE_SECONDS", 0.05)
    monkeypatch.setattr(http, "SWEEP_SECONDS", 0.01)

    async def main() -> None:
        face = http.Face(lambda exchange: exchange.answer(Reply(exchange.body, "a")), max_body=1000, stall_seconds=0.05)
        sweeping = asyncio.create_task(face.sweep())
        path = str(tmp_path / "s")
        server = await asyncio.get_running_loop().create_unix_server(lambda: http.Connection(face), path)
        for sent, expected in [(b"", b""), (b"POST / HT", b"408"), (request(b"abc")[:-1], b"408")]:
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(sent)
            assert expected in await reader.read()
            writer.close()
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(request(b"abc"))
        assert (await reader.read()).endswith(b"abc")  # answered, then closed for want of another
        writer.close()
        server.close()
        await face.drain(1)
        sweeping.cancel()
        assert not face.connections

    asyncio.run(main())


def test_a_stop_lets_requests_finish(job: Job) -> None:
    job.put(
        "model/code/inference.py",
        "def model_fn(d): return None\n"
        "def transform_fn(model, body, content_type, accept): return open(body).read(), 'text/plain'\n",
    )
    opened = job.root / "gate"
    os.mkfifo(opened)
    with serving(job) as server:
        caller, idle = server.connect(), server.connect()
        with caller, idle:
            caller.sendall(request(str(opened).encode()))
            with opened.open("w") as file:
                server.process.terminate()
                assert rest_of(idle) == b""
                file.write("finished")
            assert rest_of(caller).endswith(b"connection: close\r\n\r\nfinished")
        wait_until(lambda: server.process.poll() is not None)
    assert server.process.returncode == 0


def test_a_stop_does_not_wait_for_a_model_that_is_loading(job: Job) -> None:
    opened = job.root / "gate"
    os.mkfifo(opened)
    job.put(
        "model/code/inference.py",
        f"def model_fn(d):\n    open({str(opened)!r}, 'w').close()\n    open({str(opened)!r})",
    )
    process = job.start("serve", SAGEMAKER_BIND_TO_PORT="0")
    with process:
        opened.read_text()  # the model is being loaded
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0

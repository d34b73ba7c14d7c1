"""Every backend of the online store: in a home, and in a Redis of the tests' own."""

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from clary.kernel.core.clock import VirtualClock
from clary.kernel.kv import KeyValue, Transaction, open_kv
from clary.kernel.online import OnlineStore, open_online
from clary.testing import eventually, reserved_port

BACKENDS = ("embedded", "redis")


@contextmanager
def redis_server(folder: Path, port: int) -> Iterator[str]:
    """A Redis that writes everything down before it answers; yields its URL."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        pytest.skip("there is no redis-server")
    command = [program, "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", ""]
    with (folder / "log").open("ab") as log:
        server = subprocess.Popen([*command, "--appendonly", "yes", "--appendfsync", "always"], stdout=log, stderr=log)

    def answers() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), 10) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(7) == b"+PONG\r\n"
        except OSError:
            return False

    try:
        eventually(answers)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.kill()
        server.wait(30)


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with reserved_port() as port, redis_server(tmp_path_factory.mktemp("redis"), port) as url:
        yield url


class Journaled:
    """A domain whose journal is a list under one letter, in the order it was written."""

    def __init__(self, kv: KeyValue) -> None:
        self.kv = kv

    def append(self, tx: Transaction, group: str, entry: bytes) -> None:
        number = sum(1 for _ in tx.scan(b"j", b"k"))
        tx.put(b"j%08d" % number, group.encode() + b" " + entry)

    def read(self) -> list[str]:
        return [entry.decode() for _, entry in self.kv.scan(b"j", b"k")]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journaled]:
    with closing(open_kv(tmp_path, "features", durable=False)) as kv:
        yield Journaled(kv)


@pytest.fixture(params=BACKENDS)
def opened(
    request: pytest.FixtureRequest, journal: Journaled, clock: VirtualClock
) -> Iterator[Callable[[], OnlineStore]]:
    """Opens the same store each time, as another process would."""
    url = request.getfixturevalue("redis_url") if request.param == "redis" else ""
    made: list[OnlineStore] = []

    def make() -> OnlineStore:
        made.append(open_online(journal.kv, clock, journal.append, url))
        return made[-1]

    yield make
    for store in made:
        store.close()


@pytest.fixture
def store(opened: Callable[[], OnlineStore]) -> OnlineStore:
    return opened()

"""A throw-away server for test suites, ours and yours.

with clary.testing.serving(tmp_path) as server:
    s3 = server.client("s3")
"""

import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, Popen
from threading import Event
from typing import Any

import boto3
import psutil
from botocore.config import Config

from clary.kernel.auth.keys import Keys
from clary.kernel.core.clock import SystemClock
from clary.kernel.core.settings import Settings
from clary.kernel.store.sql import open_sqlite
from clary.server import home, lifecycle


@dataclass(frozen=True)
class Server:
    """A running server. `client("s3")` is a boto3 client with its default key."""

    home: Path
    endpoint: str
    access_key: str
    secret: str
    process: Popen[bytes]

    def client(self, service: str, *, region: str = "us-east-1", **options: Any) -> Any:
        settings: dict[str, Any] = {
            "aws_access_key_id": self.access_key,
            "aws_secret_access_key": self.secret,
            "endpoint_url": self.endpoint,
            "region_name": region,
            "config": Config(retries={"max_attempts": 0}, inject_host_prefix=False, s3={"addressing_style": "path"}),
        }
        connect: Any = boto3.client
        return connect(service, **(settings | options))

    def processes(self, role: str) -> list[psutil.Process]:
        """The processes that are gateways, controllers or carriers now."""
        children = psutil.Process(self.process.pid).children()
        return [child for child in children if lifecycle.role_of(child) == role]

    @property
    def settings(self) -> Settings:
        return Settings.load({}, home=str(self.home))


def start_server(folder: Path, *arguments: str, **settings: object) -> Server:
    """Start `clary up` over the home `folder` and wait until it answers. End it with `stop_server`.

    `settings` are those of `docs/reference/settings.md`; what the environment says of them does not count.
    """
    home.prepare(folder)
    log_path = folder / "log" / "server.log"
    with log_path.open("ab") as log:
        process = Popen(
            [sys.executable, "-m", "clary.cli", "up", "--home", str(folder), "--listen", "127.0.0.1:0", *arguments],
            stdin=DEVNULL,
            stdout=log,
            stderr=log,
            env={name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CLARY_"))}
            | {f"CLARY_{name.upper()}": str(value) for name, value in settings.items()},
        )
    info = lifecycle.wait_until_ready(folder, process, log_path)
    store = open_sqlite(folder / "records.db")
    key = Keys(store, SystemClock(), Settings.load({}, home=str(folder))).default()
    store.close()
    assert key is not None
    return Server(folder, info.endpoint, key.access_key, key.secret, process)


def stop_server(server: Server) -> None:
    """End the server and every host it started."""
    info = home.running(server.home)
    if info is not None:
        lifecycle.stop(info)
    server.process.wait(30)
    lifecycle.end_hosts(server.settings)


@contextmanager
def serving(folder: Path, *arguments: str, **settings: object) -> Iterator[Server]:
    """A server over the home `folder` for as long as the block runs; see `start_server`."""
    server = start_server(folder, *arguments, **settings)
    try:
        yield server
    finally:
        stop_server(server)


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port of 127.0.0.1 for servers that are told theirs, as often as one is started while the block runs.

    It is bound, though nobody listens there: so the system gives it to no other who asks for any port, nor to one who
    connects. A server that sets SO_REUSEADDR, as most do, may listen there all the same.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])


def kill(*processes: psutil.Process) -> None:
    """Kill -9 each of them; one that the death of another has ended already is no error."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def kill_role(server: Server, role: str) -> None:
    """Kill -9 the processes of a role, such as `gateway`; the supervisor starts others."""
    kill(*server.processes(role))


def eventually(look: Callable[[], Any], seconds: float = 180.0) -> Any:
    """What `look` returns, once it is true; a wait that fails the test when it takes longer than `seconds`."""
    clock, pause = SystemClock(), Event()
    deadline = clock.monotonic() + seconds
    while clock.monotonic() < deadline:
        found = look()
        if found:
            return found
        pause.wait(0.05)
    raise AssertionError("it did not happen in time")

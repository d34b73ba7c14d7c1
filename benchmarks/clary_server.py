"""A throw-away Clary to measure, and what of it works for a request."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import psutil

from benchmarks.signing import signed
from clary.testing import Server, serving


@contextmanager
def clary() -> Iterator[Server]:
    """A server with the settings it comes with, over a home that is removed afterwards."""
    with (
        TemporaryDirectory(prefix="clary-bench-", ignore_cleanup_errors=True) as folder,
        serving(Path(folder) / "h") as server,
    ):
        yield server


def port_of(server: Server) -> int:
    return int(urlsplit(server.endpoint).port or 0)


def gateways(server: Server) -> Callable[[], list[int]]:
    """The gateway processes."""

    def look() -> list[int]:
        children = psutil.Process(server.process.pid).children()
        return [child.pid for child in children if "gateway" in child.cmdline()]

    return look


def request(server: Server, method: str, path: str, service: str, **options: object) -> bytes:
    """A request signed with the server's default key."""
    keys = {"access_key": server.access_key, "secret": server.secret}
    return signed(method, port_of(server), path, service, **(keys | options))  # type: ignore[arg-type]

"""Every backend of streams, each over a home or a server of its own."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from clary.kernel.core.clock import SystemClock
from clary.kernel.streams import Streams, open_streams
from clary.testing import eventually

BACKENDS = ("embedded", "jetstream")

_NATS = """
listen: "127.0.0.1:{port}"
ports_file_dir: "{folder}"
jetstream {{ store_dir: "{folder}/store", sync_interval: always }}
"""


@contextmanager
def nats_server(folder: Path, port: int = -1) -> Iterator[str]:
    """A NATS server that keeps JetStream in files of `folder`, by default on a free port; yields its URL."""
    (folder / "nats.conf").write_text(_NATS.format(folder=folder, port=port))
    # The one that is installed with the tests: one of the system may be too old.
    program = Path(sys.executable).with_name("nats-server")
    with (folder / "log").open("ab") as log:
        server = subprocess.Popen([program, "-c", folder / "nats.conf"], stdout=log, stderr=log)
    try:
        ports = folder / f"nats-server_{server.pid}.ports"
        eventually(lambda: ports.exists() and ports.read_text().endswith("}"))
        yield json.loads(ports.read_text())["nats"][0]
    finally:
        server.kill()
        server.wait(30)


@pytest.fixture(scope="session")
def nats_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with nats_server(tmp_path_factory.mktemp("nats")) as url:
        yield url


@pytest.fixture(params=BACKENDS)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Streams]:
    """Opens the same streams each time; close what it returned."""
    url = request.getfixturevalue("nats_url") if request.param == "jetstream" else ""
    with closing(open_streams(tmp_path, SystemClock(), url=url)) as left:
        left.clear()
    return lambda: open_streams(tmp_path, SystemClock(), url=url)


@pytest.fixture
def streams(opened: Callable[[], Streams]) -> Iterator[Streams]:
    with closing(opened()) as found:
        yield found

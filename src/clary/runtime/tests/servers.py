"""A model server under test: started as the platform does, asked over real sockets."""

import http.client
import os
import select
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from clary.runtime.tests.conftest import Job

Answer = tuple[int, str, bytes]


class Server:
    def __init__(self, process: "subprocess.Popen[str]", place: str) -> None:
        self.process = process
        self.place = place

    def connect(self) -> socket.socket:
        made = socket.socket(socket.AF_UNIX if "/" in self.place else socket.AF_INET)
        made.settimeout(60)
        try:
            made.connect(self.place if "/" in self.place else ("127.0.0.1", int(self.place)))
        except OSError:
            made.close()
            raise
        return made

    def connection(self) -> http.client.HTTPConnection:
        made = http.client.HTTPConnection("127.0.0.1", timeout=60)
        made.sock = self.connect()
        return made

    def ask(self, method: str, path: str, body: bytes | str = b"", **headers: str) -> Answer:
        connection = self.connection()
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            response = connection.getresponse()
            return response.status, response.getheader("content-type", ""), response.read()
        finally:
            connection.close()

    def invoke(self, body: bytes | str, content_type: str = "text/csv", accept: str = "") -> Answer:
        headers = {"content_type": content_type} | ({"accept": accept} if accept else {})
        return self.ask("POST", "/invocations", body, **headers)


@contextmanager
def serving(job: Job, **environment: str) -> Iterator[Server]:
    ready = job.root / "ready"
    ready.unlink(missing_ok=True)
    job.paths.model.mkdir(exist_ok=True)
    process = job.start("serve", **{"SAGEMAKER_BIND_TO_PORT": "0", "CLARY_READY_FILE": str(ready)} | environment)
    with process:
        try:
            assert process.stderr is not None
            said = ""
            while not ready.exists():
                readable, _, _ = select.select([process.stderr], [], [], 60)
                line = process.stderr.readline() if readable else ""
                said += line
                if line.startswith("serving ") or not line:
                    break
            wait_until(ready.exists, said)
            yield Server(process, ready.read_text().strip())
        finally:
            process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=60)
            process.log = log  # type: ignore[attr-defined]
            print(log)  # shown when the test fails


def wait_until(condition: Callable[[], object], message: object = "") -> None:
    waiting = threading.Event()
    for _ in range(3000):
        if condition():
            return
        waiting.wait(0.02)
    raise AssertionError(f"it did not become true: {condition} {message}")


def gate(path: Path) -> Path:
    """A FIFO on which a script waits until the test writes to it."""
    os.mkfifo(path)
    return path

"""Whom payloads are sent to: the containers' model servers, or a built-in model in this process.

Built-in models are asked in process, by the function that the server would call, so that the answers are the same to
the byte and nothing is copied over a socket. Whatever runs a user's code is another process, which may hang or die.
Of a model with several containers, each is asked what the one before it answered.
"""

import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from clary.runtime.errors import CustomerError
from clary.runtime.paths import MlPaths
from clary.runtime.transform.plan import Container, Plan

OUR_SERVER = ("python", "-m", "clary.runtime", "serve")

_START_SECONDS = 900.0
_LOOK_SECONDS = 0.05
_DYING_SECONDS = 1.0
_END_SECONDS = 2.0  # nothing that it still does is wanted
_PIECE = 1024 * 1024
_LONGEST_ADDRESS = 100  # bytes in the path of a Unix socket, on any system


class Unanswered(Exception):
    """The model did not answer; to ask again may help."""


class ModelDied(Exception):
    """There is nobody left to ask."""


@dataclass(frozen=True)
class Answer:
    """`content_type` is empty where the model names none; `by` says who answered, for messages."""

    status: int
    body: bytes
    content_type: str = ""
    by: str = "the model"

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """What a refusal says, on one line."""
        return " ".join(self.body[:2000].decode(errors="replace").split())[:500]


class Model(Protocol):
    """A model that answers payloads, from any number of threads."""

    def parameters(self) -> Mapping[str, Any]:
        """What /execution-parameters says; nothing when the model has none."""

    def ask(self, body: bytes, *, streamed: bool) -> Answer:
        """`streamed` sends the body in chunks, of any length. Raises Unanswered or ModelDied."""

    def close(self) -> None:
        """End it."""


def open_model(plan: Plan, paths: MlPaths) -> Model:
    """Load the model, or start what does. Raises CustomerError or ModelDied."""
    if (
        len(plan.containers) == 1
        and tuple(plan.containers[0].serve) == OUR_SERVER
        and os.environ.get("CLARY_ALGORITHM")
        and not os.environ.get("SAGEMAKER_PROGRAM")
    ):
        return BuiltIn(plan, paths)
    return Served(plan, paths)


class BuiltIn:
    """A built-in algorithm's model in this process."""

    def __init__(self, plan: Plan, paths: MlPaths) -> None:
        from clary.runtime.inference.app import execution_parameters, refusal
        from clary.runtime.inference.contract import Request
        from clary.runtime.inference.models import load_model
        from clary.runtime.inference.settings import Settings

        self._settings = Settings.from_environment()
        self._model = load_model(paths.model, None)
        self._parameters = execution_parameters(self._settings, self._model.threads)
        self._accept = plan.accept or self._settings.default_accept
        self._content_type = plan.content_type
        self._seconds = plan.timeout_seconds
        self._refusal = refusal
        self._request = Request
        self._pool = ThreadPoolExecutor(
            plan.concurrency or self._model.threads * self._settings.workers, thread_name_prefix="predict"
        )

    def parameters(self) -> Mapping[str, Any]:
        return self._parameters

    def ask(self, body: bytes, *, streamed: bool) -> Answer:
        if len(body) > self._settings.max_body:
            text = f"the request body is over {self._settings.max_body} bytes (MAX_CONTENT_LENGTH)"
            return Answer(413, text.encode())
        reply = self._model.quick(body, self._content_type.encode("latin-1"), self._accept.encode("latin-1"))
        if reply is None:
            future = self._pool.submit(self._model.invoke, self._request(body, self._content_type, self._accept))
            try:
                reply = future.result(self._seconds)
            except TimeoutError:
                raise Unanswered(f"the model did not answer within {self._seconds:g} s") from None
            except Exception as error:
                reply = self._refusal(error, self._seconds)
        return Answer(reply.status, reply.body if isinstance(reply.body, bytes) else b"".join(reply.body))

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


class Served:
    """The containers' model servers. What one answers is the next one's request; the last answers for all."""

    def __init__(self, plan: Plan, paths: MlPaths) -> None:
        self._content_type = plan.content_type
        self._accept = plan.accept
        self._servers: list[Server] = []
        try:
            for container in plan.containers:
                self._servers.append(Server(container, plan, paths))
            for server in self._servers:
                server.wait_until_ready()
        except BaseException:
            self.close()
            raise

    def parameters(self) -> Mapping[str, Any]:
        """Of several containers, the first says how much one payload holds, and the slowest how many may be asked."""
        found = [server.parameters() for server in self._servers]
        if len(found) == 1:
            return found[0]
        joined = dict(found[0])
        most = [one["MaxConcurrentTransforms"] for one in found if isinstance(one.get("MaxConcurrentTransforms"), int)]
        if most:
            joined["MaxConcurrentTransforms"] = min(most)
        if any(one.get("BatchStrategy") == "SINGLE_RECORD" for one in found):
            joined["BatchStrategy"] = "SINGLE_RECORD"
        return joined

    def ask(self, body: bytes, *, streamed: bool) -> Answer:
        """Accept is for the last container; others answer in the format that is theirs."""
        content_type = self._content_type
        for server in self._servers:
            accept = self._accept if server is self._servers[-1] else ""
            answer = server.ask(body, content_type, accept, streamed=streamed)
            if not answer.ok:
                break
            body, content_type = answer.body, answer.content_type or content_type
        return answer

    def close(self) -> None:
        for server in self._servers:
            server.close()


class Server:
    """One container's model server, started on a Unix socket."""

    def __init__(self, container: Container, plan: Plan, paths: MlPaths) -> None:
        self._label = f" of {container.label}" if container.label else ""
        self._name = container.label or "the model"
        self._folder = _socket_folder()
        self._socket = self._folder / "serve.sock"
        self._seconds = plan.timeout_seconds
        self._connections = threading.local()
        longest = {"SAGEMAKER_MODEL_SERVER_TIMEOUT": str(int(plan.timeout_seconds) + 5)}
        if plan.max_payload_mb == 0:
            longest["MAX_CONTENT_LENGTH"] = str(1 << 40)
        environment = {**longest, **os.environ, **_own_environment(container, paths)}
        environment["CLARY_BIND_UNIX_SOCKET"] = str(self._socket)
        try:
            self._process = subprocess.Popen(list(container.serve), env=environment, stdin=subprocess.DEVNULL)
        except BaseException:
            self.close()
            raise

    def parameters(self) -> Mapping[str, Any]:
        try:
            answer = self._exchange("GET", "/execution-parameters", None, {})
            found = json.loads(answer.body) if answer.ok else {}
        except (OSError, http.client.HTTPException, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def ask(self, body: bytes, content_type: str, accept: str, *, streamed: bool) -> Answer:
        reused = getattr(self._connections, "open", None) is not None
        headers = {name: value for name, value in (("Content-Type", content_type), ("Accept", accept)) if value}
        try:
            try:
                return self._exchange("POST", "/invocations", body, headers, streamed=streamed)
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                if not reused or self._process.poll() is not None:
                    raise
                # the server had closed a connection that was idle for long
                return self._exchange("POST", "/invocations", body, headers, streamed=streamed)
        except TimeoutError:
            raise Unanswered(f"{self._name} did not answer within {self._seconds:g} s") from None
        except (OSError, http.client.HTTPException) as error:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_DYING_SECONDS)  # a process that dies has no connections before it is gone
            self._check()
            raise Unanswered(f"the connection to {self._name} broke: {error!r}") from None

    def wait_until_ready(self) -> None:
        """Wait until it answers its ping. Raises CustomerError or ModelDied."""
        for _ in range(int(_START_SECONDS / _LOOK_SECONDS)):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_LOOK_SECONDS)
            self._check()
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self._exchange("GET", "/ping", None, {}).ok:
                    return
        raise CustomerError(f"the model server{self._label} did not answer its ping within {_START_SECONDS:g} s")

    def close(self) -> None:
        process = getattr(self, "_process", None)
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], *, streamed: bool = False
    ) -> Answer:
        """One request on this thread's connection, which is given up when anything goes wrong."""
        connection = getattr(self._connections, "open", None) or _Connection(self._socket, self._seconds)
        self._connections.open = None
        done = False
        try:
            if streamed and body is not None:
                chunked = {**headers, "Transfer-Encoding": "chunked"}
                connection.request(method, path, _pieces(body), chunked, encode_chunked=True)
            else:
                connection.request(method, path, body, headers)
            response = connection.getresponse()
            content_type = response.getheader("Content-Type") or ""
            answer = Answer(response.status, response.read(), content_type, self._name)
            done = not response.will_close
        finally:
            if done:
                self._connections.open = connection
            else:
                connection.close()
        return answer

    def _check(self) -> None:
        code = self._process.poll()
        if code is not None:
            raise ModelDied(f"the model server{self._label} ended with exit code {code}; its last words are in the log")


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path
        self._seconds = seconds

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        give_up_at = time.monotonic() + self._seconds
        while True:
            try:
                return self.sock.connect(str(self._path))
            except BlockingIOError:  # a Unix socket whose queue is full says so instead of letting one wait
                if time.monotonic() > give_up_at:
                    raise TimeoutError("too many wait for the model server already") from None
            threading.Event().wait(_LOOK_SECONDS)


def _pieces(body: bytes) -> Iterator[memoryview]:
    view = memoryview(body)
    for start in range(0, len(view), _PIECE):
        yield view[start : start + _PIECE]


def _socket_folder() -> Path:
    """A new folder in which a socket has a path that is short enough."""
    folder = Path(tempfile.mkdtemp(prefix="transform-"))
    if len(os.fsencode(folder / "serve.sock")) <= _LONGEST_ADDRESS:
        return folder
    folder.rmdir()
    return Path(tempfile.mkdtemp(prefix="transform-", dir="/tmp"))


def _own_environment(container: Container, paths: MlPaths) -> dict[str, str]:
    """What a container is told. What names a path below /opt/ml is moved to the folder that stands for it there."""
    if not container.folder:
        return dict(container.environment)
    root = paths.root / container.folder
    (root / "model").mkdir(parents=True, exist_ok=True)
    ours = re.compile(rf"(?<![\w/.-]){re.escape(str(paths.root))}(?![\w.-])")
    moved = {name: ours.sub(lambda _: str(root), value) for name, value in container.environment.items()}
    return {**moved, "CLARY_ML_ROOT": str(root)}

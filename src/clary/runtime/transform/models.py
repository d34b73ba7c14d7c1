"""Whom payloads are sent to: the image's model server, on a socket of its own, or a built-in model in this process.

Built-in models are asked in process, by the function that the server would call, so that the answers are the same to
the byte and nothing is copied over a socket. Whatever runs a user's code is another process, which may hang or die.
"""

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from clary.runtime.errors import CustomerError
from clary.runtime.transform.plan import Plan

OUR_SERVER = ("python", "-m", "clary.runtime", "serve")

_START_SECONDS = 900.0
_LOOK_SECONDS = 0.05
_END_SECONDS = 2.0  # nothing that it still does is wanted
_PIECE = 1024 * 1024


class Unanswered(Exception):
    """The model did not answer; to ask again may help."""


class ModelDied(Exception):
    """There is nobody left to ask."""


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes

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


def open_model(plan: Plan) -> Model:
    """Load the model, or start what does. Raises CustomerError or ModelDied."""
    if (
        tuple(plan.serve) == OUR_SERVER
        and os.environ.get("CLARY_ALGORITHM")
        and not os.environ.get("SAGEMAKER_PROGRAM")
    ):
        return BuiltIn(plan)
    return Server(plan)


class BuiltIn:
    """A built-in algorithm's model in this process."""

    def __init__(self, plan: Plan) -> None:
        from clary.runtime.inference.app import execution_parameters, refusal
        from clary.runtime.inference.contract import Request
        from clary.runtime.inference.models import load_model
        from clary.runtime.inference.settings import Settings
        from clary.runtime.paths import ml_paths

        self._settings = Settings.from_environment()
        self._model = load_model(ml_paths(), None)
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


class Server:
    """The image's model server, started on a Unix socket."""

    def __init__(self, plan: Plan) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="transform-"))
        self._socket = self._folder / "serve.sock"
        self._seconds = plan.timeout_seconds
        self._headers = {
            name: value for name, value in (("Content-Type", plan.content_type), ("Accept", plan.accept)) if value
        }
        self._connections = threading.local()
        longest = {"SAGEMAKER_MODEL_SERVER_TIMEOUT": str(int(plan.timeout_seconds) + 5)}
        if plan.max_payload_mb == 0:
            longest["MAX_CONTENT_LENGTH"] = str(1 << 40)
        environment = {**longest, **os.environ, "CLARY_BIND_UNIX_SOCKET": str(self._socket)}
        try:
            self._process = subprocess.Popen(list(plan.serve), env=environment, stdin=subprocess.DEVNULL)
            self._wait_until_ready()
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

    def ask(self, body: bytes, *, streamed: bool) -> Answer:
        reused = getattr(self._connections, "open", None) is not None
        try:
            try:
                return self._exchange("POST", "/invocations", body, self._headers, streamed=streamed)
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                if not reused or self._process.poll() is not None:
                    raise
                # the server had closed a connection that was idle for long
                return self._exchange("POST", "/invocations", body, self._headers, streamed=streamed)
        except TimeoutError:
            raise Unanswered(f"the model did not answer within {self._seconds:g} s") from None
        except (OSError, http.client.HTTPException) as error:
            self._check()
            raise Unanswered(f"the connection to the model broke: {error!r}") from None

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
            answer = Answer(response.status, response.read())
            done = not response.will_close
        finally:
            if done:
                self._connections.open = connection
            else:
                connection.close()
        return answer

    def _wait_until_ready(self) -> None:
        for _ in range(int(_START_SECONDS / _LOOK_SECONDS)):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_LOOK_SECONDS)
            self._check()
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self._exchange("GET", "/ping", None, {}).ok:
                    return
        raise CustomerError(f"the model server did not answer its ping within {_START_SECONDS:g} s")

    def _check(self) -> None:
        code = self._process.poll()
        if code is not None:
            raise ModelDied(f"the model server ended with exit code {code}; its last words are in the log")


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _pieces(body: bytes) -> Iterator[memoryview]:
    view = memoryview(body)
    for start in range(0, len(view), _PIECE):
        yield view[start : start + _PIECE]

"""The Unix socket on which a shim is asked for models, in the words of `words`.

It lies among the platform's own sockets, where nothing inside a sandbox can reach it.
"""

import contextlib
import gc
import http.server
import json
import socket
import socketserver
import threading
from http import HTTPStatus
from pathlib import Path
from typing import Any

from clary.kernel.jobs.on_demand.shelf import NotLoaded, Shelf
from clary.kernel.jobs.on_demand.words import LOAD, RELEASE, USED, Fault

_STATUSES = {
    Fault.DATA: HTTPStatus.UNPROCESSABLE_ENTITY,
    Fault.REFUSED: HTTPStatus.BAD_GATEWAY,
    Fault.LOADING: HTTPStatus.GATEWAY_TIMEOUT,
    Fault.GONE: HTTPStatus.SERVICE_UNAVAILABLE,
}
_IDLE_SECONDS = 30.0
_LARGEST_BODY = 4 * 1024 * 1024
_BACKLOG = 256
_KNOCK_SECONDS = 1.0


class Door:
    """Answers until it is closed."""

    def __init__(self, path: Path, shelf: Shelf) -> None:
        # A shim goes without a garbage collector, which would copy the memory that it shares with the nursery; one that
        # opens archives for as long as a service runs cannot. What is there by now is kept out of its sight.
        gc.freeze()
        gc.enable()
        self.path = path
        self._shelf = shelf
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self._server = _Server(str(path), shelf)
        self._closed = False
        self._serving = threading.Thread(target=self._serve, name="door", daemon=True)
        self._serving.start()

    def close(self) -> None:
        """Take no more questions; those that are under way are not waited for."""
        self._shelf.close()
        self._closed = True
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as knock:
            knock.connect(str(self.path))
        self._serving.join(_KNOCK_SECONDS)
        self._server.server_close()
        self.path.unlink(missing_ok=True)

    def _serve(self) -> None:
        while not self._closed:
            self._server.handle_request()


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = _BACKLOG

    def __init__(self, path: str, shelf: Shelf) -> None:
        self.shelf = shelf
        super().__init__(path, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who asked has gone: nobody to tell."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS
    server: _Server

    def do_POST(self) -> None:
        try:
            said = self._read()
            if self.path == LOAD:
                self._load(str(said["model"]), float(said["wait_seconds"]))
            elif self.path == RELEASE:
                self.server.shelf.release(str(said["model"]))
                self._answer(HTTPStatus.NO_CONTENT)
            elif self.path == USED:
                self.server.shelf.used(map(str, said["models"]))
                self._answer(HTTPStatus.NO_CONTENT)
            else:
                self._answer(HTTPStatus.NOT_FOUND, {"message": f"there is no {self.path}"})
        except (KeyError, TypeError, ValueError) as error:
            self.close_connection = True
            self._answer(HTTPStatus.BAD_REQUEST, {"message": f"the request is malformed: {error!r}"})

    def _load(self, name: str, wait_seconds: float) -> None:
        try:
            hit = self.server.shelf.load(name, wait_seconds)
        except NotLoaded as error:
            document = {"fault": error.fault, "message": str(error), "status": error.status}
            self._answer(_STATUSES[error.fault], document)
            return
        try:
            self._answer(HTTPStatus.OK, {"hit": hit})
        except OSError:
            self.server.shelf.release(name)  # who asked has gone, and will not say so
            raise

    def _read(self) -> dict[str, Any]:
        size = int(self.headers.get("Content-Length", "0"))
        if size > _LARGEST_BODY:
            raise ValueError(f"a body of {size} bytes")
        document: dict[str, Any] = json.loads(self.rfile.read(size))
        return document

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing that is said here is news to anybody."""

    def _answer(self, status: HTTPStatus, document: dict[str, Any] | None = None) -> None:
        body = b"" if document is None else json.dumps(document).encode()
        self.send_response_only(status)
        if status is not HTTPStatus.NO_CONTENT:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

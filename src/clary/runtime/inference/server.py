"""`serve`: bind, load the model, answer until SIGTERM; with several workers, processes that share the socket."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import uvicorn

from clary.runtime import threads
from clary.runtime.errors import CustomerError
from clary.runtime.inference.app import App
from clary.runtime.inference.models import load_model, prepare
from clary.runtime.inference.settings import Settings
from clary.runtime.paths import ml_paths

GRACE_SECONDS = 30


def serve() -> int:
    """Run the server; return the exit code."""
    threads.pin()
    try:
        settings = Settings.from_environment()
        source = prepare(ml_paths())
        listener = _listen(settings)
    except (CustomerError, OSError) as error:
        print(f"cannot start the server: {error}", file=sys.stderr, flush=True)
        return 1
    logging.basicConfig(level=settings.log_level, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    try:
        if settings.workers == 1:
            return _work(settings, source, listener, lambda: _announce(settings, listener))
        return _supervise(settings, source, listener)
    finally:
        listener.close()
        if settings.unix_socket:
            with contextlib.suppress(OSError):
                os.unlink(settings.unix_socket)


def _listen(settings: Settings) -> socket.socket:
    if settings.unix_socket:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(settings.unix_socket)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(settings.unix_socket)
        listener.listen(2048)
        return listener
    return socket.create_server((settings.host, settings.port), backlog=2048)


def _announce(settings: Settings, listener: socket.socket) -> None:
    """Say where the server listens, on stderr and in the ready file."""
    place = settings.unix_socket or str(listener.getsockname()[1])
    print(
        f"serving {ml_paths().model} on {settings.unix_socket or f'{settings.host}:{place}'}",
        file=sys.stderr,
        flush=True,
    )
    if settings.ready_file:
        unfinished = settings.ready_file.with_name(settings.ready_file.name + ".unfinished")
        unfinished.write_text(f"{place}\n")
        unfinished.rename(settings.ready_file)


class _Server(uvicorn.Server):
    """uvicorn that loads the model once it accepts connections, and ends in peace on SIGTERM."""

    failed = False

    def __init__(self, settings: Settings, source: Path | None, ready: Callable[[], None]) -> None:
        self._app = App(settings)
        self._source = source
        self._ready = ready
        super().__init__(
            uvicorn.Config(
                self._app,
                http="httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._loading = asyncio.create_task(self._load())

    async def _load(self) -> None:
        try:
            self._app.serve(await asyncio.to_thread(load_model, ml_paths(), self._source))
        except BaseException as error:
            if not isinstance(error, CustomerError):
                traceback.print_exception(error)
            print(f"cannot load the model: {error}", file=sys.stderr, flush=True)
            self.failed = self.should_exit = True
            if not isinstance(error, Exception | SystemExit):
                raise
        else:
            self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        previous = {number: signal.signal(number, self._stop) for number in (signal.SIGTERM, signal.SIGINT)}
        yield
        for number, handler in previous.items():
            signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.should_exit = True


def _work(settings: Settings, source: Path | None, listener: socket.socket, ready: Callable[[], None]) -> int:
    server = _Server(settings, source, ready)
    server.run(sockets=[listener])
    return 1 if server.failed else 0


def _supervise(settings: Settings, source: Path | None, listener: socket.socket) -> int:
    """Fork the workers before anything heavy is loaded. When one dies all end, and the platform restarts them."""
    ready, tell = os.pipe()
    children = {_fork(settings, source, listener, tell) for _ in range(settings.workers)}
    stopping = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True
        for child in children:
            os.kill(child, signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    os.close(tell)
    said = b""
    while len(said) < settings.workers and (byte := os.read(ready, 1)):
        said += byte
    if len(said) == settings.workers:
        _announce(settings, listener)
    worst = 0
    while children:
        child, status = os.wait()
        children.discard(child)
        code = os.waitstatus_to_exitcode(status)
        if code and not stopping:
            print(f"model server worker {child} ended with {code}", file=sys.stderr, flush=True)
            stop(signal.SIGTERM, None)
            worst = 1
    return worst


def _fork(settings: Settings, source: Path | None, listener: socket.socket, tell: int) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        code = _work(settings, source, listener, lambda: os.close(tell) if not os.write(tell, b".") else None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

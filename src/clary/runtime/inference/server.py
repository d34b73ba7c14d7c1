"""`serve`: bind, load the model, answer until SIGTERM; with several workers, processes that share the socket."""

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
import sys
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from clary.runtime import threads
from clary.runtime.errors import CustomerError
from clary.runtime.inference.app import App
from clary.runtime.inference.calls import survived
from clary.runtime.inference.contract import Model
from clary.runtime.inference.http import Connection, Exchange, Face
from clary.runtime.inference.models import load_model, prepare
from clary.runtime.inference.settings import Settings
from clary.runtime.inference.supervisor import supervise
from clary.runtime.paths import ml_paths

GRACE_SECONDS = 30
BACKLOG = 2048


def serve() -> int:
    """Run the server; return the exit code."""
    threads.pin()
    try:
        settings = Settings.from_environment()
        source = None if settings.multi_model else prepare(ml_paths().model, ml_paths().code)
        listener = _listen(settings)
    except (CustomerError, OSError) as error:
        print(f"cannot start the server: {error}", file=sys.stderr, flush=True)
        return 1
    logging.basicConfig(level=settings.log_level, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    _allow_many_connections()
    announce = _Announcement(settings, listener)
    try:
        if settings.multi_model:
            from clary.runtime.inference.multi_model import serve_many

            return serve_many(settings, listener, announce)
        if settings.workers == 1:
            return work(settings, source, listener, announce)
        return supervise(settings.workers, lambda ready: work(settings, source, listener, ready), announce)
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
        listener.listen(BACKLOG)
        return listener
    return socket.create_server((settings.host, settings.port), backlog=BACKLOG)


def _allow_many_connections() -> None:
    """Each connection is a file, of which processes may at first open few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard != resource.RLIM_INFINITY else max(soft, 65536), hard))


class _Announcement:
    """Says where the server listens, on stderr and in the ready file, when called."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        self._settings = settings
        self._listener = listener

    def __call__(self) -> None:
        settings = self._settings
        place = settings.unix_socket or str(self._listener.getsockname()[1])
        what = "models" if settings.multi_model else ml_paths().model
        where = settings.unix_socket or f"{settings.host}:{place}"
        print(f"serving {what} on {where}", file=sys.stderr, flush=True)
        if settings.ready_file:
            unfinished = settings.ready_file.with_name(settings.ready_file.name + ".unfinished")
            unfinished.write_text(f"{place}\n")
            unfinished.rename(settings.ready_file)


def work(settings: Settings, source: Path | None, listener: socket.socket, ready: Callable[[], None]) -> int:
    """Serve one model on `listener` until SIGTERM; return the exit code. `ready` is called once it is loaded."""

    async def main() -> int:
        app = App(settings)
        async with listening(settings, listener, app) as stopped:
            try:
                loading = _in_thread(lambda: load_model(ml_paths().model, source))
                stopping = asyncio.ensure_future(stopped.wait())
                waiting: list[asyncio.Future[Any]] = [loading, stopping]
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                if stopped.is_set():
                    return 0
                app.serve(loading.result())
            except BaseException as error:
                if not isinstance(error, CustomerError):
                    traceback.print_exception(error)
                print(f"cannot load the model: {error}", file=sys.stderr, flush=True)
                if not isinstance(error, Exception | SystemExit):
                    raise
                return 1
            ready()
            return await _until_stopped(stopped, app.calls.hung if app.calls and settings.workers > 1 else None)

    return run(main())


def _in_thread(call: Callable[[], Model]) -> asyncio.Future[Model]:
    """The outcome of `call` in a thread that keeps nobody from leaving, however long it takes."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[Model] = loop.create_future()

    def work() -> None:
        try:
            tell = partial(outcome.set_result, call())
        except BaseException as error:
            tell = partial(outcome.set_exception, error if not isinstance(error, StopIteration) else survived(error))
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(tell)

    threading.Thread(target=work, name="load", daemon=True).start()
    return outcome


async def _until_stopped(stopped: asyncio.Event, hung: asyncio.Event | None) -> int:
    """0 once stopped; 1 once the model hangs, where there is a supervisor who puts another process in place."""
    waiting = [asyncio.ensure_future(event.wait()) for event in (stopped, hung) if event is not None]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for one in waiting:
        one.cancel()
    if stopped.is_set():
        return 0
    print("the model hangs; this worker makes room for another", file=sys.stderr, flush=True)
    return 1


@contextlib.asynccontextmanager
async def listening(
    settings: Settings, listener: socket.socket, handler: Callable[[Exchange], None]
) -> AsyncIterator[asyncio.Event]:
    """Answer connections by `handler` meanwhile; afterwards finish what is under way. The event is set by SIGTERM."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    face = Face(handler, max_body=settings.max_body, stall_seconds=settings.timeout_seconds)
    sweeping = asyncio.create_task(face.sweep())
    if listener.family == getattr(socket, "AF_UNIX", None):
        server = await loop.create_unix_server(lambda: Connection(face), sock=listener, backlog=BACKLOG)
    else:
        server = await loop.create_server(lambda: Connection(face), sock=listener, backlog=BACKLOG)
    try:
        yield stopped
    finally:
        server.close()
        await face.drain(GRACE_SECONDS)
        sweeping.cancel()


def run(main: Coroutine[Any, Any, int]) -> int:
    """Run `main` on the fastest loop there is."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)

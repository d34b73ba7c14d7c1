"""The processes below the supervisor: what a gateway, a controller and a carrier do from start to end.

Each is forked from the supervisor, ends with it, and is told by its title: `clary gateway of HOME`.
"""

import asyncio
import ctypes
import gc
import logging
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import setproctitle
import uvicorn
import uvloop

from clary.executors.process import ProcessExecutor
from clary.gateway.app import Gateway
from clary.kernel.core.settings import Settings
from clary.kernel.events import Alarm
from clary.kernel.reconcile import Loop, Reconciler
from clary.kernel.rooms import CARRIER, CONTROLLER, Platform, Registry
from clary.server import home
from clary.server.protocol import Connection

_PR_SET_PDEATHSIG = 1
_GRACEFUL_SECONDS = 5
_TURN_SECONDS = 60.0
_MOST_FILES = 65_536
_FIRST_WARM = "python:xgboost,pandas"


def run_gateway(settings: Settings, listener: socket.socket, endpoint: str) -> None:
    """Answer requests on `listener` until SIGTERM."""
    _allow_files()
    platform = Platform(settings)
    if settings.ephemeral:
        platform.executor = ProcessExecutor(settings.home)  # a reset ends what runs
    gateway = Gateway(platform, endpoint)
    config = uvicorn.Config(
        gateway,
        http=Connection,  # uvicorn takes any protocol that is made like its own
        loop="uvloop",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        ws="none",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_GRACEFUL_SECONDS,
        backlog=2048,
    )
    server = uvicorn.Server(config)
    # uvicorn raises the signal that ended it once more, and what is held in memory is still to be written then.
    signal.signal(signal.SIGTERM, lambda *_: setattr(server, "should_exit", True))

    async def serve() -> None:
        platform.loop = asyncio.get_running_loop()
        await server.serve([listener])

    len(platform.registry.handlers)  # gathered now, so that the first request does not pay for it
    gc.collect()
    gc.freeze()
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(serve())
    platform.close()


def run_controller(settings: Settings) -> None:
    """Run the reconcilers of this home until SIGTERM. Waits for its turn when another controller is active."""
    with home.hold(settings.home, "controller", _TURN_SECONDS):
        platform = Platform(settings)
        executor = ProcessExecutor(settings.home, warm=settings.warm_interpreters)
        executor.prepare(((settings.account, _FIRST_WARM),) if settings.warm_interpreters else ())
        platform.executor = executor
        platform.at_close(executor.close)
        _reconcile(platform, CONTROLLER)


def run_carrier(settings: Settings) -> None:
    """Move users' data between systems until SIGTERM. Waits for its turn when another carrier is active."""
    _allow_files()
    with home.hold(settings.home, "carrier", _TURN_SECONDS):
        _reconcile(Platform(settings), CARRIER)


def _reconcile(platform: Platform, process: str) -> None:
    """Run the reconcilers of a process, beside an event loop for the handlers that they call; close the platform."""
    len(platform.registry.handlers)  # gathered now, so that the first call of a reconciler does not pay for it
    alarm = Alarm(platform.settings.home, process)
    reconcilers = [
        Reconciler(period.topic, lambda key, run=run: run(platform, key), period.every_seconds)  # type: ignore[misc]
        for period, run in platform.registry.reconcilers
        if period.process == process
    ]
    loop = Loop(reconcilers, alarm, platform.clock)
    signal.signal(signal.SIGTERM, lambda *_: loop.stop())
    with _event_loop() as platform.loop:
        loop.run()
        alarm.close()
        platform.close()


@contextmanager
def _event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop in a thread of its own."""
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True, name="event-loop")
    thread.start()
    yield loop
    asyncio.run_coroutine_threadsafe(_end_tasks(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


async def _end_tasks() -> None:
    """Cancel what still runs on this loop, and let it end."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), _GRACEFUL_SECONDS)


def _allow_files() -> None:
    """Let this process have as many files and connections as it may; by default it is often but 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _die_with(parent: int) -> None:
    """Ask the kernel to end this process when the supervisor dies; where it cannot, watch for it.

    The supervisor may have died since it started this process: then it is not our parent any more.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)
        return

    def watch() -> None:
        pause = threading.Event()
        while os.getppid() == parent:
            pause.wait(1.0)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name="parent-watch").start()


def load() -> None:
    """Import what these processes need, so that none of them has to after it was forked from this one."""
    registry = Registry()
    len(registry.handlers)
    len(registry.reconcilers)


def be(role: str, settings: Settings, supervisor: int, listener: socket.socket, endpoint: str) -> None:
    """Be a gateway, a controller or a carrier until SIGTERM, in a process forked for it."""
    setproctitle.setproctitle(f"clary {role} of {settings.home}")
    logging.basicConfig(
        level=logging.INFO, format=f"%(asctime)s {role} %(levelname)s %(name)s: %(message)s", force=True
    )
    os.environ.update(settings.environment())  # for what this process starts
    _die_with(supervisor)
    if role == "gateway":
        run_gateway(settings, listener, endpoint)
    elif role == "controller":
        run_controller(settings)
    else:
        run_carrier(settings)

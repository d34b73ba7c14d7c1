"""The peers: installed by the benchmark into an environment of their own, started on free ports, ended with it."""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

PACKAGES = ("aiohttp", "fastapi", "uvicorn[standard]", "moto[server,s3]", "ministack", "numpy", "xgboost-cpu", "orjson")
APPS = Path(__file__).parent / "apps"

_START_SECONDS = 60.0


def cache() -> Path:
    """Where environments of peers are kept from one run to the next."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "clary-benchmarks"


def environment(name: str = "peers", packages: tuple[str, ...] = PACKAGES) -> Path:
    """The `bin` folder of an environment that has these packages, made when it is not there or has others."""
    folder = cache() / name
    stamp = folder / "packages.txt"
    wanted = "\n".join((sys.version, *packages))
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing {', '.join(packages)} for comparison (once) ...", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
        subprocess.run(
            [uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), *packages], check=True
        )
        stamp.write_text(wanted)
    return folder / "bin"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def started(command: list[str], port: int, **variables: str) -> Iterator[int]:
    """Run a server until the block ends; yield its process id once its port answers."""
    process = subprocess.Popen(
        command,
        env=os.environ | variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait_for(port, process)
        yield process.pid
    finally:
        with ExitStack() as stack:
            for child in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []:
                stack.callback(_kill, child)
            process.kill()
            process.wait()


@contextmanager
def asgi(app: str, **variables: str) -> Iterator[tuple[int, int]]:
    """One of the apps in `apps/` on one uvicorn process; yields its port and process id."""
    port = free_port()
    command = [
        str(environment() / "uvicorn"),
        *("--app-dir", str(APPS), "--port", str(port), "--log-level", "error", "--no-access-log", app),
    ]
    with started(command, port, **variables) as pid:
        yield port, pid


@contextmanager
def moto() -> Iterator[tuple[int, int]]:
    """moto's server; yields its port and process id."""
    port = free_port()
    with started([str(environment() / "moto_server"), "-p", str(port)], port) as pid:
        yield port, pid


@contextmanager
def ministack() -> Iterator[tuple[int, int]]:
    """ministack; yields its port and process id."""
    port = free_port()
    with started([str(environment() / "ministack")], port, GATEWAY_PORT=str(port)) as pid:
        yield port, pid


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline, pause = time.monotonic() + _START_SECONDS, threading.Event()
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        pause.wait(0.05)
    raise RuntimeError(f"{process.args} did not open port {port}")


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return

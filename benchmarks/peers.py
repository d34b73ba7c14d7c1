"""The peers: installed by the benchmark into an environment of their own, started on free ports, ended with it."""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

import psutil

from benchmarks.compare import tree

PACKAGES = (
    "aiohttp",
    "fastapi",
    "uvicorn[standard]",
    "moto[server,s3,firehose]",
    "ministack",
    "numpy",
    "xgboost-cpu",
    "orjson",
)
APPS = Path(__file__).parent / "apps"

_START_SECONDS = 60.0
_WORDS = 2000


def cache() -> Path:
    """Where environments of peers are kept from one run to the next."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "clary-benchmarks"


def environment(name: str = "peers", packages: tuple[str, ...] = PACKAGES, *, without: str = "") -> Path:
    """The `bin` folder of an environment that has these packages, made when it is not there or has others.

    `without` names one that they require and do not get, because another of them stands in for it.
    """
    folder = cache() / name
    stamp = folder / "packages.txt"
    wanted = "\n".join((sys.version, *packages))
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing {', '.join(packages)} for comparison (once) ...", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
        install = [uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), *packages]
        if without:
            override = folder / "without.txt"
            override.write_text(f"{without}; python_version < '3'\n")
            install += ["--overrides", str(override)]
        subprocess.run(install, check=True)
        stamp.write_text(wanted)
    return folder / "bin"


def node_environment(name: str, packages: tuple[str, ...]) -> Path:
    """The `bin` folder of an environment of Node with these packages, made when it is not there or has others."""
    folder = cache() / name
    stamp = folder / "packages.txt"
    wanted = "\n".join(packages)
    if not stamp.exists() or stamp.read_text() != wanted:
        npm = shutil.which("npm")
        if npm is None:
            raise RuntimeError(f"npm, which is part of Node.js, is needed to install {', '.join(packages)}")
        print(f"installing {', '.join(packages)} for comparison (once) ...", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        install = [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), *packages]
        subprocess.run(install, check=True)
        stamp.write_text(wanted)
    return folder / "node_modules" / ".bin"


def versions(folder: Path, names: Sequence[str]) -> str:
    """The installed versions of some packages of an environment, for people to read."""
    look = "import sys; from importlib.metadata import version; print(*(f'{n} {version(n)}' for n in sys.argv[1:]))"
    command = [str(folder / "python"), "-c", look, *names]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def running(command: list[str], *, folder: Path | None = None, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the block ends, and end with it all that it started. The last words of one that ended before
    are shown."""
    with TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is not None:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _WORDS))
                print(f"{command[0]} ended, saying:\n{log.read().decode(errors='replace')}", file=sys.stderr)
            _end(process)


@contextmanager
def started(command: list[str], port: int, **variables: str) -> Iterator[int]:
    """Run a server until the block ends; yield its process id once its port answers."""
    with running(command, **variables) as process:
        _wait_for(port, process)
        yield process.pid


@contextmanager
def asgi(app: str, **variables: str) -> Iterator[tuple[int, int]]:
    """One of the apps in `apps/` on one uvicorn process; yields its port and process id."""
    port = free_port()
    with started(uvicorn(app, port), port, **variables) as pid:
        yield port, pid


def uvicorn(app: str, port: int, *options: str) -> list[str]:
    """The command that serves one of the apps in `apps/`."""
    command = [str(environment() / "uvicorn"), "--app-dir", str(APPS), "--port", str(port)]
    return [*command, "--log-level", "error", "--no-access-log", *options, app]


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


@contextmanager
def kinesalite() -> Iterator[tuple[int, int]]:
    """kinesalite; yields its port and process id."""
    port = free_port()
    command = [str(node_environment("kinesalite", ("kinesalite",)) / "kinesalite"), "--port", str(port)]
    with started([*command, "--createStreamMs", "10"], port) as pid:
        yield port, pid


@contextmanager
def kinesis_mock() -> Iterator[tuple[int, int]]:
    """kinesis-mock, which npm calls kinesis-local; yields its port and process id."""
    port = free_port()
    variables = {"KINESIS_MOCK_PLAIN_PORT": str(port), "KINESIS_MOCK_TLS_PORT": str(free_port()), "LOG_LEVEL": "ERROR"}
    folder = node_environment("kinesis-mock", ("kinesis-local",))
    package = folder.parent / "kinesis-local"  # it looks for its certificate where it is started
    with running([str(folder / "kinesis-local")], folder=package, **variables) as process:
        _wait_for(port, process)
        yield port, process.pid


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline, pause = time.monotonic() + _START_SECONDS, threading.Event()
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        pause.wait(0.05)
    raise RuntimeError(f"{process.args} did not open port {port}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a program and all that it started: its descendants, and whatever has stayed in its session."""
    session, pause = process.pid, threading.Event()
    while True:
        mine = {*tree(session)(), *(pid for pid in psutil.pids() if _session_of(pid) == session)}
        killed = [pid for pid in sorted(mine) if _kill(pid)]
        process.wait()
        if not killed:
            return
        pause.wait(0.01)


def _session_of(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def _kill(pid: int) -> bool:
    """Kill a process; False if there is none, or only its remains."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        process.kill()
    except psutil.NoSuchProcess:
        return False
    return True

"""`warm`: import heavy modules ahead of time, then become the job that one JSON line describes.

`import xgboost` takes seconds; a job that is given to an interpreter which has done it starts in milliseconds.
"""

import importlib
import json
import os
import sys

from clary.runtime.entry import main


def warm(argv: list[str]) -> int:
    """`[--preload a,b] [FIFO]`: preload, read one line from the FIFO or fd 0, then run its command."""
    modules, fifo = _arguments(argv)
    for module in modules:
        importlib.import_module(module)
    ready = os.environ.get("CLARY_READY_FILE")
    if ready:
        open(ready, "w").close()
    line = _read_line(fifo)
    if not line:
        return 0
    order = json.loads(line)
    _become(order)
    return main(list(order["argv"]))


def _arguments(argv: list[str]) -> tuple[list[str], str | None]:
    modules: list[str] = []
    rest = list(argv)
    if rest[:1] == ["--preload"] and len(rest) > 1:
        modules = [module for module in rest[1].split(",") if module]
        rest = rest[2:]
    if len(rest) > 1 or any(argument.startswith("-") for argument in rest):
        raise SystemExit("usage: python -m clary.runtime warm [--preload MODULE,...] [FIFO]")
    return modules, rest[0] if rest else None


def _read_line(fifo: str | None) -> bytes:
    """The first line of the FIFO or of fd 0; afterwards fd 0 is /dev/null, as for any job."""
    descriptor = os.open(fifo, os.O_RDONLY) if fifo else 0
    line = b""
    while b"\n" not in line and (chunk := os.read(descriptor, 65536)):
        line += chunk
    if fifo:
        os.close(descriptor)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return line.partition(b"\n")[0]


def _become(order: dict[str, object]) -> None:
    """Take on the order's output files, environment and directory, as if started with them."""
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        path = order.get(name)
        if path:
            opened = os.open(str(path), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            os.dup2(opened, descriptor)
            os.close(opened)
    environment = order.get("env")
    if isinstance(environment, dict):
        os.environ.clear()
        os.environ.update(environment)
        _follow_pythonpath()
    cwd = order.get("cwd")
    if cwd:
        os.chdir(str(cwd))


def _follow_pythonpath() -> None:
    """The interpreter read PYTHONPATH when it started; put what the job's names where it would have been."""
    added = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry and entry not in sys.path]
    sys.path[1:1] = added

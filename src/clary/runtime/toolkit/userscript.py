"""Run the user's program: Python in this interpreter, anything else as a child process.

Running Python here keeps what a warm interpreter has imported. To the script it looks like `python script.py`.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

from clary.runtime import failure
from clary.runtime.ending import spare_what_is_loaded
from clary.runtime.paths import MlPaths
from clary.runtime.toolkit.execution import execute, without_our_frames

TAIL = 2000


def run(paths: MlPaths, source: Path, program: str, arguments: list[str]) -> int:
    """Run `program` in its directory; return its exit code, having written the failure file unless that is 0."""
    os.chdir(source)
    file = source / program
    if file.is_file() and file.suffix == ".py":
        return _in_process(paths, program, arguments, lambda: execute(str(file)))
    if file.is_file():
        return _child(paths, _command(file), program, arguments)
    return _in_process(paths, program, arguments, lambda: _execute_module(program, source))


def _command(file: Path) -> list[str]:
    if file.suffix == ".sh" or not os.access(file, os.X_OK):
        return [shutil.which("bash") or "/bin/sh", str(file)]
    return [str(file)]


def _execute_module(name: str, source: Path) -> None:
    import runpy

    sys.path.insert(0, str(source))
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def _in_process(paths: MlPaths, program: str, arguments: list[str], execute: Callable[[], None]) -> int:
    sys.argv = [program, *arguments]
    spare_what_is_loaded()
    try:
        execute()
    except SystemExit as stop:
        return _exit_code(paths, program, stop.code)
    except KeyboardInterrupt:
        return _exit_code(paths, program, 128 + signal.SIGINT)
    except BaseException as error:
        error = without_our_frames(error)
        traceback.print_exception(error)
        failure.record(paths, failure.describe(error))
        return 1
    return 0


def _exit_code(paths: MlPaths, program: str, code: object) -> int:
    """What `sys.exit(code)` means: None and integers as they are, anything else is printed and means 1."""
    if code is None or code == 0:
        return 0
    if isinstance(code, int):
        failure.record(paths, f"{program} exited with code {code}")
        return code & 0xFF or 1
    print(code, file=sys.stderr, flush=True)
    failure.record(paths, f"{program} exited: {code}")
    return 1


def _child(paths: MlPaths, command: list[str], program: str, arguments: list[str]) -> int:
    """Run a child that gets our SIGTERM; keep the end of its stderr for the failure file."""
    children: list[subprocess.Popen[bytes]] = []
    early: list[int] = []

    def forward(number: int, _: object) -> None:
        if children:
            children[0].send_signal(number)
        else:
            early.append(number)

    signal.signal(signal.SIGTERM, forward)
    signal.signal(signal.SIGINT, forward)
    child = subprocess.Popen([*command, *arguments], stderr=subprocess.PIPE)
    children.append(child)
    for received in early:
        child.send_signal(received)
    tail = bytearray()
    copier = threading.Thread(target=_copy_stderr, args=(child, tail), daemon=True)
    copier.start()
    code = child.wait()
    # A process that the script left behind may hold the pipe open; the child's own words are in it by now.
    copier.join(timeout=2)
    if code == 0:
        return 0
    said = bytes(tail).decode(errors="replace").strip()
    reason = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
    failure.record(paths, f"{program} {reason}" + (f"\n\n{said}" if said else ""))
    return 128 - code if code < 0 else code


def _copy_stderr(child: "subprocess.Popen[bytes]", tail: bytearray) -> None:
    assert child.stderr is not None
    while chunk := os.read(child.stderr.fileno(), 65536):
        sys.stderr.buffer.write(chunk)
        sys.stderr.buffer.flush()
        tail += chunk
        del tail[:-TAIL]

"""Stand between a shim and a program that no sandbox confines, so that nothing of the program outlives the shim.

Run as a script, with the standard library only:  python -I -S guard.py LIFELINE STATUS PROGRAM ARGUMENTS...

LIFELINE is a pipe that reaches its end when the shim closes it or dies: then everything is killed. STATUS gets the
program's pid. Orphans of the program become children of the guard, which sweeps them when the program ended, and
ends with the program's exit code.
"""

import contextlib
import ctypes
import os
import select
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LINUX = sys.platform == "linux"
_CHILDREN = "/proc/thread-self/children"


def main(lifeline: int, status: int, command: list[str]) -> int:
    if _LINUX:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    wake, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    program = _start(lifeline, status, command)
    os.write(status, f"{program}\n".encode())
    os.close(status)
    code: int | None = None
    while code is None:
        ready, _, _ = select.select([lifeline, wake], [], [])
        if wake in ready:
            os.read(wake, 4096)
        code = _reap(program)
        if lifeline in ready and code is None:
            code = 128 + signal.SIGKILL
    _sweep(program)
    return code


def _start(lifeline: int, status: int, command: list[str]) -> int:
    guard = os.getpid()
    program = os.fork()
    if program:
        return program
    try:
        os.setsid()
        os.close(lifeline)
        os.close(status)
        for changed in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):  # the last two Python ignores
            signal.signal(changed, signal.SIG_DFL)
        if _LINUX:
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != guard:
                os._exit(1)
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def _reap(program: int) -> int | None:
    """Collect whoever ended; the exit code of the program when it is among them."""
    code = None
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == program:
                code = os.waitstatus_to_exitcode(ended[1])
                code = 128 - code if code < 0 else code
    return code


def _sweep(program: int) -> None:
    """Kill what is left, until nothing is: who is killed may leave orphans, who come to us."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(program, signal.SIGKILL)
    while os.path.exists(_CHILDREN):
        for child in _children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _children() -> list[int]:
    with open(_CHILDREN) as file:
        return [int(pid) for pid in file.read().split()]


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))

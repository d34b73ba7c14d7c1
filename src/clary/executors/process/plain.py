"""Run a host as an ordinary process, where bubblewrap is missing: nothing is confined, but nothing is left behind.

/opt/ml is the host's folder, told by CLARY_ML_ROOT; that prefix is also replaced in the command line, the environment
and the configuration files. Isolation that was asked for is refused, never pretended.
"""

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

from clary.executors.process import guard, layout, signals
from clary.kernel.jobs.contract import ML_ROOT, HostSpec
from clary.kernel.jobs.folder import HostFolder
from clary.kernel.jobs.sandbox import SandboxFault

_ML_PATH = re.compile(rf"(?<![\w/.-]){re.escape(ML_ROOT)}(?![\w.-])")


class PlainProcess:
    """A program and its guard. Closing the lifeline, as our death does, has the guard kill all of it."""

    def __init__(self, popen: subprocess.Popen[bytes], lifeline: int, program: int, ml: str) -> None:
        self.ml = ml
        self._popen = popen
        self._lifeline = lifeline
        assert popen.stdout is not None
        assert popen.stderr is not None
        self.pid = program
        self.stdout = popen.stdout.fileno()
        self.stderr = popen.stderr.fileno()

    def wait(self) -> int:
        code = self._popen.wait()
        if code < 0:  # somebody killed the guard, and its orphans came to us
            signals.sweep()
        return 128 - code if code < 0 else code

    def terminate(self) -> bool:
        if self._popen.poll() is None:
            signals.terminate(self.pid)
        return True

    def kill(self) -> None:
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    def remark(self) -> str:
        return ""

    def close(self) -> None:
        self._popen.wait()


class PlainSandbox:
    """Makes unconfined processes; the name says what it stands in for."""

    read_only_views = False

    def launch(self, spec: HostSpec, folder: HostFolder) -> PlainProcess:
        if not spec.network:
            raise SandboxFault(
                "Network isolation was asked for, and this machine cannot give it: install bubblewrap (bwrap)."
            )
        signals.adopt_orphans()
        layout.make_box(folder.box)
        layout.working_folder(spec, folder)
        roots = {name: str(folder.box / name) for name in ("env", "home", "tmp", "ml")}
        roots["cache"] = str(layout.account_cache(folder.home, spec.account))
        if spec.socket:  # the server must bind it there, and a longer path would not do as an address
            roots["ml"] = str(folder.door)
        place = roots["ml"]
        _translate_files(spec, folder.ml, place)
        environment = {name: _translate(value, place) for name, value in layout.environment(spec, roots).items()}
        gpus = ",".join(map(str, spec.resources.gpus))
        argv = [_translate(argument, place) for argument in spec.argv]
        return _start(argv, {"CUDA_VISIBLE_DEVICES": gpus} | environment, _translate(spec.cwd, place), place)


def _start(argv: list[str], environment: dict[str, str], cwd: str, ml: str) -> PlainProcess:
    lifeline_read, lifeline = os.pipe()
    status, status_write = os.pipe()
    guarded = [sys.executable, "-I", "-S", guard.__file__, str(lifeline_read), str(status_write), *argv]
    try:
        popen = subprocess.Popen(
            guarded,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(lifeline_read, status_write),
            env=environment,
            cwd=cwd,
            start_new_session=True,
        )
    except OSError as error:
        raise SandboxFault(f"The process could not be started in {cwd}: {error}.") from error
    finally:
        os.close(lifeline_read)
        os.close(status_write)
    with open(status) as file:
        told = file.read()
    return PlainProcess(popen, lifeline, int(told) if told else popen.pid, ml)


def _translate(text: str, place: str) -> str:
    return _ML_PATH.sub(place.replace("\\", r"\\"), text)


def _translate_files(spec: HostSpec, ml: Path, place: str) -> None:
    for path, text in spec.files.items():
        translated = _translate(text, place)
        if translated != text:
            with contextlib.suppress(FileNotFoundError):
                (ml / path).write_text(translated)

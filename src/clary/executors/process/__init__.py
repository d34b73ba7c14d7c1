"""Hosts as processes of this machine: sandboxed by bubblewrap, or plain where that is missing.

`start` writes the host's folder and asks the nursery for a shim; without a nursery it starts one the slow way. All
that is known of a host is in its folder, so any process of the home may ask.
"""

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

from clary.executors.process import memory, python_environment
from clary.executors.process.bubblewrap import unavailable
from clary.executors.process.warm import WarmKey, suitable
from clary.kernel.events import socket_path
from clary.kernel.jobs.contract import Capability, HostSpec, Observation
from clary.kernel.jobs.folder import HostFolder, hosts

_NURSERY = "clary.executors.process.nursery"
_ENTRY = "clary.executors.process.entry"
_PATIENCE_SECONDS = 2.0


class ProcessExecutor:
    """The executor of one home. `plain` does without bubblewrap where it works; `warm` keeps interpreters ready."""

    def __init__(self, home: Path, *, plain: bool = False, warm: bool = True) -> None:
        self._home = home.absolute()
        self._flags = ["--plain"] if plain else []
        self._plain = plain
        self._warm = warm and not plain
        self._nursery: subprocess.Popen[bytes] | None = None
        self._preparing = threading.RLock()

    def start(self, spec: HostSpec) -> None:
        folder = HostFolder(self._home, spec.job, spec.host)
        if not folder.create(spec):
            if folder.saved() is not None:
                return
            folder.ask_again()
        key = suitable(spec) if self._warm else None
        if not self._ask({"job": spec.job, "host": spec.host} | _key_members(key)):
            self._start_slowly(spec.job, spec.host)
            self._heal_nursery()

    def observe(self, job: str, host: str) -> Observation | None:
        return HostFolder(self._home, job, host).observe()

    def stop(self, job: str, host: str) -> None:
        HostFolder(self._home, job, host).request_stop()

    def hosts(self) -> list[tuple[str, str]]:
        return list(hosts(self._home))

    def forget(self, job: str, host: str) -> None:
        HostFolder(self._home, job, host).remove()

    def end_all(self, *, forget: bool = False) -> int:
        ended = 0
        for job, host in hosts(self._home):
            folder = HostFolder(self._home, job, host)
            ended += folder.kill()
            if forget:
                folder.remove()
        memory.sweep(self._home)
        return ended

    def prepare(self, warm: tuple[tuple[str, str], ...] = ()) -> None:
        """Start the nursery, and have it warm up interpreters: (account, "python:xgboost") each."""
        with self._preparing:
            if self._nursery is not None and self._nursery.poll() is not None:
                self.close()
            if self._nursery is None:
                socket_path(self._home, "nursery").parent.mkdir(parents=True, exist_ok=True)
                command = [sys.executable, "-m", _NURSERY, str(self._home), *self._flags]
                self._nursery = subprocess.Popen(command, stdin=subprocess.PIPE)
            assert self._nursery.stdin is not None
            for account, what in warm:
                request = _key_members(WarmKey.parse(account, what))
                self._nursery.stdin.write(json.dumps(request).encode() + b"\n")
            self._nursery.stdin.flush()

    def close(self) -> None:
        with self._preparing:
            if self._nursery is not None:
                self._nursery.communicate()
                self._nursery = None

    def capabilities(self) -> list[Capability]:
        refusal = unavailable()
        return [
            Capability(
                "sandbox",
                not (refusal or self._plain),
                refusal or ("switched off" if self._plain else "jobs are confined by bubblewrap"),
                "install bubblewrap, and allow it to create namespaces" if refusal else "",
            ),
            Capability(
                "pip in jobs",
                python_environment.has_pip(),
                "jobs can install requirements" if python_environment.has_pip() else "no pip and no ensurepip found",
                "" if python_environment.has_pip() else "install pip into the platform's environment",
            ),
            self._memory_capability(),
        ]

    def _heal_nursery(self) -> None:
        """Start the nursery again when it was ours and died."""
        with self._preparing:
            died = self._nursery is not None and self._nursery.poll() is not None
        if died:
            self.prepare()

    def _memory_capability(self) -> Capability:
        if memory.available() and not self._plain:
            return Capability("memory limits", True, "a job may use the memory of its instance type")
        return Capability(
            "memory limits",
            False,
            "a job's memory is counted when it is placed, and not limited while it runs",
            "let Clary make control groups: run it in a systemd user session, or as root",
        )

    def _ask(self, request: dict[str, object]) -> bool:
        """Whether a nursery has taken care of it."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(_PATIENCE_SECONDS)
                connection.connect(str(socket_path(self._home, "nursery")))
                connection.sendall(json.dumps(request).encode() + b"\n")
                return connection.recv(16) == b"ok\n"
        except OSError:
            return False

    def _start_slowly(self, job: str, host: str) -> None:
        """A shell leaves the shim to itself at once, so that it never becomes a zombie of ours."""
        command = [sys.executable, "-m", _ENTRY, str(self._home), job, host, *self._flags]
        errors = os.open(HostFolder(self._home, job, host).shim_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            subprocess.run(
                ["/bin/sh", "-c", '"$@" &', "sh", *command],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                check=True,
                start_new_session=True,
            )
        finally:
            os.close(errors)


def _key_members(key: WarmKey | None) -> dict[str, object]:
    return {"account": key.account if key else "", "modules": list(key.modules) if key else None}

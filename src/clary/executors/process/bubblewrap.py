"""Confine a host with bubblewrap: it sees a read-only system, its own folder as /opt/ml, and nothing of the platform.

The root is an empty filesystem into which only what is needed is mounted: the system's folders, the interpreter,
the host's own folders. Home folders, other jobs and the platform's own data are simply not there.
Process ids, IPC and the host name are the host's own, the network too when it is isolated. All of it dies with the
shim.
"""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from clary.executors.process import layout, signals
from clary.executors.process.isolation import shared_network
from clary.executors.process.memory import MemoryGroup
from clary.kernel.jobs import confinement
from clary.kernel.jobs.contract import ML_ROOT, HostSpec, InputMode
from clary.kernel.jobs.folder import HostFolder
from clary.kernel.jobs.sandbox import SandboxFault

ROOTS = {
    "env": f"{layout.PLATFORM_ROOT}/env",
    "home": f"{layout.PLATFORM_ROOT}/home",
    "cache": f"{layout.PLATFORM_ROOT}/cache",
    "tmp": "/tmp",
    "ml": ML_ROOT,
}
# What a container's root user may do by custom: handle files of any owner, and become another user.
_CAPABILITIES = ("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_SETGID", "CAP_SETUID", "CAP_KILL")
_GPU_CONTROL = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset")
_CHECK_SECONDS = 60  # who gives up too early runs jobs unconfined


@cache
def unavailable() -> str:
    """Why bubblewrap cannot be used here; empty when it can. Looked up once by really making a sandbox."""
    program = shutil.which("bwrap")
    if program is None:
        return "bubblewrap (bwrap) is not installed"
    with tempfile.TemporaryDirectory() as name:
        box = Path(name)
        layout.make_box(box)
        made = arguments(box, box / "home", hidden=box / "etc", hostname="check", network=False)
        python = f"{ROOTS['env']}/bin/python"
        command = [program, *made, "--", python, "-c", "import os; os.listdir('/opt/ml')"]
        try:
            tried = subprocess.run(command, capture_output=True, text=True, timeout=_CHECK_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"bubblewrap cannot run: {error}"
    return "" if tried.returncode == 0 else f"bubblewrap cannot make a sandbox here: {tried.stderr.strip()}"


class BubblewrapProcess:
    """One sandbox. Killing the bubblewrap that made it kills all that is inside."""

    ml = ML_ROOT

    def __init__(self, popen: subprocess.Popen[bytes], first: int, group: MemoryGroup) -> None:
        self._popen = popen
        self._first = first
        self._group = group
        assert popen.stdout is not None
        assert popen.stderr is not None
        self.pid = first
        self.stdout = popen.stdout.fileno()
        self.stderr = popen.stderr.fileno()

    def wait(self) -> int:
        code = self._popen.wait()
        return 128 - code if code < 0 else code

    def alive(self) -> bool:
        return self._popen.poll() is None

    def terminate(self) -> bool:
        """The sandbox's first process is bubblewrap's own, which reaps and hears no SIGTERM; the program is its child,
        which is not there before the sandbox is whole."""
        programs = signals.children(self._first) if self.alive() else []
        for program in programs:
            signals.terminate(program)
        return bool(programs)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._popen.kill()

    def limit_memory(self, size: int) -> None:
        self._group.limit(size)

    def remark(self) -> str:
        return self._group.remark()

    def close(self) -> None:
        self._group.remove()


class BubblewrapSandbox:
    """Makes sandboxes for hosts of one home."""

    read_only_views = True

    def launch(self, spec: HostSpec, folder: HostFolder) -> BubblewrapProcess:
        layout.make_box(folder.box)
        layout.write_peers(folder.box, spec.peers)
        layout.working_folder(spec, folder)
        made = arguments(
            folder.box,
            layout.account_cache(folder.home, spec.account),
            hidden=folder.home,
            hostname=spec.host,
            network=spec.network or len(spec.peers) > 1,
            gpus=spec.resources.gpus,
            views=[channel.place for channel in spec.channels if channel.mode is InputMode.FAST_FILE],
        )
        for name, value in layout.environment(spec, ROOTS).items():
            made += ["--setenv", name, value]
        made += ["--chdir", spec.cwd]
        group = MemoryGroup(folder.home)
        group.limit(spec.resources.memory_bytes)
        if spec.network or len(spec.peers) < 2:
            return start(made, spec.argv, group)
        with shared_network(folder.path.parent) as (join, tell):
            process = start(made if join else ["--unshare-net", *made], spec.argv, group, prefix=join)
            tell(process.pid)
        return process


def start(
    options: list[str],
    argv: tuple[str, ...],
    group: MemoryGroup,
    *,
    stdin: int = subprocess.DEVNULL,
    prefix: Sequence[str] = (),
) -> BubblewrapProcess:
    """Run `argv` in a new sandbox. The options go over a file, so that no secret shows in the process list."""
    if any("\0" in option for option in options):
        raise SandboxFault("An option of the sandbox has a NUL character in it, where the next would begin.")
    told = os.memfd_create("bubblewrap-arguments")
    os.write(told, b"".join(option.encode() + b"\0" for option in options))
    os.lseek(told, 0, os.SEEK_SET)
    info_read, info_write = os.pipe()
    try:
        popen = subprocess.Popen(
            group.wrap([*prefix, "bwrap", "--args", str(told), "--info-fd", str(info_write), "--", *argv]),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(told, info_write),
            env={"PATH": os.environ.get("PATH", os.defpath)},
            cwd="/",
        )
    finally:
        os.close(told)
        os.close(info_write)
    with open(info_read, "rb") as file:
        info = file.read()
    if not info:
        _, complaint = popen.communicate()
        group.remove()
        raise SandboxFault(f"The sandbox could not be made: {complaint.decode(errors='replace').strip()}")
    return BubblewrapProcess(popen, json.loads(info)["child-pid"], group)


def arguments(
    box: Path,
    cache: Path,
    *,
    hidden: Path,
    hostname: str,
    network: bool,
    gpus: tuple[int, ...] = (),
    views: list[str] | None = None,
) -> list[str]:
    """Options that show `box` and nothing of `hidden`, the platform's home. `views` below /opt/ml are read-only."""
    options = ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--hostname", hostname]
    options += ["--die-with-parent", "--new-session", "--clearenv"]
    if not network:
        options.append("--unshare-net")
    if os.geteuid() == 0:
        options += ["--cap-drop", "ALL"]
        for capability in _CAPABILITIES:
            options += ["--cap-add", capability]
    options += confinement.system()
    options += ["--proc", "/proc", "--dev", "/dev", "--dir", "/run", "--dir", "/var", "--symlink", "/tmp", "/var/tmp"]
    for gpu in gpus:
        options += ["--dev-bind-try", f"/dev/nvidia{gpu}", f"/dev/nvidia{gpu}"]
    for name in _GPU_CONTROL if gpus else ():
        options += ["--dev-bind-try", f"/dev/{name}", f"/dev/{name}"]
    for name in ("env", "home", "tmp", "ml"):
        options += ["--bind", str(box / name), ROOTS[name]]
    options += ["--bind", str(cache), ROOTS["cache"]]
    options += confinement.platform(hidden)  # last, for it may lie below /tmp
    for view in views or ():
        options += ["--ro-bind", str(box / "ml" / view), f"{ML_ROOT}/{view}"]
    return [*options, "--ro-bind", str(box / "etc" / "hosts"), "/etc/hosts"]

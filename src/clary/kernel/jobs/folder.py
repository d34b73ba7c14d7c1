"""The folder of one host: all that its shim, its starter and its observers share.

<home>/jobs/<job>/<host>/
    spec.json    what to run; written whole before the folder appears, never changed
    lock         held by the shim for as long as it lives; holds its pid
    state.json   the latest observation; replaced atomically, the last one durable before it is seen
    stop         exists once somebody asked to stop
    asked        one byte for every time that a shim was asked for again, since none had come
    control      a FIFO that wakes the shim to look for `stop`
    log.txt      what the process printed lately; log.old.txt what it printed before
    shim.log     what went wrong in the shim itself
    box/         what the sandbox sees: ml (/opt/ml), env (the interpreter's environment), tmp, etc
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import signal
import stat
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from clary.kernel.core.clock import SystemClock
from clary.kernel.core.ids import new_id
from clary.kernel.events import socket_path
from clary.kernel.jobs.contract import HostSpec, Observation, Outcome, Phase

START_PATIENCE_SECONDS = 5.0
_LONGEST_PATIENCE_SECONDS = 60.0

_LOST = "The process that looked after this host died, and the host with it. Start a new attempt."


class HostFolder:
    """Reads and writes the folder. Holds no state but, in the shim, the lock."""

    def __init__(self, home: Path, job: str, host: str) -> None:
        self.home = home
        self.job = job
        self.host = host
        self.path = home / "jobs" / job / host
        self.box = self.path / "box"
        self.ml = self.box / "ml"
        self.door = doorway(home, job, host)
        self.models_socket = socket_path(home, f"models-{_short_name(job, host)}")
        self.log = self.path / "log.txt"
        self.shim_log = self.path / "shim.log"
        self.control = self.path / "control"
        self._spec = self.path / "spec.json"
        self._state = self.path / "state.json"
        self._stop = self.path / "stop"
        self._asked = self.path / "asked"
        self._lock = self.path / "lock"
        self._lock_fd: int | None = None

    def create(self, spec: HostSpec) -> bool:
        """Make the folder with its spec; False when it is there already."""
        draft = self.path.parent / f".{self.host}.{new_id()}"
        draft.mkdir(parents=True)
        _write(draft / "spec.json", spec.to_json())
        os.mkfifo(draft / "control")
        try:
            draft.rename(self.path)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
            shutil.rmtree(draft)
            return False
        return True

    def spec(self) -> HostSpec:
        return HostSpec.from_json(self._spec.read_text())

    def created_at(self) -> float:
        return self._spec.stat().st_mtime

    def ask_again(self) -> None:
        """Wait anew for a shim, twice as long as the last time: where none comes since the machine is too busy, further
        ones would only make it busier."""
        with contextlib.suppress(FileNotFoundError):
            with open(self._asked, "ab") as file:
                file.write(b".")
            os.utime(self.path)

    def take(self) -> bool:
        """Become this host's shim. False when there is one already, or was: a host runs once."""
        fd = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not _try_lock(fd) or self._state.exists():
            os.close(fd)
            return False
        os.ftruncate(fd, 0)
        os.write(fd, str(os.getpid()).encode())
        self._lock_fd = fd
        return True

    def save(self, observation: Observation) -> None:
        """Tell what is new. It outlives all our processes; an end outlives the machine's too, while what was known of a
        host that ran is of no use after those."""
        _write(self._state, observation.to_json(), durable=observation.ended)

    def saved(self) -> Observation | None:
        """What the shim wrote last, whether or not it still lives."""
        try:
            return Observation.from_json(self._state.read_text())
        except FileNotFoundError:
            return None
        except ValueError:  # the machine stopped before it was on disk
            return Observation(self.job, self.host, Phase.PENDING)

    def observe(self) -> Observation | None:
        """What the shim wrote last, or that it died before it was done; None when no shim came for long."""
        found = self.saved()
        if found is None:
            return Observation(self.job, self.host, Phase.PENDING) if self._is_awaited() else None
        if found.ended or self._alive():
            return found
        # The shim may have written its last word and left between the two looks above.
        found = self.saved()
        if found is None or found.ended:
            return found
        return _lost(found, self._state.stat().st_mtime)

    def request_stop(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            _write(self._stop, "", durable=True)
            self.poke()

    def open_door(self) -> Path:
        """Make /opt/ml reachable by a path short enough for a socket's address."""
        with contextlib.suppress(FileExistsError):
            self.door.symlink_to(self.ml)
        return self.door

    def poke(self) -> None:
        """Wake the shim, if there is one."""
        with contextlib.suppress(OSError):
            fd = os.open(self.control, os.O_WRONLY | os.O_NONBLOCK)
            try:
                os.write(fd, b"\n")
            finally:
                os.close(fd)

    def stop_requested(self) -> bool:
        return self._stop.exists()

    def kill(self) -> bool:
        """Kill the shim, and with it the host; return whether it lived."""
        found = self.saved()
        lived = found is not None and not found.ended and self._alive()
        self._kill_shim()
        return lived

    def remove(self) -> None:
        """Kill the shim if it lives, and remove all that is kept of the host."""
        self._kill_shim()
        self.door.unlink(missing_ok=True)
        self.models_socket.unlink(missing_ok=True)
        grave = self.home / "jobs" / ".trash"
        grave.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            self.path.rename(grave / new_id())
        with contextlib.suppress(OSError):
            self.path.parent.rmdir()
        empty(grave)

    def _is_awaited(self) -> bool:
        """Whether a shim may still come. Whatever it does first changes the folder, and so begins the wait anew."""
        try:
            waited = SystemClock().now() - self.path.stat().st_mtime
        except FileNotFoundError:
            return False
        return waited < min(START_PATIENCE_SECONDS * (1 << self._times_asked_again()), _LONGEST_PATIENCE_SECONDS)

    def _times_asked_again(self) -> int:
        try:
            return min(self._asked.stat().st_size, 16)
        except FileNotFoundError:
            return 0

    def _alive(self) -> bool:
        """Whether a shim holds the lock. Asked only once it wrote its state, so a look never hinders the taking."""
        try:
            fd = os.open(self._lock, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(fd)
        return False

    def _kill_shim(self) -> None:
        try:
            fd = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            return
        never = threading.Event()
        try:
            while not _try_lock(fd):
                text = os.pread(fd, 32, 0)  # empty for an instant, between the shim's lock and its word
                if text:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(text), signal.SIGKILL)
                never.wait(0.005)
        finally:
            os.close(fd)


def doorway(home: Path, job: str, host: str) -> Path:
    """The link that stands for a host's /opt/ml in addresses of sockets, which must be shorter than 100 bytes."""
    return socket_path(home, f"host-{_short_name(job, host)}").with_suffix("")


def _short_name(job: str, host: str) -> str:
    return hashlib.sha256(f"{job}/{host}".encode()).hexdigest()[:12]


def hosts(home: Path) -> Iterator[tuple[str, str]]:
    """Every (job, host) with a folder below `home`."""
    root = home / "jobs"
    for job in sorted(root.iterdir()) if root.exists() else []:
        if job.name.startswith(".") or not job.is_dir():
            continue
        for host in sorted(job.iterdir()):
            if not host.name.startswith(".") and (host / "spec.json").exists():
                yield job.name, host.name


def empty(folder: Path) -> None:
    """Remove everything in `folder`, also what a job made inaccessible."""
    with contextlib.suppress(FileNotFoundError):
        for child in folder.iterdir():
            try:
                shutil.rmtree(child)
            except OSError:
                _open_up(child)
                shutil.rmtree(child, ignore_errors=True)


def _open_up(folder: Path) -> None:
    """Let ourselves into every folder below; no link is followed."""
    with contextlib.suppress(OSError):
        folder.chmod(stat.S_IRWXU)
    for parent, names, _ in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            if not os.path.islink(path):
                with contextlib.suppress(OSError):
                    os.chmod(path, stat.S_IRWXU)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lost(found: Observation, last_seen: float) -> Observation:
    phases = found.phases | {Phase.ENDED: last_seen}
    return replace(found, phase=Phase.ENDED, phases=phases, outcome=Outcome.LOST, reason=_LOST, healthy=None)


def _write(path: Path, text: str, *, durable: bool = False) -> None:
    """Replace the file, so that a reader sees the old text or the new, whole."""
    draft = path.with_name(f".{path.name}.{new_id()}")
    with open(draft, "w") as file:
        file.write(text)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    draft.rename(path)
    if durable:
        fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

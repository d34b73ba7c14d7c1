"""What a sandbox shows of this machine, as options of bubblewrap: a read-only system and interpreter, no secrets.

The root is an empty filesystem into which only what is needed is mounted. Whoever makes a sandbox adds what is its own.
"""

import contextlib
import os
import site
import stat
import sys
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path

from clary.kernel.core.clock import SystemClock

_SYSTEM_FOLDERS = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "nix", "etc", "sys")
_SECRETS_KNOWN_SECONDS = 60.0


def system() -> list[str]:
    """The system's folders, read-only, with what they keep from ordinary users covered."""
    options = [*_folders()]
    for secret, covered in _secrets(int(SystemClock().monotonic() / _SECRETS_KNOWN_SECONDS)):
        if os.path.exists(secret):
            options += [*covered, secret]
    return options


@cache
def platform(hidden: Path) -> tuple[str, ...]:
    """The interpreter and its packages, wherever they lie, while the platform's home stays hidden."""
    before: list[str] = []
    after: list[str] = []
    for folder in needed_folders():
        around = hidden.is_relative_to(folder)
        if around or hidden in folder.parents or not _is_system(folder):
            (before if around else after).extend(["--ro-bind", str(folder), str(folder)])
    visible = before or _is_system(hidden)
    return (*before, *(["--tmpfs", str(hidden)] if visible else []), *after)


def _is_system(path: Path) -> bool:
    return path.parts[1:2] != () and (path.parts[1] in _SYSTEM_FOLDERS or path.parts[1] == "opt")


@cache
def interpreter() -> Path:
    """The real interpreter behind the platform's own environment."""
    return Path(sys.executable).resolve()


@cache
def package_folders() -> tuple[Path, ...]:
    """Where the platform's packages lie: its site folders, and the folder that Clary itself is imported from."""
    import clary

    found = [Path(folder) for folder in site.getsitepackages()]
    if site.ENABLE_USER_SITE:
        found.append(Path(site.getusersitepackages()))
    found.append(Path(clary.__file__).parents[1])
    found += [Path(entry).absolute() for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    return tuple(dict.fromkeys(folder for folder in found if folder.is_dir()))


def needed_folders() -> tuple[Path, ...]:
    """Every folder of this machine that the environment needs to see, besides the system's."""
    roots = [Path(sys.prefix), Path(sys.base_prefix), interpreter().parent, *package_folders()]
    return tuple(dict.fromkeys(folder for root in roots for folder in (root, root.resolve())))


@cache
def _folders() -> tuple[str, ...]:
    """The system's folders, read-only; and what hangs below /opt, where /opt/ml shall be."""
    options: list[str] = []
    below_opt = [f"opt/{name}" for name in sorted(os.listdir("/opt")) if name != "ml"] if os.path.isdir("/opt") else []
    for name in (*_SYSTEM_FOLDERS, *below_opt):
        path = f"/{name}"
        if os.path.islink(path):
            options += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            options += ["--ro-bind", path, path]
    resolver = os.path.realpath("/etc/resolv.conf")
    if not resolver.startswith("/etc/"):
        options += ["--ro-bind-try", resolver, resolver]
    return tuple(options)


@lru_cache(maxsize=1)
def _secrets(_time: int) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What /etc keeps from ordinary users, and with what to cover it: root in a sandbox may read any file."""
    return tuple(secrets_below("/etc"))


def secrets_below(folder: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The files and folders that not everyone may read."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISREG(mode) and not mode & stat.S_IROTH:
                yield entry.path, ("--ro-bind", "/dev/null")
            elif stat.S_ISDIR(mode) and not (mode & stat.S_IROTH and mode & stat.S_IXOTH):
                yield entry.path, ("--tmpfs",)
            elif stat.S_ISDIR(mode):
                yield from secrets_below(entry.path)

"""The Python environment of one host: a virtual environment that costs a millisecond to make.

It sees all packages of the platform's own environment, and what a job installs (`pip install -r requirements.txt`)
lands in the host's folder and goes before them, so that no job can change the platform or another job.
"""

import importlib.util
import os
import sys
from functools import cache
from pathlib import Path

from clary.kernel.jobs.confinement import interpreter, package_folders

_PIP = '#!/bin/sh\nexec "$(dirname "$0")/python" -m pip "$@"\n'


@cache
def pip_wheel() -> Path | None:
    """The wheel of pip inside the standard library, for a platform environment that has no pip of its own."""
    if importlib.util.find_spec("pip") is not None:
        return None
    bundled = Path(os.__file__).parent / "ensurepip" / "_bundled"
    return next(iter(sorted(bundled.glob("pip-*.whl"))), None)


def has_pip() -> bool:
    return importlib.util.find_spec("pip") is not None or pip_wheel() is not None


def make(folder: Path) -> None:
    """Write the environment into `folder`."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    programs = folder / "bin"
    packages = folder / "lib" / version / "site-packages"
    programs.mkdir(parents=True)
    packages.mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text(
        f"home = {interpreter().parent}\ninclude-system-site-packages = false\nversion = {sys.version.split()[0]}\n"
    )
    (programs / "python").symlink_to(interpreter())
    for name in ("python3", version):
        (programs / name).symlink_to("python")
    for name in ("pip", "pip3"):
        (programs / name).write_text(_PIP)
        (programs / name).chmod(0o755)
    lines = [f"import site; site.addsitedir({str(path)!r})" for path in package_folders()]
    wheel = pip_wheel()
    if wheel is not None:
        lines.append(str(wheel))
    (packages / "clary-platform.pth").write_text("\n".join(lines) + "\n")

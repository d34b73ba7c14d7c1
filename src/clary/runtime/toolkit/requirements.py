"""Install a source directory's requirements.txt once per content, for all jobs that share a cache.

Where a loaded module turns out to be of another version than asked for, as may happen in a warm interpreter, the
command starts again in a fresh one.
"""

import importlib.metadata
import os
import sys
from pathlib import Path

from clary.runtime.toolkit.installing import kept_packages

RESTARTED = "CLARY_REQUIREMENTS_RESTARTED"


def use_requirements(source: Path, *command: str) -> None:
    """Make what `source`/requirements.txt asks for importable here and in child processes.

    Does nothing without the file, or when this environment already satisfies every line of it.
    May not return: `command` (train, serve, ...) is then run again by a fresh interpreter in this process.
    Raises CustomerError, with the installer's last words, when the requirements cannot be installed.
    """
    requirements = source / "requirements.txt"
    if not requirements.is_file() or _satisfied(requirements):
        return
    cache = Path(os.environ.get("CLARY_REQUIREMENTS_CACHE") or source / ".requirements")
    packages = kept_packages(requirements, cache)
    if not os.environ.get(RESTARTED) and _loaded_otherwise(packages):
        os.environ[RESTARTED] = "1"
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, "-m", "clary.runtime", *command])
    sys.path.insert(0, str(packages))
    others = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(packages), *others])
    os.environ["PATH"] = os.pathsep.join([str(packages / "bin"), os.environ.get("PATH", os.defpath)])


def _satisfied(requirements: Path) -> bool:
    """Whether every line is a plain requirement that an installed distribution meets. False when unsure."""
    try:
        from packaging.requirements import InvalidRequirement, Requirement
    except ImportError:
        return False
    for raw in requirements.read_text(encoding="utf-8", errors="replace").splitlines():
        line = raw.split(" #")[0].strip()
        if not line or line.startswith("#"):
            continue
        try:
            requirement = Requirement(line)
            if requirement.marker is not None and not requirement.marker.evaluate():
                continue
            found = importlib.metadata.version(requirement.name)
        except (InvalidRequirement, importlib.metadata.PackageNotFoundError):
            return False
        if requirement.url or requirement.extras or not requirement.specifier.contains(found, prereleases=True):
            return False
    return True


def _loaded_otherwise(packages: Path) -> bool:
    """Whether a module that `packages` holds has been imported from elsewhere."""
    names = {entry.name.partition(".")[0] for entry in packages.iterdir() if entry.suffix != ".dist-info"}
    return any(name in sys.modules for name in names)

"""Install a source directory's requirements.txt once per content, for all jobs that share a cache."""

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from clary.runtime.errors import CustomerError

TAIL = 2000
# How a line begins that points to another file.
LOCAL = (b"-", b".", b"/")
# What installing leaves behind in a source directory.
BUILT = {"__pycache__", ".requirements", "build"}


def use_requirements(source: Path) -> None:
    """Make what `source`/requirements.txt asks for importable here and in child processes.

    Does nothing without the file, or when this environment already satisfies every line of it.
    Raises CustomerError, with the installer's last words, when it cannot be installed.
    """
    requirements = source / "requirements.txt"
    if not requirements.is_file() or _satisfied(requirements):
        return
    cache = Path(os.environ.get("CLARY_REQUIREMENTS_CACHE") or source / ".requirements")
    packages = _installed(requirements, cache)
    sys.path.insert(0, str(packages))
    others = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(packages), *others])
    os.environ["PATH"] = os.pathsep.join([str(packages / "bin"), os.environ.get("PATH", os.defpath)])


def _satisfied(requirements: Path) -> bool:
    """Whether every line is a plain requirement that an installed distribution meets. False when unsure."""
    import importlib.metadata

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


def _installed(requirements: Path, cache: Path) -> Path:
    """The directory of installed packages; the first job to ask installs, the others wait for it."""
    cache.mkdir(parents=True, exist_ok=True)
    key = _key(requirements)
    packages = cache / key
    with (cache / f"{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not packages.is_dir():
            unfinished = cache / f"{key}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            _install(requirements, unfinished)
            unfinished.rename(packages)
    return packages


def _key(requirements: Path) -> str:
    """Names the content: the file and the interpreter, and the whole source directory when a line points into it."""
    digest = hashlib.sha256(f"{sys.implementation.cache_tag} {sys.platform}\n".encode())
    content = requirements.read_bytes()
    digest.update(content)
    lines = [line.strip() for line in content.splitlines()]
    if any(line.startswith(LOCAL) or b"file:" in line or line.endswith((b".whl", b".gz")) for line in lines):
        for file in sorted(requirements.parent.rglob("*")):
            relative = file.relative_to(requirements.parent)
            if file.is_file() and not any(part in BUILT or part.endswith(".egg-info") for part in relative.parts):
                digest.update(str(relative).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:32]


def _install(requirements: Path, target: Path) -> None:
    arguments = ["--target", str(target), "--requirement", str(requirements)]
    uv = shutil.which("uv")
    if uv:
        command = [uv, "pip", "install", "--python", sys.executable, *arguments]
    elif importlib.util.find_spec("pip"):
        command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", *arguments]
    else:
        raise CustomerError(f"{requirements} cannot be installed: this environment has neither uv nor pip")
    print(f"installing {requirements}", flush=True)
    done = subprocess.run(
        command, cwd=requirements.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    print(done.stdout, end="", flush=True)
    if done.returncode != 0:
        raise CustomerError(
            f"installing {requirements} failed (exit code {done.returncode}):\n{done.stdout[-TAIL:].strip()}"
        )
    target.mkdir(exist_ok=True)

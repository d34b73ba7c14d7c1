"""Install a source directory's requirements.txt once per content, for all jobs that share a cache.

Only what this environment lacks is installed, so that a script which asks for one small package does not get a second
copy of numpy with it. Where a loaded module turns out to be of another version than asked for, as may happen in a warm
interpreter, the command starts again in a fresh one.
"""

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from clary.runtime.errors import CustomerError

TAIL = 2000
# How a line begins that points to another file.
LOCAL = (b"-", b".", b"/")
# What installing leaves behind in a source directory.
BUILT = {"__pycache__", ".requirements", "build"}
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
    packages = _installed(requirements, cache)
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
            unfinished.mkdir()
            print(f"installing {requirements}", flush=True)
            _install(requirements, unfinished)
            unfinished.rename(packages)
    return packages


def _key(requirements: Path) -> str:
    """Names the content: the file, what is installed already, and the source directory when a line points into it."""
    digest = hashlib.sha256(f"{sys.implementation.cache_tag} {sys.platform}\n".encode())
    present = {f"{found.name}=={found.version}" for found in importlib.metadata.distributions()}
    digest.update("\n".join(sorted(present)).encode())
    content = requirements.read_bytes()
    digest.update(content)
    lines = [line.strip() for line in content.splitlines()]
    if any(line.startswith(LOCAL) or b"file:" in line or line.endswith((b".whl", b".gz")) for line in lines):
        for file in sorted(requirements.parent.rglob("*")):
            relative = file.relative_to(requirements.parent)
            if file.is_file() and not any(part in BUILT or part.endswith(".egg-info") for part in relative.parts):
                digest.update(str(relative).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:32]


def find_uv() -> str | None:
    """uv on the PATH, or beside the interpreter, where it lies in an environment that nobody has activated."""
    return shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))


def _install(requirements: Path, target: Path) -> None:
    if importlib.util.find_spec("pip") is None:
        uv = find_uv()
        if uv is None:
            raise CustomerError(f"{requirements} cannot be installed: this environment has neither pip nor uv")
        # uv cannot say what is missing here in a form made for programs, so it installs all of it.
        wanted = ["--python", sys.executable, "--target", str(target), "--requirement", str(requirements)]
        _run([uv, "pip", "install", *wanted], requirements)
        return
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        _run([*pip, "--quiet", "--dry-run", "--report", report.name, "--requirement", str(requirements)], requirements)
        missing = json.loads(Path(report.name).read_bytes())["install"]
    if missing:
        _run([*pip, "--no-deps", "--target", str(target), *map(_reference, missing)], requirements)


def _reference(item: dict[str, Any]) -> str:
    """`name @ url` of one item of pip's report (PEP 610)."""
    origin = item["download_info"]
    url = origin["url"]
    if "vcs_info" in origin:
        url = f"{origin['vcs_info']['vcs']}+{url}@{origin['vcs_info']['commit_id']}"
    if origin.get("subdirectory"):
        url += f"#subdirectory={origin['subdirectory']}"
    return f"{item['metadata']['name']} @ {url}"


def _run(command: list[str], requirements: Path) -> None:
    done = subprocess.run(
        command,
        cwd=requirements.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(done.stdout, end="", flush=True)
    if done.returncode != 0:
        last_words = done.stdout[-TAIL:].strip()
        raise CustomerError(f"installing {requirements} failed (exit code {done.returncode}):\n{last_words}")

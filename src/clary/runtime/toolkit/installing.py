"""Directories of installed packages that jobs share: each made once for what was asked, and not changed after.

Only what this environment lacks is installed, so that who asks for one small package does not get a second copy of
numpy with it.
"""

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clary.runtime.errors import CustomerError

Installer = Callable[[Path, Path], None]

TAIL = 2000
# How a line begins that points to another file.
LOCAL = (b"-", b".", b"/")
# What installing leaves behind in a source directory.
BUILT = {"__pycache__", ".requirements", "build"}


def kept_packages(requirements: Path, cache: Path, *, fast: bool = False) -> Path:
    """The directory of packages that a requirements file asks for beyond what is here; the first job to ask
    installs, others wait for it.

    pip installs, as it is what people configure, else uv; `fast` asks uv first, which resolves many packages in a
    tenth of the time. Raises CustomerError, with the installer's last words.
    """
    cache.mkdir(parents=True, exist_ok=True)
    key = _key(requirements)
    packages = cache / key
    with (cache / f"{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not packages.is_dir():
            unfinished = cache / f"{key}.unfinished"
            print(f"installing {requirements}", flush=True)
            _install(requirements, unfinished, fast=fast)
            unfinished.rename(packages)
    return packages


def find_uv() -> str | None:
    """uv on the PATH, or beside the interpreter, where it lies in an environment that nobody has activated."""
    return shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))


def _key(requirements: Path) -> str:
    """Names the content: the file, what is installed already, and the source directory when a line points into it."""
    digest = hashlib.sha256(f"{sys.implementation.cache_tag} {sys.platform}\n".encode())
    digest.update("\n".join(_present()).encode())
    content = requirements.read_bytes()
    digest.update(content)
    lines = [line.strip() for line in content.splitlines()]
    if any(line.startswith(LOCAL) or b"file:" in line or line.endswith((b".whl", b".gz")) for line in lines):
        for file in sorted(requirements.parent.rglob("*")):
            relative = file.relative_to(requirements.parent)
            if file.is_file() and not any(part in BUILT or part.endswith(".egg-info") for part in relative.parts):
                digest.update(str(relative).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:32]


def _present() -> list[str]:
    """What this environment has, as `name==version` in order."""
    return sorted({f"{found.name}=={found.version}" for found in importlib.metadata.distributions()})


def _install(requirements: Path, target: Path, *, fast: bool) -> None:
    """Install into `target`, made anew for each installer that is tried. Raises what the last one says."""
    installers: list[Installer] = [_by_pip] if importlib.util.find_spec("pip") is not None else []
    if (fast or not installers) and find_uv() is not None:
        installers.insert(0, _by_uv)
    if not installers:
        raise CustomerError(f"{requirements} cannot be installed: this environment has neither pip nor uv")
    for install in installers:
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        try:
            install(requirements, target)
            return
        except CustomerError:
            if install is installers[-1]:
                raise


def _by_pip(requirements: Path, target: Path) -> None:
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


def _by_uv(requirements: Path, target: Path) -> None:
    """uv does not see packages that other directories lend to this environment. But it keeps to the versions of an
    earlier plan where it can: given what is here as such a plan, it names what else is needed."""
    uv, present = str(find_uv()), _present()
    with tempfile.TemporaryDirectory() as folder:
        plan = Path(folder) / "plan.txt"
        plan.write_text("\n".join(present) + "\n")
        how = ["--quiet", "--python", sys.executable]
        brief = ["--no-header", "--no-annotate"]
        _run([uv, "pip", "compile", *how, *brief, "--output-file", str(plan), str(requirements)], requirements)
        here = {_normal(one) for one in present}
        missing = [line for line in plan.read_text().splitlines() if line.strip() and _normal(line) not in here]
        options = [line for line in requirements.read_text().splitlines() if line.startswith("--")]
        plan.write_text("\n".join([*options, *missing]) + "\n")
        if missing:
            how += ["--no-deps", "--compile-bytecode", "--target", str(target)]
            _run([uv, "pip", "install", *how, "--requirement", str(plan)], requirements)


def _normal(requirement: str) -> str:
    """`Name_x==1` and `name-x==1 ; marker` are the same package."""
    name, _, version = requirement.partition(";")[0].strip().partition("==")
    return f"{re.sub(r'[-_.]+', '-', name).lower()}=={version}"


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

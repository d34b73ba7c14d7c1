"""The repository as the fleet tests see it: its files, as git knows them, and its Python code, read once."""

import ast
import functools
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "clary"


@functools.cache
def tracked(*patterns: str) -> tuple[Path, ...]:
    """Files committed, and new ones that git does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return tuple(sorted({path for name in listed.split("\0") if name and (path := ROOT / name).is_file()}))


def git_show(revision: str, path: str) -> str | None:
    """A file as it was; None where the revision or the file is not there."""
    shown = subprocess.run(["git", "show", f"{revision}:{path}"], cwd=ROOT, capture_output=True, check=False)
    return shown.stdout.decode() if shown.returncode == 0 else None


def python_files() -> list[Path]:
    return [
        path
        for path in tracked("*.py")
        if path.relative_to(ROOT).parts[0] in {"src", "tests", "benchmarks", "examples"}
    ]


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def named(path: Path) -> str:
    """A file's name in test ids and messages."""
    return str(path.relative_to(ROOT))


def is_test(path: Path) -> bool:
    return "tests" in path.relative_to(ROOT).parts or path.name == "conftest.py"

"""Virtual environments in which clients live without Clary: made once, kept under `.clients/`, reached through a shell.

A program is run as a user would run it: `eval "$(clary env)"` in a shell, then the program, and nothing else. The
last line a program prints is JSON: what the test looks at.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent / ".clients"

REQUIREMENTS = {
    # With what the programs need to predict in their own process, too.
    "sagemaker-v2": ["sagemaker<3", "xgboost-cpu", "scikit-learn"],
    "sagemaker-v3": ["sagemaker>=3", "xgboost-cpu", "scikit-learn"],
    "awscli": ["awscli"],
    "s3-tools": ["boto3", "pyarrow", "duckdb"],
    "s3fs": ["s3fs>=2024"],  # its own: aiobotocore holds botocore back
    "awswrangler": ["awswrangler"],
}


class CannotMake(Exception):
    """The environment cannot be made here, and why."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment and the server that its programs talk to."""

    folder: Path
    clary_home: Path

    def run(self, program: str, *arguments: str, timeout: float = 300) -> dict[str, Any]:
        """Run one of `programs/`; return what its last line says, and under "printed" all that came before it."""
        output = self.command(
            [str(self.folder / "bin" / "python"), str(HERE / "programs" / program), *arguments], timeout
        )
        *before, last = output.splitlines()
        # The SDK's progress marks may stand before the result on its line.
        return {**json.loads(last[last.index("{") :]), "printed": "\n".join(before)}

    def command(self, command: Sequence[str], timeout: float = 300, *, directory: Path | None = None) -> str:
        """Run a command after `eval "$(clary env)"`; return its standard output, fail with all it printed."""
        shell = 'eval "$("$0" -m clary.cli env --home "$1")" && shift && exec "$@"'
        done = subprocess.run(
            ["bash", "-c", shell, sys.executable, str(self.clary_home), *command],
            env={
                "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
                "HOME": str(self.clary_home / "client-home"),
                "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
            },
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode != 0:
            raise AssertionError(
                f"{command} ended with {done.returncode}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
            )
        return done.stdout


def make(name: str) -> Path:
    """The folder of a virtual environment, made when it is missing. Raises CannotMake."""
    requirements = REQUIREMENTS[name]
    folder = ROOT / f"{name}-{hashlib.sha256(repr((requirements, sys.version_info[:2])).encode()).hexdigest()[:8]}"
    finished = folder / "finished"
    if finished.exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    uv = shutil.which("uv")
    python = folder / "bin" / "python"
    if uv:
        _run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
        _run([uv, "pip", "install", "--quiet", "--python", str(python), *requirements])
    else:
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(python), "-m", "pip", "install", "--quiet", *requirements])
    finished.touch()
    return folder


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CannotMake(f"{' '.join(command)}: {done.stderr.strip()[-800:]}")

"""Environments of Python and Node in which clients live without Clary: made once, kept under `.clients/`, reached
through a shell.

A program is run as a user would run it: `eval "$(clary env)"` in a shell, then the program, and nothing else. The
last line a program prints is JSON: what the test looks at.
"""

import fcntl
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
    "pyathena": ["PyAthena[pandas,sqlalchemy]>=3", "pyarrow"],
    "dbt": ["dbt-athena>=1.9", "dbt-core<1.12"],  # a later one brings a parser that wants a compiler
    "boto3": ["boto3"],
}
INSTALL_SECONDS = 480
PROGRAM_SECONDS = 570  # little less than a test may take, so that it can show what the program has said
NODE_REQUIREMENTS = {"aws-sdk-js": ["@aws-sdk/client-kinesis@3"]}


class CannotMake(Exception):
    """The environment cannot be made here, and why."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment and the server that its programs talk to."""

    folder: Path
    clary_home: Path

    def run(self, program: str, *arguments: str, timeout: float = PROGRAM_SECONDS) -> dict[str, Any]:
        """Run one of `programs/`; return what its last line says, and under "printed" all that came before it."""
        interpreter = "node" if program.endswith(".cjs") else str(self.folder / "bin" / "python")
        output = self.command([interpreter, str(HERE / "programs" / program), *arguments], timeout)
        *before, last = output.splitlines()
        # The SDK's progress marks may stand before the result on its line.
        return {**json.loads(last[last.index("{") :]), "printed": "\n".join(before)}

    def command(
        self, command: Sequence[str], timeout: float = PROGRAM_SECONDS, *, directory: Path | None = None
    ) -> str:
        """Run a command after `eval "$(clary env)"`; return its standard output, fail with all it printed."""
        shell = 'eval "$("$0" -m clary.cli env --home "$1")" && shift && exec "$@"'
        done = subprocess.run(
            ["bash", "-c", shell, sys.executable, str(self.clary_home), *command],
            env={
                "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
                "HOME": str(self.clary_home / "client-home"),
                "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
                "NODE_PATH": str(self.folder / "node_modules"),
                "NODE_NO_WARNINGS": "1",
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
    """The folder of an environment, made when it is missing. Raises CannotMake."""
    of_node = name in NODE_REQUIREMENTS
    requirements = NODE_REQUIREMENTS[name] if of_node else REQUIREMENTS[name]
    folder = ROOT / f"{name}-{hashlib.sha256(repr((requirements, sys.version_info[:2])).encode()).hexdigest()[:8]}"
    finished = folder / "finished"
    ROOT.mkdir(exist_ok=True)
    with Path(f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other test processes want it, too
        if not finished.exists():
            shutil.rmtree(folder, ignore_errors=True)
            if of_node:
                _install_node_packages(folder, requirements)
            else:
                _install_python_packages(folder, requirements)
            finished.touch()
    return folder


def _install_node_packages(folder: Path, requirements: Sequence[str]) -> None:
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise CannotMake("there is no Node.js with npm on this machine")
    folder.mkdir(parents=True)
    _run([npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), *requirements])


def _install_python_packages(folder: Path, requirements: Sequence[str]) -> None:
    beside_us = str(Path(sys.executable).parent)
    uv = shutil.which("uv", path=os.pathsep.join((beside_us, os.environ["PATH"])))
    python = folder / "bin" / "python"
    if uv:
        _run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
        _run([uv, "pip", "install", "--quiet", "--python", str(python), *requirements])
    else:
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(python), "-m", "pip", "install", "--quiet", *requirements])


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        raise CannotMake(f"{' '.join(command)} did not end within {INSTALL_SECONDS} s") from None
    if done.returncode != 0:
        raise CannotMake(f"{' '.join(command)}: {done.stderr.strip()[-800:]}")

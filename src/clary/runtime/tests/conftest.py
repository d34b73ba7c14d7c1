"""A job's /opt/ml in a temporary directory, and the runtime started on it as the platform does."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clary.runtime.paths import MlPaths
from clary.runtime.toolkit.description import JobDescription, read_description

ROWS, COLUMNS = 1200, 8


@dataclass
class Job:
    """One host's tree, and how to run commands on it."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def paths(self) -> MlPaths:
        return MlPaths(self.root)

    def configure(
        self,
        hyperparameters: dict[str, str],
        channels: dict[str, dict[str, Any]] | None = None,
        resource: dict[str, Any] | None = None,
    ) -> JobDescription:
        config = self.paths.config
        config.mkdir(parents=True, exist_ok=True)
        (config / "hyperparameters.json").write_text(json.dumps(hyperparameters))
        (config / "inputdataconfig.json").write_text(json.dumps(channels or {}))
        (config / "resourceconfig.json").write_text(
            json.dumps(resource or {"current_host": "algo-1", "hosts": ["algo-1"]})
        )
        return read_description(self.paths)

    def put(self, path: str, content: str | bytes) -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        return target

    def full_environment(self, **more: str) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        kept["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        return kept | {"CLARY_ML_ROOT": str(self.root), "SM_NUM_CPUS": "1"} | self.environment | more

    def start(self, *argv: str, **more: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "clary.runtime", *argv],
            env=self.full_environment(**more),
            cwd=self.root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *argv: str, **more: str) -> "subprocess.CompletedProcess[str]":
        with self.start(*argv, **more) as process:
            try:
                out, err = process.communicate(timeout=120)
            except BaseException:
                process.send_signal(signal.SIGKILL)
                raise
        return subprocess.CompletedProcess(argv, process.returncode, out, err)

    @property
    def failure(self) -> str:
        return self.paths.failure.read_text()


BACKEND = '''
import zipfile

METADATA = """Metadata-Version: 2.1
Name: shapes
Version: 1
REQUIRES
"""

def build_wheel(directory, config_settings=None, metadata_directory=None):
    name = "shapes-1-py3-none-any.whl"
    files = {
        "shapes.py": "SIDES = 4",
        "shapes-1.dist-info/METADATA": METADATA,
        "shapes-1.dist-info/WHEEL": "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    record = "".join(f"{file},,\\n" for file in files) + "shapes-1.dist-info/RECORD,,\\n"
    with zipfile.ZipFile(f"{directory}/{name}", "w") as wheel:
        for file, text in (files | {"shapes-1.dist-info/RECORD": record}).items():
            wheel.writestr(file, text)
    return name
'''

PROJECT = """
[project]
name = "shapes"
version = "1"
dynamic = ["dependencies"]
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""


def put_package(job: Job, requires: str = "") -> None:
    """A source directory that requires a package of its own, `shapes`; needs no index to be installed."""
    job.put("code/shapes/pyproject.toml", PROJECT)
    job.put("code/shapes/backend.py", BACKEND.replace("REQUIRES", f"Requires-Dist: {requires}" if requires else ""))
    job.put("code/requirements.txt", "./shapes\n")


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


@pytest.fixture
def make_job(tmp_path: Path) -> Callable[[str], Job]:
    def make(name: str) -> Job:
        root = tmp_path / name
        root.mkdir()
        return Job(root)

    return make


@pytest.fixture(scope="session")
def rows() -> tuple[np.ndarray, np.ndarray]:
    """A binary task that trees can learn and a constant cannot: (labels, features)."""
    generator = np.random.default_rng(7)
    features = generator.normal(size=(ROWS, COLUMNS)).astype(np.float32).round(3)
    score = features[:, 0] + features[:, 1] * features[:, 2]
    labels = (score + generator.normal(size=ROWS) * 0.3 > 0).astype(np.float32)
    return labels, features


@pytest.fixture(autouse=True)
def same_environment() -> Iterator[None]:
    """Tests that train in this process must not leave settings behind."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)

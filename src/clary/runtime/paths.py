"""Where things are: the /opt/ml tree, or the directory that stands for it."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class MlPaths:
    """The SageMaker container directories below `root`. Nothing is created by asking."""

    root: Path

    @property
    def input(self) -> Path:
        return self.root / "input"

    @property
    def config(self) -> Path:
        return self.root / "input" / "config"

    @property
    def data(self) -> Path:
        return self.root / "input" / "data"

    @property
    def code(self) -> Path:
        return self.root / "code"

    @property
    def code_channel(self) -> Path:
        return self.root / "input" / "data" / "code"

    @property
    def model(self) -> Path:
        return self.root / "model"

    @property
    def output(self) -> Path:
        return self.root / "output"

    @property
    def output_data(self) -> Path:
        return self.root / "output" / "data"

    @property
    def output_intermediate(self) -> Path:
        return self.root / "output" / "intermediate"

    @property
    def failure(self) -> Path:
        return self.root / "output" / "failure"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    def channel(self, name: str) -> Path:
        return self.root / "input" / "data" / name


def ml_paths() -> MlPaths:
    """The tree that this process was given: CLARY_ML_ROOT, else /opt/ml. Read each time, since `warm` changes it."""
    return MlPaths(Path(os.environ.get("CLARY_ML_ROOT") or "/opt/ml"))

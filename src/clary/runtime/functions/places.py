"""/var/task and /opt, where a function expects its code and its layers, wherever these lie.

The platform puts the code below /opt/ml/task and the layers below /opt/ml/opt. In a sandbox of its own, links lead
there from AWS's places; without one, the function is told by LAMBDA_TASK_ROOT and its path alone.
"""

import contextlib
import os
import sys
from pathlib import Path

from clary.runtime.paths import ml_paths

_TASK, _OPT = Path("/var/task"), Path("/opt")
_VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"


def lay() -> tuple[Path, Path]:
    """Where the function's code and its layers are, as it is to see them."""
    root = ml_paths().root
    task, layers = root / "task", root / "opt"
    task.mkdir(parents=True, exist_ok=True)
    if "CLARY_ML_ROOT" in os.environ:
        return task, layers
    for entry in sorted(layers.iterdir()) if layers.is_dir() else ():
        _link(_OPT / entry.name, entry)
    return (_TASK if _link(_TASK, task) else task), (_OPT if _linked(layers) else layers)


def path_entries(task: Path, layers: Path) -> list[str]:
    """What comes first on the function's `sys.path`, in AWS's order."""
    below = layers / "python"
    return [str(task), str(below / "lib" / _VERSION / "site-packages"), str(below)]


def _linked(layers: Path) -> bool:
    return not layers.is_dir() or all((_OPT / entry.name).resolve() == entry for entry in layers.iterdir())


def _link(place: Path, target: Path) -> bool:
    """Whether `place` leads to `target` now."""
    with contextlib.suppress(OSError):
        place.symlink_to(target)
    return place.resolve() == target

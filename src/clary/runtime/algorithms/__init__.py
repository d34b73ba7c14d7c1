"""Built-in algorithms: each a package here with `train` and, to be served, `load_model`.

train(paths: MlPaths, job: JobDescription) -> None           raises CustomerError for what the user can mend
load_model(directory: Path) -> clary.runtime.inference.contract.Model
"""

import importlib
from pathlib import Path
from types import ModuleType

from clary.runtime.errors import CustomerError


def names() -> list[str]:
    """The algorithms that exist, by folder."""
    return sorted(entry.name for entry in Path(__file__).parent.iterdir() if (entry / "__init__.py").is_file())


def load(name: str) -> ModuleType:
    """The algorithm's package. Raises CustomerError for an unknown name, or when a library that it needs is missing."""
    if name not in names():
        raise CustomerError(f"there is no built-in algorithm {name!r}; there are: {', '.join(names())}")
    try:
        return importlib.import_module(f"clary.runtime.algorithms.{name}.algorithm")
    except ImportError as error:
        raise CustomerError(f"the algorithm {name!r} needs a library that this environment lacks: {error}") from error

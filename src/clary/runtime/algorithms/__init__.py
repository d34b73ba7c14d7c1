"""Built-in algorithms: each a package here whose module `algorithm` has `train` and, to be served, `load_model`.

    train(paths: MlPaths, job: JobDescription) -> None           raises CustomerError for what the user can mend
    load_model(directory: Path) -> clary.runtime.inference.contract.Model

A package may name in UNNEEDED the modules that its libraries would load and it has no use for.
"""

import contextlib
import importlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

from clary.runtime.errors import CustomerError


def names() -> list[str]:
    """The algorithms that exist, by folder."""
    return sorted(entry.name for entry in Path(__file__).parent.iterdir() if (entry / "__init__.py").is_file())


def load(name: str) -> ModuleType:
    """The algorithm's module. Raises CustomerError for an unknown name, or when a library that it needs is missing."""
    if name not in names():
        raise CustomerError(f"there is no built-in algorithm {name!r}; there are: {', '.join(names())}")
    package = importlib.import_module(f"{__name__}.{name}")
    try:
        with _hidden(getattr(package, "UNNEEDED", ())):
            return importlib.import_module(f"{package.__name__}.algorithm")
    except ImportError as error:
        raise CustomerError(f"the algorithm {name!r} needs a library that this environment lacks: {error}") from error


@contextlib.contextmanager
def _hidden(modules: Sequence[str]) -> Iterator[None]:
    """Let optional imports of `modules` fail, unless they are loaded already, as in a warm interpreter."""
    hidden = [module for module in modules if module not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for module in hidden:
            sys.modules.pop(module, None)

"""Choose what serves: the user's script when there is one, else the built-in algorithm."""

import os
from pathlib import Path

from clary.runtime import algorithms
from clary.runtime.errors import CustomerError
from clary.runtime.inference.contract import Model
from clary.runtime.paths import MlPaths
from clary.runtime.toolkit.requirements import use_requirements
from clary.runtime.toolkit.source import fetch_source


def prepare(paths: MlPaths) -> Path | None:
    """Fetch the user's source directory, if the environment names a script, and install its requirements.

    Comes before the server listens, since `serve` may start again in a fresh interpreter here. Raises CustomerError.
    """
    program = _program()
    if not program:
        return None
    source = _source(paths, program)
    use_requirements(source, "serve")
    return source


def load_model(paths: MlPaths, source: Path | None) -> Model:
    """Load what /opt/ml/model and the environment describe. Raises CustomerError when that cannot work."""
    algorithm = os.environ.get("CLARY_ALGORITHM", "")
    if source is not None:
        from clary.runtime.inference.handlers import load_user_model

        framework = os.environ.get("CLARY_FRAMEWORK") or algorithm or "python"
        return load_user_model(source, _program(), paths.model, framework)
    if algorithm:
        model: Model = algorithms.load(algorithm).load_model(paths.model)
        return model
    raise CustomerError("there is nothing to serve: set SAGEMAKER_PROGRAM, or use an image with a built-in algorithm")


def _program() -> str:
    return os.environ.get("SAGEMAKER_PROGRAM", "").strip()


def _source(paths: MlPaths, program: str) -> Path:
    """The directory of the user's script: in the model archive, as SDKs repack it, or at the submit directory."""
    packed = paths.model / "code"
    if (packed / program).is_file():
        return packed
    location = os.environ.get("SAGEMAKER_SUBMIT_DIRECTORY", "").strip()
    if location:
        return fetch_source(program, location, paths.code)
    if (paths.model / program).is_file():
        return paths.model
    raise CustomerError(
        f"SAGEMAKER_PROGRAM is {program!r}, but {packed} holds no such file and SAGEMAKER_SUBMIT_DIRECTORY is not set"
    )

"""Choose what serves: the user's script when there is one, else the built-in algorithm."""

import os
from pathlib import Path

from clary.runtime import algorithms
from clary.runtime.errors import CustomerError
from clary.runtime.inference.contract import Model
from clary.runtime.toolkit.requirements import use_requirements
from clary.runtime.toolkit.source import fetch_source

DEFAULT_PROGRAM = "inference.py"


def prepare(model: Path, code: Path, *again: str) -> Path | None:
    """The user's source directory, if there is a script for the model in `model`, with its requirements installed.

    A source that is an archive is unpacked into `code`. May not return: `again`, `serve` unless given, may be started
    in a fresh interpreter, so the caller must not listen yet. Raises CustomerError.
    """
    program = _program(model)
    if not program:
        return None
    source = _source(model, code, program)
    use_requirements(source, *(again or ("serve",)))
    return source


def load_model(model: Path, source: Path | None) -> Model:
    """Load what the directory `model` and the environment describe. Raises CustomerError when that cannot work."""
    algorithm = os.environ.get("CLARY_ALGORITHM", "")
    framework = os.environ.get("CLARY_FRAMEWORK") or algorithm or "python"
    if source is not None:
        from clary.runtime.inference.handlers import load_user_model

        return load_user_model(source, _program(model), model, framework)
    if algorithm:
        loaded: Model = algorithms.load(algorithm).load_model(model)
        return loaded
    from clary.runtime.inference.handlers import load_default_model

    found = load_default_model(model, framework)
    if found is None:
        raise CustomerError(
            "there is nothing to serve: set SAGEMAKER_PROGRAM, or use an image with a built-in algorithm"
        )
    return found


def _program(model: Path) -> str:
    """The script: the one that is named, or code/inference.py where no algorithm is built in, as on AWS."""
    named = os.environ.get("SAGEMAKER_PROGRAM", "").strip()
    if named or os.environ.get("CLARY_ALGORITHM"):
        return named
    return DEFAULT_PROGRAM if (model / "code" / DEFAULT_PROGRAM).is_file() else ""


def _source(model: Path, code: Path, program: str) -> Path:
    """The directory of the user's script: in the model archive, as SDKs repack it, or at the submit directory."""
    packed = model / "code"
    if (packed / program).is_file():
        return packed
    location = os.environ.get("SAGEMAKER_SUBMIT_DIRECTORY", "").strip()
    if location:
        return fetch_source(program, location, code)
    if (model / program).is_file():
        return model
    raise CustomerError(
        f"SAGEMAKER_PROGRAM is {program!r}, but {packed} holds no such file and SAGEMAKER_SUBMIT_DIRECTORY is not set"
    )

"""Serve a user's script: its model_fn, input_fn, predict_fn, output_fn or transform_fn, with the framework's defaults.

As in SageMaker's framework images, one request at a time runs in a worker, since scripts are seldom thread-safe;
SAGEMAKER_MODEL_SERVER_WORKERS starts more.
"""

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, SupportsIndex

from clary.runtime.errors import CustomerError
from clary.runtime.formats import content_types
from clary.runtime.inference import codecs
from clary.runtime.inference.contract import Refused, Reply, Request

FUNCTIONS = ("model_fn", "input_fn", "predict_fn", "output_fn", "transform_fn")
TEXTS = ("text/", "application/json", "application/jsonlines", "application/x-jsonlines", "application/xml")


def load_user_model(source: Path, program: str, model_directory: Path, framework: str) -> "UserModel":
    """Import the script and load its model. Raises CustomerError, or whatever the user's code raises."""
    module = _import(source, program)
    functions = {name: getattr(module, name) for name in FUNCTIONS if callable(getattr(module, name, None))}
    if "transform_fn" in functions and ("input_fn" in functions or "output_fn" in functions):
        raise CustomerError(
            f"{program} defines transform_fn together with input_fn or output_fn; keep one or the other"
        )
    defaults = _defaults(framework)
    if "model_fn" in functions:
        model = _call(functions["model_fn"], str(model_directory))
    elif defaults.load is not None:
        model = defaults.load(model_directory)
    else:
        raise CustomerError(f"{program} defines no model_fn(model_dir), which {framework} models need to be loaded")
    return UserModel(functions, defaults, model)


class HeaderValue(str):
    """A header as a script gets it: text whose item 0 is the whole.

    SageMaker's servers hand over either text or a list of one, and scripts are written for both: the SDK's
    ModelBuilder generates some that say `content_type[0]`.
    """

    def __getitem__(self, index: SupportsIndex | slice) -> str:
        return str(self) if index == 0 else super().__getitem__(index)


class Defaults:
    """What a framework does for functions that a script leaves out. `load` is None where only the user knows how."""

    default_content_type = content_types.JSON
    default_accept = content_types.JSON
    load: Callable[[Path], Any] | None = None

    def input(self, body: bytes, content_type: str) -> Any:
        return codecs.decode(body, content_type)

    def predict(self, data: Any, model: Any) -> Any:
        if hasattr(model, "predict"):
            return model.predict(data)
        if callable(model):
            return model(data)
        raise CustomerError(f"the script defines no predict_fn, and a {type(model).__name__} has no predict method")


class SklearnDefaults(Defaults):
    default_content_type = content_types.NPY

    def input(self, body: bytes, content_type: str) -> Any:
        """A 2-D array; a single row may come without its outer brackets."""
        data = codecs.decode(body, content_type)
        return data.reshape(1, -1) if getattr(data, "ndim", 2) == 1 else data


class XgboostDefaults(Defaults):
    default_content_type = content_types.LIBSVM
    default_accept = content_types.CSV

    def __init__(self) -> None:
        from clary.runtime.algorithms.xgboost.serving import load_booster

        self.load = load_booster

    def input(self, body: bytes, content_type: str) -> Any:
        import xgboost

        data = super().input(body, content_type)
        return xgboost.DMatrix(data.reshape(1, -1) if getattr(data, "ndim", 2) == 1 else data)

    def predict(self, data: Any, model: Any) -> Any:
        """A Booster takes the DMatrix, and so does the one inside a scikit-learn style model."""
        import xgboost

        if isinstance(model, xgboost.Booster):
            return model.predict(data, validate_features=False)
        if hasattr(model, "get_booster"):
            return model.get_booster().predict(data, validate_features=False)
        return super().predict(data, model)


FRAMEWORKS: dict[str, Callable[[], Defaults]] = {
    "python": Defaults,
    "sklearn": SklearnDefaults,
    "xgboost": XgboostDefaults,
}


class UserModel:
    """The loaded script behind /invocations."""

    threads = 1

    def __init__(self, functions: dict[str, Callable[..., Any]], defaults: Defaults, model: Any) -> None:
        self._functions = functions
        self._defaults = defaults
        self._model = model

    def quick(self, body: bytes, content_type: bytes, accept: bytes) -> Reply | None:
        """Never: only the user knows how long the script takes."""
        return None

    def invoke(self, request: Request) -> Reply:
        content_type = HeaderValue(request.content_type or self._defaults.default_content_type)
        accept = HeaderValue(request.accept or self._defaults.default_accept)
        if "transform_fn" in self._functions:
            answer = _call(
                self._functions["transform_fn"], self._model, _content(request.body, content_type), content_type, accept
            )
            return _reply(answer, accept)
        if "input_fn" in self._functions:
            data = _call(self._functions["input_fn"], _content(request.body, content_type), content_type)
        else:
            data = self._defaults.input(request.body, content_type)
        if "predict_fn" in self._functions:
            prediction = _call(self._functions["predict_fn"], data, self._model)
        else:
            prediction = self._defaults.predict(data, self._model)
        if "output_fn" in self._functions:
            return _reply(_call(self._functions["output_fn"], prediction, accept), accept)
        return _reply(prediction, accept)


def _import(source: Path, program: str) -> ModuleType:
    """Import the script under its own name, so that pickles made by it while training find its classes."""
    sys.path.insert(0, str(source))
    name = program.removesuffix(".py").replace("/", ".")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name:
            raise CustomerError(f"{source} holds no {program}") from None
        raise CustomerError(
            f"{program} needs the module {error.name!r}, which is not installed here; "
            "name its package in a requirements.txt beside the script"
        ) from error


def _defaults(framework: str) -> Defaults:
    if framework not in FRAMEWORKS:
        raise CustomerError(f"CLARY_FRAMEWORK is {framework!r}; valid are {', '.join(FRAMEWORKS)}")
    return FRAMEWORKS[framework]()


def _content(body: bytes, content_type: str) -> bytes | str:
    """Text types reach the script as str, like in SageMaker's containers; the rest as bytes."""
    if not content_type.lower().startswith(TEXTS):
        return body
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(400, f"the request body is {content_type} but not UTF-8: {error}") from None


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call with the arguments that the function takes: newer toolkits add a context after them, given here as None."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return function(*arguments)
    required = [
        parameter
        for parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and parameter.default is parameter.empty
    ]
    missing = max(0, len(required) - len(arguments))
    return function(*arguments, *[None] * missing)


def _reply(answer: Any, accept: str) -> Reply:
    """What the script returned: a body, (body, content type), a generator of pieces, or a value to be encoded."""
    content_type = ""
    if isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], str):
        answer, content_type = answer
    if isinstance(answer, Iterator):
        return Reply(_pieces(answer), content_type or accept.partition(",")[0] or "application/octet-stream")
    body, encoded_as = codecs.encode(answer, content_type or accept)
    return Reply(body, content_type or encoded_as)


def _pieces(answer: Iterator[Any]) -> Iterator[bytes]:
    """The generator's pieces as bytes; empty ones are left out, since an empty piece would end the answer."""
    for piece in answer:
        data = piece.encode() if isinstance(piece, str) else bytes(piece)
        if data:
            yield data

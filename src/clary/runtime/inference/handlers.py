"""Serve a user's script: its model_fn, input_fn, predict_fn, output_fn or transform_fn, with the framework's defaults.

As in SageMaker's framework images, one request at a time runs in a worker, since scripts are seldom thread-safe;
SAGEMAKER_MODEL_SERVER_WORKERS starts more.
"""

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, SupportsIndex

from clary.runtime.errors import CustomerError
from clary.runtime.inference import codecs, joining
from clary.runtime.inference.contract import Refused, Reply, Request
from clary.runtime.inference.defaults import Defaults, defaults_of
from clary.runtime.inference.streams import pieces_of, streams

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
    defaults = defaults_of(framework)
    if "model_fn" in functions:
        model = _call(functions["model_fn"], str(model_directory))
    elif defaults.load is not None:
        model = defaults.load(model_directory)
    else:
        raise CustomerError(f"{program} defines no model_fn(model_dir), which {framework} models need to be loaded")
    return _model(functions, defaults, model)


def load_default_model(model_directory: Path, framework: str) -> "UserModel | None":
    """A model that the framework can serve without a script; None when it knows no such thing. Raises CustomerError."""
    defaults = defaults_of(framework)
    return _model({}, defaults, defaults.load(model_directory)) if defaults.load is not None else None


def _model(functions: Mapping[str, Callable[..., Any]], defaults: Defaults, model: Any) -> "UserModel":
    return (UserModel if "transform_fn" in functions else JoiningModel)(functions, defaults, model)


class HeaderValue(str):
    """A header as a script gets it: text whose item 0 is the whole.

    SageMaker's servers hand over either text or a list of one, and scripts are written for both: the SDK's
    ModelBuilder generates some that say `content_type[0]`.
    """

    def __getitem__(self, index: SupportsIndex | slice) -> str:
        return str(self) if index == 0 else super().__getitem__(index)


class UserModel:
    """The loaded script behind /invocations."""

    threads = 1

    def __init__(self, functions: Mapping[str, Callable[..., Any]], defaults: Defaults, model: Any) -> None:
        self._functions = functions
        self._defaults = defaults
        self._model = model

    def quick(self, body: bytes, content_type: bytes, accept: bytes) -> Reply | None:
        """Never: only the user knows how long the script takes."""
        return None

    def invoke(self, request: Request) -> Reply:
        if "transform_fn" in self._functions:
            content_type, accept = self._content_type(request), self._accept(request)
            body = _content(request.body, content_type)
            return _reply(_call(self._functions["transform_fn"], self._model, body, content_type, accept), accept)
        return self._output(self._predict(self._input(request)), request)

    def _content_type(self, request: Request) -> HeaderValue:
        return HeaderValue(request.content_type or self._defaults.default_content_type)

    def _accept(self, request: Request) -> HeaderValue:
        return HeaderValue(request.accept or self._defaults.default_accept)

    def _input(self, request: Request) -> Any:
        content_type = self._content_type(request)
        if "input_fn" in self._functions:
            return _call(self._functions["input_fn"], _content(request.body, content_type), content_type)
        return self._defaults.input(request.body, content_type)

    def _predict(self, data: Any) -> Any:
        if "predict_fn" in self._functions:
            return _call(self._functions["predict_fn"], data, self._model)
        return self._defaults.predict(data, self._model)

    def _output(self, prediction: Any, request: Request) -> Reply:
        accept = self._accept(request)
        if "output_fn" in self._functions:
            prediction = _call(self._functions["output_fn"], prediction, accept)
        else:
            prediction = self._defaults.output(prediction)
        return _reply(prediction, accept)


class JoiningModel(UserModel):
    """A script whose predictions may be made for several requests at once: its data are rows."""

    def invoke_joined(self, requests: list[Request]) -> list[Reply | Exception]:
        return joining.answer(
            requests, self._input, self._predict, lambda prediction, data, request: self._output(prediction, request)
        )


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
    if streams(answer):
        return Reply(pieces_of(answer), content_type or accept.partition(",")[0] or "application/octet-stream")
    body, encoded_as = codecs.encode(answer, content_type or accept)
    return Reply(body, content_type or encoded_as)

"""From a handler's name to the function, with the errors of AWS's Python runtime."""

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

from clary.runtime.functions import documents

Handler = Callable[[Any, Any], Any]


class Unusable(Exception):
    """The code cannot be run; `document` says why."""

    def __init__(self, document: dict[str, Any]) -> None:
        super().__init__(document["errorMessage"])
        self.document = document


def load(name: str) -> Handler:
    """Import the module of a handler such as `folder/module.function`, and return the function.

    Raises Unusable. What ends the process (SystemExit) is not held up.
    """
    try:
        module_name, function_name = name.rsplit(".", 1)
    except ValueError as error:
        raise Unusable(
            documents.document("Runtime.MalformedHandlerName", f"Bad handler '{name}': {error}", "", [])
        ) from None
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        message = f"Unable to import module '{module_name}': {error}"
        raise Unusable(documents.document("Runtime.ImportModuleError", message, "", [])) from None
    except SyntaxError as error:
        message = f"Syntax error in module '{module_name}': {error}"
        place = f'  File "{error.filename}" Line {error.lineno}\n    {error.text}\n'
        raise Unusable(documents.document("Runtime.UserCodeSyntaxError", message, "", [place])) from None
    except Exception as error:
        raise Unusable(documents.of_exception(error, "", 1)) from None
    found = getattr(module, function_name, None)
    if found is None:
        message = f"Handler '{function_name}' missing on module '{module_name}'"
        raise Unusable(documents.document("Runtime.HandlerNotFound", message, "", []))
    handler: Handler = found
    return handler


def prefer(entries: list[str]) -> None:
    """Put these folders first on the path, and forget packages imported ahead of time that they bring along.

    A function that bundles its own boto3 must not be given ours.
    """
    sys.path[:0] = entries
    brought = {name.partition(".")[0] for folder in entries if os.path.isdir(folder) for name in os.listdir(folder)}
    packages = {
        name
        for name, module in list(sys.modules.items())
        if "site-packages" in (getattr(module, "__file__", None) or "") and not name.startswith("clary")
    }
    if brought & {name.partition(".")[0] for name in packages}:
        for name in packages:
            del sys.modules[name]

"""Who performs which statement: functions of a `Running` and a statement that return an `Outcome`, by its class.

They are named by their place and imported when they are needed, for they load heavy libraries.
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from clary.systems.athena.contract import Outcome, Running, StatementFailed

Perform = Callable[[Running, Any], Outcome]

_PLACE = "clary.systems.athena"

PERFORMERS: Mapping[str, str] = {
    "Query": "running.querying:query",
}
"""By the name of a class in `language.statements`, the module below this package and the function in it."""


def performer(statement: Any) -> Perform:
    """The function that performs a statement. Raises StatementFailed for one that nobody does."""
    name = type(statement).__name__
    if name not in PERFORMERS:
        raise StatementFailed("NOT_SUPPORTED", f"Clary does not perform {statement.substatement or name} yet")
    module, _, function = PERFORMERS[name].partition(":")
    found: Perform = getattr(importlib.import_module(f"{_PLACE}.{module}"), function)
    return found

"""Output parameters of functions and callbacks: read as the types that the step declares, shown as text."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from clary.systems.pipelines.language.definition import Step

MOST_SHOWN = 50


class BadOutput(ValueError):
    """An output that is missing or not of its type."""


def declared(step: Step, given: Mapping[str, Any], whose: str) -> dict[str, Any]:
    """The outputs that a step declares, of what was given. Raises BadOutput."""
    found = {}
    for each in step.document.get("OutputParameters") or ():
        name, kind = each["OutputName"], each.get("OutputType") or "String"
        if name not in given:
            raise BadOutput(f"{whose} has no output '{name}', which step '{step.name}' declares.")
        try:
            found[name] = _READ[kind](given[name])
        except (ValueError, TypeError, OverflowError):
            raise BadOutput(
                f"{whose} has {_text(given[name])[:100]} as its output '{name}', which is no {kind}."
            ) from None
    return found


def shown(outputs: Mapping[str, Any]) -> list[dict[str, str]]:
    """Outputs as ListPipelineExecutionSteps shows them."""
    return [{"Name": name, "Value": _text(value)[:1024]} for name, value in outputs.items()][:MOST_SHOWN]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _integer(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError(value)
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError(value)
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(value)
    return number


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}[str(value).lower()] if str(value).lower() in ("true", "false") else _no(value)


def _no(value: Any) -> bool:
    raise ValueError(value)


_READ: Mapping[str, Callable[[Any], Any]] = {
    "String": _text,
    "Integer": _integer,
    "Float": _number,
    "Boolean": _boolean,
}

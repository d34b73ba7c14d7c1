"""Reading a JSON object member by member, with errors that say where. What `parsing` is written with."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from clary.systems.pipelines.language.errors import DefinitionError
from clary.systems.pipelines.language.expressions import is_function


@dataclass(frozen=True)
class Place:
    """Where something stands: its JSON path and the step around it."""

    path: str
    step: str | None = None

    def at(self, below: str) -> "Place":
        return Place(f"{self.path}{below}" if self.path or not below.startswith(".") else below[1:], self.step)

    def refuse(self, problem: str) -> NoReturn:
        raise DefinitionError(problem, step=self.step, path=self.path)


def objects(value: Any, place: Place) -> Mapping[str, Any]:
    if not isinstance(value, dict) or is_function(value):
        place.refuse("Expecting start of Json Object")
    return value


def lists(value: Any, place: Place) -> list[Any]:
    if not isinstance(value, list):
        place.refuse("Expecting start of Json Array")
    return value


def known(value: Mapping[str, Any], names: Collection[str], what: str, place: Place) -> None:
    for name in value:
        if name not in names:
            place.refuse(f"Unknown {what} member '{name[:64]}'; there are {', '.join(sorted(names))}")


def text(
    value: Mapping[str, Any],
    name: str,
    place: Place,
    *,
    most: int,
    pattern: str | None = None,
    least: int = 0,
    default: str | None = None,
) -> str:
    """The string `value[name]`; `default` where it is missing or null, and an error if there is none."""
    found = value.get(name)
    where = place.at(f".{name}")
    if found is None:
        if default is None:
            place.refuse(f"Missing required member '{name}'")
        return default
    if not isinstance(found, str):
        where.refuse(f"{name} must be a string")
    if not least <= len(found) <= most:
        where.refuse(f"{name} must have {least} to {most} characters")
    if pattern is not None and re.fullmatch(pattern, found) is None:
        where.refuse(f"{name} '{found}' must satisfy regular expression pattern: {pattern}")
    return found


def one_of(value: Any, choices: Collection[str], name: str, place: Place) -> str:
    if not isinstance(value, str) or value not in choices:
        shown = f"'{value[:64]}'" if isinstance(value, str) else "a value that is no string"
        place.refuse(f"{name} must be one of {', '.join(choices)}, not {shown}")
    return value


def number(
    value: Mapping[str, Any], name: str, place: Place, *, least: float, most: float, whole: bool = True
) -> float | None:
    """The number `value[name]`, None where it is missing or null."""
    found = value.get(name)
    if found is None:
        return None
    where = place.at(f".{name}")
    kinds = (int,) if whole else (int, float)
    if isinstance(found, bool) or not isinstance(found, kinds):
        where.refuse(f"{name} must be {'an integer' if whole else 'a number'}")
    if not least <= found <= most:
        where.refuse(f"{name} must be between {least:g} and {most:g}, not {found:g}")
    return found

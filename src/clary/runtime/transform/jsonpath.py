"""The part of JSONPath that SageMaker's batch transform documents, over JSON values and over rows of CSV as lists.

`$`, `.name`, `['a','b']`, `[0,2]`, `[-1]`, `[1:3]`, `[0,5:]`, `*` in place of a name or an index; also `.['a']`.
"""

import re
from collections.abc import Callable
from typing import Any

from clary.runtime.errors import CustomerError

Step = Callable[[Any], Any]

_INDEX = r"(?:(?:-?\d+)?\s*:\s*(?:-?\d+)?|-?\d+)"
_NAME = r"'(?:[^'\\]|\\.)*'"
_TOKEN = re.compile(
    rf"""\.(?P<dotted>[A-Za-z_][\w-]*)
       | (?P<star>\.\* | \.?\[\*\])
       | \.?\[\s*(?P<names>{_NAME}(?:\s*,\s*{_NAME})*)\s*\]
       | \.?\[\s*(?P<indices>{_INDEX}(?:\s*,\s*{_INDEX})*)\s*\]""",
    re.VERBOSE,
)


class NothingSelected(CustomerError):
    """The record has nothing where the path leads."""

    def __init__(self, path: "Path") -> None:
        super().__init__(f"the filter {path.text!r} selects nothing of the record")


class Path:
    """A parsed path. Raises CustomerError for one that is malformed or uses more than the documented part."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._steps: list[tuple[Step, bool]] = []
        self._tokens: list[re.Match[str]] = []
        if not text.startswith("$"):
            raise CustomerError(f"the filter {text!r} must begin with $")
        position = 1
        while position < len(text):
            token = _TOKEN.match(text, position)
            if token is None:
                raise CustomerError(f"the filter {text!r} cannot be understood from {text[position:]!r} on")
            self._steps.append(_step(token))
            self._tokens.append(token)
            position = token.end()

    @property
    def is_whole(self) -> bool:
        """Whether the path selects all there is."""
        return not self._steps

    @property
    def columns(self) -> list[int | slice] | None:
        """What a path over rows selects; None for all. Raises CustomerError for a path that is not for rows."""
        if self.is_whole:
            return None
        [token] = self._tokens if len(self._tokens) == 1 else [None]
        if token is None or not (token["indices"] or token["star"]):
            raise CustomerError(f"the filter {self.text!r} must select columns by number, such as $[1:] or $[0,-1]")
        return [slice(None)] if token["star"] else _indices(token)

    def select(self, value: Any) -> Any:
        """What the path leads to. Raises NothingSelected.

        That is one value, a list where it leads to several, an object where it names several members.
        """
        try:
            return _walk(value, self._steps)
        except (KeyError, IndexError, TypeError):
            raise NothingSelected(self) from None


def _walk(value: Any, steps: list[tuple[Step, bool]]) -> Any:
    for position, (step, several) in enumerate(steps):
        value = step(value)
        rest = steps[position + 1 :]
        if several and rest:
            if isinstance(value, dict):
                return {name: _walk(item, rest) for name, item in value.items()}
            return [_walk(item, rest) for item in value]
    return value


def _step(token: "re.Match[str]") -> tuple[Step, bool]:
    """What a token does, and whether it selects several values, to each of which the rest of the path applies."""
    if token["dotted"] is not None:
        return _member(token["dotted"]), False
    if token["star"] is not None:
        return _all, True
    if token["names"] is not None:
        names = [re.sub(r"\\(.)", r"\1", name[1:-1]) for name in re.findall(_NAME, token["names"])]
        return (_member(names[0]), False) if len(names) == 1 else (_members(names), True)
    indices = _indices(token)
    if len(indices) == 1:
        [only] = indices
        return (lambda value: _array(value)[only]), isinstance(only, slice)
    return (lambda value: [item for index in indices for item in _picked(_array(value), index)]), True


def _indices(token: "re.Match[str]") -> list[int | slice]:
    return [_index(part) for part in token["indices"].split(",")]


def _index(text: str) -> int | slice:
    if ":" not in text:
        return int(text)
    start, end = (int(part) if part.strip() else None for part in text.split(":"))
    return slice(start, end)


def _picked(values: list[Any], index: int | slice) -> list[Any]:
    return values[index] if isinstance(index, slice) else [values[index]]


def _member(name: str) -> Step:
    return lambda value: _object(value)[name]


def _members(names: list[str]) -> Step:
    return lambda value: {name: _object(value)[name] for name in names}


def _all(value: Any) -> Any:
    return list(value.values()) if isinstance(value, dict) else _array(value)


def _array(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(value)
    return value


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(value)
    return value

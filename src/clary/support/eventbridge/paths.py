"""JSON paths as EventBridge knows them: `$.detail.state`, `$.resources[0]`, `$['a key']`, `$.items[*].name`. Pure."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

_STEP = re.compile(r"\.(?P<name>[^.\[\]'\"\s]+)|\[(?P<index>\d{1,9})\]|\[(?P<all>\*)\]|\['(?P<quoted>[^']*)'\]")

Step = str | int | None
"""A key, a place in an array, or every element (None)."""


@lru_cache(maxsize=4096)
def read_path(text: str) -> tuple[Step, ...]:
    """The steps of a path. Raises ValueError that says what is wrong."""
    if not text.startswith("$"):
        raise ValueError(f"{text!r} is not a JSON path: it must begin with $")
    steps: list[Step] = []
    position = 1
    while position < len(text):
        found = _STEP.match(text, position)
        if found is None:
            raise ValueError(f"{text!r} is not a JSON path that EventBridge knows: see its character {position + 1}")
        name = found["name"] if found["name"] is not None else found["quoted"]
        if found["index"] is not None:
            steps.append(int(found["index"]))
        else:
            steps.append(None if found["all"] or found["name"] == "*" else name)
        position = found.end()
    return tuple(steps)


def find(document: Any, path: str) -> list[Any]:
    """What a path leads to: nothing, or one value; a path with `*` leads to one array of all there is.

    Raises ValueError for what is no path.
    """
    steps = read_path(path)
    found = _follow(document, steps)
    return [found] if None in steps else found


def _follow(value: Any, steps: Sequence[Step]) -> list[Any]:
    if not steps:
        return [value]
    step, rest = steps[0], steps[1:]
    if step is None:
        values = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return [each for one in values for each in _follow(one, rest)]
    if isinstance(step, int):
        return _follow(value[step], rest) if isinstance(value, list) and step < len(value) else []
    return _follow(value[step], rest) if isinstance(value, dict) and step in value else []

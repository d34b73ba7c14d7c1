"""JSON paths of SQL, `lax $.store.book[*].title`, as SQL of the sequence of items that they lead to.

A sequence is a list of texts of JSON, and NULL where the path cannot be followed, which strict paths alone know.
"""

import re
from typing import NamedTuple, NoReturn

from clary.systems.athena.select.functions.calls import Call
from clary.systems.athena.select.values import fail, text

_STEP = re.compile(r"\s*(?:\.\s*(?:(\w[\w$-]*)|\"((?:[^\"\\]|\\.)*)\"|(\*))|\[([^\]\"']*)\])\s*")
_INDEX = re.compile(r"\s*(\d+|last)(?:\s*-\s*(\d+))?(?:\s+to\s+(\d+|last)(?:\s*-\s*(\d+))?)?\s*")


class _Range(NamedTuple):
    """SQL of the first and the last place that a subscript names in an array `_a`, counted from 0."""

    first: str
    last: str


def sequence(said: str, document: str, call: Call) -> str:
    """SQL of the items that the path of a call leads to in a document. Refuses what there is no SQL for."""
    path = said.strip()
    strict = path.startswith("strict")
    path = re.sub(r"^(lax|strict)\b\s*", "", path)
    if not path.startswith("$"):
        _refuse(said, call)
    found, place = f"[{document}]", 1
    while place < len(path):
        step = _STEP.match(path, place)
        if step is None or path[step.end() :].startswith("("):
            _refuse(said, call)
        found = _followed(found, step, strict, said, call)
        place = step.end()
    return found


def _followed(items: str, step: re.Match[str], strict: bool, said: str, call: Call) -> str:
    kind = "strict" if strict else "lax"
    if step[3]:
        return f"trino_path_{kind}_members({items})"
    if step[4] is None:
        name = step[1] if step[1] is not None else re.sub(r"\\(.)", r"\1", step[2])
        pointer = "/" + name.replace("~", "~0").replace("/", "~1")
        return f"trino_path_{kind}_member({items}, {text(pointer)})"
    arrays = f"trino_path_{kind}_arrays({items})"
    if step[4].strip() == "*":
        return f"flatten({arrays})"
    ranges = [_range(each, said, call) for each in step[4].split(",")]
    slices = ", ".join(f"list_slice(_a, {each.first} + 1, {each.last} + 1)" for each in ranges)
    found = f"list_transform({arrays}, lambda _a: flatten([{slices}]))"
    if not strict:
        return f"flatten({found})"
    beyond = " OR ".join(f"{r.first} < 0 OR {r.first} > {r.last} OR {r.last} >= len(_a)" for r in ranges)
    checked = f"list_transform({arrays}, lambda _a: CASE WHEN {beyond} THEN NULL ELSE flatten([{slices}]) END)"
    return f"trino_path_all({checked})"


def _range(said: str, path: str, call: Call) -> _Range:
    found = _INDEX.fullmatch(said)
    if found is None:
        _refuse(path, call)
    first = _place(found[1], found[2])
    return _Range(first, _place(found[3], found[4]) if found[3] else first)


def _place(said: str, less: str | None) -> str:
    place = "len(_a) - 1" if said == "last" else said
    return f"greatest({place} - {less}, -1)" if less else f"({place})"


def _refuse(said: str, call: Call) -> NoReturn:
    fail(
        "INVALID_FUNCTION_ARGUMENT",
        call.nodes[1],
        f"Invalid JSON path: '{said}' (what it may have behind lax $ or strict $ are .name, .\"name\", .*, [0], "
        "[last], [0 to 2] and [*])",
    )
